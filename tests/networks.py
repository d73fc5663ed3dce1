"""The real networks beside the repository, and what their source runtimes say of them."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from tte.driver import SIMPLIFY, Compiled, run_passes
from tte.frontend.onnx import import_onnx
from tte.frontend.tflite import import_tflite
from tte.interp import interpret
from tte.ir import Module
from tte.op import Arrays
from tte.program import padded
from tte.target import load_board
from tte.types import NPU, DType, TensorType


@dataclass(frozen=True)
class Network:
    """A model file, and the most bytes that its arena may take with `--io quantized --memory fast`."""

    file: str
    arena: int

    def load(self, shared: Path) -> Module:
        path = shared / "models" / self.file
        return (import_tflite if path.suffix == ".tflite" else import_onnx)(path, self.file.split(".")[0])


NETWORKS = {
    "kws": Network("mlperf_kws_dscnn_int8.tflite", 16160),
    "ic": Network("mlperf_ic_resnet8_int8.tflite", 51456),
    "ic_large": Network("mlperf_ic_large_int8.tflite", 128640),
    "vww": Network("mlperf_vww_mobilenetv1_int8.tflite", 64624),
    "ad": Network("mlperf_ad_autoencoder_int8.tflite", 768),
    "sww": Network("mlperf_sww_int8.tflite", 7200),
    "mcunet_vww": Network("mcunet_vww_int8.tflite", 98000),
    "mcunet_5fps": Network("mcunet-5fps-int8.onnx", 164000),
}


ANCHORS = tomllib.loads((Path(__file__).parents[1] / "benchmarks" / "anchors.toml").read_text())


def most_instructions(name: str, board: str) -> float:
    """What an inference may take: CMSIS-NN's count times the board's bar; infinity where there is none."""
    counted = ANCHORS["models"].get(NETWORKS[name].file.split(".")[0], {}).get(board, math.inf)
    return float(counted * 1e6 * ANCHORS["bars"].get(board, math.inf))


def samples(module: Module, count: int) -> list[Arrays]:
    """Inputs at random: every integer, and floats over what the first quantiser takes."""
    rng = np.random.default_rng(1)

    def draw(t: TensorType) -> np.ndarray:
        if t.dtype is DType.F32:
            return rng.uniform(-1.1, 1.1, t.shape).astype(np.float32)
        info = np.iinfo(t.dtype.numpy)
        return rng.integers(info.min, info.max + 1, t.shape, t.dtype.numpy)

    return [tuple(draw(v.type) for v in module.graph("infer").ins) for _ in range(count)]


def litert(path: Path, given: list[Arrays]) -> list[Arrays]:
    """What LiteRT's reference kernels return."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType  # noqa: PLC0415

    kind = OpResolverType.BUILTIN_REF
    runtime = Interpreter(str(path), experimental_op_resolver_type=kind, experimental_preserve_all_tensors=True)
    runtime.allocate_tensors()
    found = []
    for sample in given:
        for detail, array in zip(runtime.get_input_details(), sample, strict=True):
            runtime.set_tensor(detail["index"], array)
        runtime.invoke()
        found.append(tuple(runtime.get_tensor(d["index"]).copy() for d in runtime.get_output_details()))
    return found


def meaning(module: Module, given: list[Arrays]) -> list[Arrays]:
    """What the graph means once it is integers, in numpy; test_onnx.py holds that against ONNX Runtime."""
    module = run_passes(module, load_board("host"), SIMPLIFY)
    graph, states = module.graph("infer"), {s.value.name: s.init for s in module.states}
    found = []
    for sample in given:
        outs, _ = interpret(graph, {v.name: a for v, a in zip(graph.ins, sample, strict=True)}, states)
        found.append(tuple(outs[v.name] for v in graph.outs))
    return found


@cache
def expected(name: str, shared: Path, count: int) -> tuple[Module, list[Arrays], list[Arrays]]:
    """The module, inputs, and the oracle's outputs."""
    network = NETWORKS[name]
    module = network.load(shared)
    given = samples(module, count)
    path = shared / "models" / network.file
    return module, given, litert(path, given) if path.suffix == ".tflite" else meaning(module, given)


def arena_of(compiled: Compiled) -> int:
    """Bytes of the arena without those that only an npu takes: its queue, and the largest scratch of its kernels."""
    calls = (c for f in compiled.program.functions for c in f.calls if c.unit == NPU and c.scratch)
    scratch = max((padded(c.scratch.type.bytes) for c in calls if c.scratch), default=0)
    return compiled.plan.arena - compiled.plan.queue - scratch
