"""Other runtimes run what was exported: ONNX Runtime on the CPU, or on Qualcomm's emulation of its NPU. Floor 8."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Literal, TypeAlias

import numpy as np
import onnx

from tte.backend.npu_runs import Run
from tte.errors import TteError
from tte.ir import Module
from tte.types import Array

Runtime: TypeAlias = Literal["cpu", "htp"]
QNN = "QNNExecutionProvider"


def difference(module: Module, run: Run, exported: onnx.ModelProto, on: Runtime, seed: int = 0) -> float:
    """The largest difference between the run's reference and the exported model, on random inputs of all values.

    Integers count in steps. Raises TteError where the runtime is missing, or refuses the model.
    """
    rng = np.random.default_rng(seed)
    env = {s.value: s.init for s in module.states}
    for v in run.ins:
        low, high = np.iinfo(v.type.dtype.numpy).min, np.iinfo(v.type.dtype.numpy).max
        env[v] = rng.integers(low, high, v.type.shape, v.type.dtype.numpy, endpoint=True)
    for node in run.nodes:
        env.update(zip(node.outs, node.op.reference(tuple(env[v] for v in node.ins), *node.types), strict=True))
    names = (i.name for i in exported.graph.input)
    found = _answers(run.name, exported, dict(zip(names, (env[v] for v in run.ins), strict=True)), on)
    pairs = ((a.astype(np.float64), env[v]) for a, v in zip(found, run.outs, strict=True))
    return max(float(np.abs(a - b).max()) for a, b in pairs)


def _answers(name: str, exported: onnx.ModelProto, given: Mapping[str, Array], on: Runtime) -> list[Array]:
    """What the runtime gives. On htp it must run all of the model there, of which it takes only what was simplified."""
    ort = _package("onnxruntime")
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if on == "htp":
        qnn = _package("onnxruntime_qnn")
        if all(d.ep_name != QNN for d in ort.get_ep_devices()):
            ort.register_execution_provider_library(QNN, qnn.get_library_path())
        devices = [d for d in ort.get_ep_devices() if d.ep_name == QNN]
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.add_provider_for_devices(devices[:1], {"backend_path": qnn.get_qnn_htp_path()})
    try:
        session = ort.InferenceSession(exported.SerializeToString(), options)
        return [np.asarray(a) for a in session.run(None, dict(given))]
    except Exception as error:  # the runtime's own, of many kinds
        raise TteError(name, f"is refused by ONNX Runtime on {on}", str(error)) from error


def _package(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise TteError("--check", f"needs {name.replace('_', '-')}", "pip install 'tte[qnn]'") from error
