"""Small ONNX networks made from a seed, in float and quantised by ONNX Runtime's own tool."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from tte.types import Array


@dataclass
class Net:
    """A float network that grows node by node; weights are drawn at random."""

    seed: int
    shape: tuple[int, ...]
    opset: int = 17
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def constant(self, array: Array) -> str:
        name = f"c{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def add(self, op: str, *ins: str, **attributes: object) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(ins), [name], name=f"n{len(self.nodes)}", **attributes))
        return name

    def conv(
        self, x: str, ci: int, co: int, k: int = 3, groups: int = 1, bias: bool = True, **attributes: object
    ) -> str:
        w = self.rng.standard_normal((co, ci // groups, k, k)) / np.sqrt(ci // groups * k * k)
        given = [x, self.constant(w.astype(np.float32))]
        if bias:
            given.append(self.constant((self.rng.standard_normal(co) * 0.2).astype(np.float32)))
        attributes.setdefault("pads", [k // 2] * 4)
        attributes = {name: value for name, value in attributes.items() if value is not None}
        return self.add("Conv", *given, group=groups, kernel_shape=[k, k], **attributes)

    def gemm(self, x: str, k: int, n: int) -> str:
        w = (self.rng.standard_normal((n, k)) / np.sqrt(k)).astype(np.float32)
        b = (self.rng.standard_normal(n) * 0.2).astype(np.float32)
        return self.add("Gemm", x, self.constant(w), self.constant(b), transB=1)

    def model(self, *outs: str) -> onnx.ModelProto:
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)
        ports = [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outs]
        graph = helper.make_graph(self.nodes, "g", [x], ports, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        return onnx.shape_inference.infer_shapes(model)


def residual(seed: int) -> onnx.ModelProto:
    """Convolutions, a residual edge, pools and a classifier."""
    n = Net(seed, (1, 3, 12, 11))
    a = n.add("Relu", n.conv("x", 3, 8, strides=[2, 2]))
    b = n.add("Relu", n.conv(n.add("Relu", n.conv(a, 8, 16, 1)), 16, 16, 3, 16))
    c = n.add("Add", n.conv(b, 16, 8, 1), a)
    d = n.add("MaxPool", c, kernel_shape=[2, 2], strides=[2, 2])
    e = n.add("Flatten", n.add("GlobalAveragePool", n.conv(d, 8, 12)))
    return n.model(n.gemm(e, 12, 5))


def gated(seed: int) -> onnx.ModelProto:
    """Hard swish, squeeze and excitation, leaky relu, tanh."""
    n = Net(seed, (1, 4, 9, 9))
    a = n.add("HardSwish", n.conv("x", 4, 8))
    s = n.add("Relu", n.conv(n.add("GlobalAveragePool", a), 8, 4, 1))
    b = n.add("Mul", a, n.add("Sigmoid", n.conv(s, 4, 8, 1)))
    c = n.add("LeakyRelu", n.conv(b, 8, 8, 3, 8, strides=[2, 2]), alpha=0.1)
    return n.model(n.add("Tanh", n.conv(c, 8, 6, 1)))


def branches(seed: int) -> onnx.ModelProto:
    """Concat, resize, average pools, padding, clip, softmax."""
    n = Net(seed, (1, 3, 10, 10))
    low, high = n.constant(np.float32(0)), n.constant(np.float32(6))
    a = n.add("Clip", n.conv("x", 3, 8), low, high)
    b = n.conv(n.add("AveragePool", a, kernel_shape=[2, 2], strides=[2, 2]), 8, 4, 1)
    scales = n.constant(np.array([1, 1, 2, 2], np.float32))
    c = n.add(
        "Resize", b, "", scales, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
    )
    d = n.add("Concat", a, c, axis=1)
    e = n.add("Pad", d, n.constant(np.array([0, 0, 1, 0, 0, 0, 0, 1])))
    f = n.add("AveragePool", n.conv(e, 12, 6, 3, 2, pads=[0, 0, 0, 0]), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    g = n.gemm(n.add("Reshape", f, n.constant(np.array([1, -1]))), 6 * 9 * 9, 7)
    return n.model(n.add("Softmax", g))


def rows(seed: int) -> onnx.ModelProto:
    """Matrices: MatMul and Add, Sub and Mul by constants, transposes."""
    n = Net(seed, (1, 6, 10))
    w = n.constant((n.rng.standard_normal((10, 8)) / 3).astype(np.float32))
    a = n.add("Add", n.add("MatMul", "x", w), n.constant(n.rng.standard_normal(8).astype(np.float32)))
    b = n.add("Transpose", n.add("Relu", a), perm=[0, 2, 1])
    c = n.add("MatMul", b, n.constant((n.rng.standard_normal((6, 4)) / 3).astype(np.float32)))
    return n.model(n.add("Softmax", n.add("Sub", c, n.constant(np.float32([0.5]))), axis=-1))


def signal(seed: int) -> onnx.ModelProto:
    """One dimension: strides, dilation, groups, batch norm, pools, and a dense layer over time."""
    n = Net(seed, (1, 4, 33))

    def conv(x: str, ci: int, co: int, groups: int = 1, **attributes: object) -> str:
        w = (n.rng.standard_normal((co, ci // groups, 3)) / np.sqrt(3 * ci // groups)).astype(np.float32)
        return n.add(
            "Conv",
            x,
            n.constant(w),
            n.constant(n.rng.standard_normal(co).astype(np.float32)),
            group=groups,
            **attributes,
        )

    a = n.add("Relu", conv("x", 4, 8, strides=[2], pads=[1, 1]))
    b = n.add("MaxPool", conv(a, 8, 8, 8, dilations=[2], pads=[2, 2]), kernel_shape=[2], strides=[2])
    c = n.add(
        "AveragePool", n.add("Add", b, conv(b, 8, 8, pads=[2, 0])), kernel_shape=[3], count_include_pad=1, pads=[1, 1]
    )
    s = [n.constant(np.abs(n.rng.standard_normal(8)).astype(np.float32)) for _ in range(4)]
    d = n.add("Squeeze", n.add("GlobalAveragePool", n.add("BatchNormalization", c, *s)), n.constant(np.array([2])))
    return n.model(n.gemm(d, 8, 3))


NETS: dict[str, Callable[[int], onnx.ModelProto]] = {f.__name__: f for f in (residual, gated, branches, rows, signal)}


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """A few inputs from a seed."""

    def __init__(self, name: str, shape: tuple[int, ...]) -> None:
        rng = np.random.default_rng(99)
        self.samples = iter([{name: rng.standard_normal(shape).astype(np.float32)} for _ in range(4)])

    def get_next(self) -> dict[str, Array] | None:
        return next(self.samples, None)


def prepared(model: onnx.ModelProto) -> onnx.ModelProto:
    """As ONNX Runtime wants a model before it quantises it: batch norms folded, shapes known."""
    with tempfile.TemporaryDirectory() as name:
        source, target = Path(name) / "f.onnx", Path(name) / "p.onnx"
        onnx.save(model, source)
        quant_pre_process(source, target)
        return onnx.load(target)


def quantized(model: onnx.ModelProto, unsigned: bool, per_channel: bool, qdq: bool) -> onnx.ModelProto:
    """By onnxruntime.quantization; weights are s8 and symmetric."""
    shape = tuple(d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim)
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        source, target = Path(name) / "f.onnx", Path(name) / "q.onnx"
        onnx.save(model, source)
        quantize_static(
            source,
            target,
            Reader(model.graph.input[0].name, shape),
            quant_format=QuantFormat.QDQ if qdq else QuantFormat.QOperator,
            activation_type=QuantType.QUInt8 if unsigned else QuantType.QInt8,
            weight_type=QuantType.QInt8,
            per_channel=per_channel,
            reduce_range=unsigned and not qdq,  # its u8 x s8 kernels saturate in 16 bits on older processors
        )
        found = onnx.load(target)
    logging.disable(logging.NOTSET)
    return found
