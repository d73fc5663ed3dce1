"""ONNX Runtime, optimisations off, as the oracle: all tensors of a model, and each of our nodes on its own inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from tte.driver import SIMPLIFY, run_passes
from tte.frontend.onnx import import_onnx
from tte.interp import interpret
from tte.ir import Module, Node
from tte.target import load_board
from tte.types import Array, DType, Value


def session(data: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    return ort.InferenceSession(data, options, ["CPUExecutionProvider"])


def everything(model: onnx.ModelProto) -> ort.InferenceSession:
    """A session that also returns every tensor that a node computes."""
    probed = onnx.ModelProto()
    probed.CopyFrom(model)
    known = {o.name for o in probed.graph.output}
    names = [n for node in probed.graph.node for n in node.output if n and n not in known]
    probed.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names)
    return session(probed.SerializeToString())


def tensors(probe: ort.InferenceSession, feeds: Mapping[str, Array]) -> dict[str, Array]:
    return dict(zip((o.name for o in probe.get_outputs()), probe.run(None, dict(feeds)), strict=True)) | dict(feeds)


def folded(source: bytes | Path, name: str = "m") -> Module:
    """The module as it is compiled."""
    return run_passes(import_onnx(source, name), load_board("host"), SIMPLIFY)


def run(module: Module, feeds: Mapping[str, Array]) -> list[Array]:
    """Outputs of the interpreter, for inputs by the model's own names."""
    graph = module.graph("infer")
    given = {v.name: feeds[v.source] for v in graph.ins}
    outs, _ = interpret(graph, given, {s.value.name: s.init for s in module.states})
    return [outs[v.name] for v in graph.outs]


def as_ours(value: Value, theirs: Array) -> Array | None:
    """ONNX Runtime's tensor in the layout and type of our value; None if it is not the same tensor."""
    if theirs.dtype == np.uint8 and value.type.dtype is DType.S8:
        theirs = (theirs.astype(np.int16) - 128).astype(np.int8)
    if theirs.dtype != value.type.dtype.numpy:
        return None
    if theirs.ndim == 4:
        theirs = theirs.transpose(0, 2, 3, 1)
    elif theirs.ndim == 3 and len(value.type.shape) == 4:
        theirs = theirs.transpose(0, 2, 1)[:, None]
    return theirs if theirs.shape == value.type.shape else None


@dataclass(frozen=True)
class Compared:
    """A node's result on ONNX Runtime's own inputs beside ONNX Runtime's result, and the float that it rounded."""

    node: Node
    ours: Array
    theirs: Array
    real: Array | None

    @property
    def wrong(self) -> int:
        """Elements that differ by more than 1, or farther than 1e-3 from a tie."""
        differ = self.ours != self.theirs
        far = np.abs(self.ours.astype(int) - self.theirs) > 1
        if self.real is None or not differ.any():
            return int(far.sum() if self.real is not None else differ.sum())
        ratio = self.real.astype(np.float64) / self.node.outs[0].type.scaling.scale[0]
        tie = np.abs(ratio - np.floor(ratio) - 0.5) < 1e-3
        return int((differ & (far | ~tie)).sum())


def node_by_node(module: Module, model: onnx.ModelProto, found: Mapping[str, Array]) -> Iterator[Compared]:
    """Run every node on what ONNX Runtime computed, where our value is a tensor of the model."""
    graph = module.graph("infer")
    quantized = {n.output[0]: n.input[0] for n in model.graph.node if n.op_type == "QuantizeLinear"}
    env = {s.value.name: s.init for s in module.states} | {v.name: found[v.source] for v in graph.ins}
    for node in graph.nodes:
        (value,) = node.outs
        (result,) = node.op.reference(tuple(env[v.name] for v in node.ins), *node.types)
        theirs = as_ours(value, found[value.source]) if value.source in found else None
        env[value.name] = result if theirs is None else theirs
        if theirs is not None:
            real = found.get(quantized.get(value.source, ""))
            if real is not None and real.ndim == 4:
                real = real.transpose(0, 2, 3, 1)
            yield Compared(node, result, theirs, real if real is None else real.reshape(value.type.shape))
