"""ONNX models that are well-formed protobufs but contradict themselves; each made from a seed alone."""

from __future__ import annotations

import random

import onnx
from onnx import AttributeProto, TensorProto

from tte.frontend.onnx import SUPPORTED

NUMBERS = (0, -1, 1, 2, 3, 7, 8, 16, 255, 2**31 - 1, 2**31, -(2**31), 2**40, 2**63 - 1, -(2**63))
OPERATORS = (*SUPPORTED, "If", "LSTM")
# fmt: off
ATTRIBUTES = (
    "axis", "pads", "strides", "dilations", "kernel_shape", "group", "perm", "axes", "to", "ceil_mode",
    "auto_pad", "alpha", "beta", "transA", "transB", "epsilon", "mode", "keepdims", "value", "block_size", "shape",
)
# fmt: on
FLOATS = (0.0, -1.0, float("nan"), float("inf"), -float("inf"), 1e-45, 1e38, -1e38, 0.5)


def contradictory(data: bytes, seed: int) -> bytes:
    """One to three changes of the graph that keep it a protobuf."""
    model, rng = onnx.ModelProto.FromString(data), random.Random(seed)
    for _ in range(rng.randrange(1, 4)):
        change = rng.choice((_node, _attribute, _tensor, _port, _names))
        change(model.graph, rng)
    if rng.random() < 0.05:
        model.opset_import[0].version = rng.choice((1, 6, 7, 9, 11, 13, 18, 25, 10**6))
    return model.SerializeToString()


def _node(graph: onnx.GraphProto, rng: random.Random) -> None:
    """Another operator, one less, one twice, in another place."""
    at = rng.randrange(len(graph.node))
    match rng.randrange(5):
        case 0:
            graph.node[at].op_type = rng.choice(OPERATORS)
        case 1 if len(graph.node) > 1:
            del graph.node[at]
        case 2:
            graph.node.add().CopyFrom(graph.node[at])
        case 3:
            graph.node[at].domain = rng.choice(("com.microsoft", "x", "ai.onnx"))
        case _:
            moved = onnx.NodeProto()
            moved.CopyFrom(graph.node[at])
            del graph.node[at]
            graph.node.insert(rng.randrange(len(graph.node) + 1), moved)


def _attribute(graph: onnx.GraphProto, rng: random.Random) -> None:
    """Another value, another type, none, or one more."""
    node = rng.choice(graph.node)
    if not node.attribute or rng.random() < 0.3:
        node.attribute.add().name = rng.choice(ATTRIBUTES)
    a = rng.choice(node.attribute)
    match rng.randrange(6):
        case 0:
            a.type = rng.choice(list(AttributeProto.AttributeType.values()))
        case 1:
            a.type, a.i = AttributeProto.INT, rng.choice(NUMBERS)
        case 2:
            a.type = AttributeProto.INTS
            del a.ints[:]
            a.ints.extend(rng.choice(NUMBERS) for _ in range(rng.randrange(10)))
        case 3:
            a.type, a.f = AttributeProto.FLOAT, rng.choice(FLOATS)
        case 4:
            a.type, a.s = AttributeProto.STRING, rng.randbytes(rng.randrange(8))
        case _:
            a.name = rng.choice(ATTRIBUTES)


def _tensor(graph: onnx.GraphProto, rng: random.Random) -> None:
    """Another type, other sizes, other numbers, data elsewhere."""
    if not graph.initializer:
        return
    t = rng.choice(graph.initializer)
    match rng.randrange(6):
        case 0:
            t.data_type = rng.choice((*TensorProto.DataType.values(), 99))
        case 1:
            t.dims.append(rng.choice(NUMBERS))
        case 2 if t.dims:
            t.dims[rng.randrange(len(t.dims))] = rng.choice(NUMBERS)
        case 3 if t.raw_data:
            raw = bytearray(t.raw_data)
            for _ in range(rng.randrange(1, 9)):
                raw[rng.randrange(len(raw))] = rng.choice((0, 127, 128, 255))
            t.raw_data = bytes(raw)
        case 4:
            t.data_location = TensorProto.EXTERNAL
            e = t.external_data.add()
            e.key, e.value = "location", rng.choice(("/etc/passwd", "../x", "weights.bin", "", "a\0b"))
        case _:
            t.raw_data = rng.randbytes(rng.randrange(32))


def _port(graph: onnx.GraphProto, rng: random.Random) -> None:
    """Another type or shape of an input or output, or one more."""
    port = rng.choice([*graph.input, *graph.output])
    t = port.type.tensor_type
    match rng.randrange(5):
        case 0:
            t.elem_type = rng.choice((*TensorProto.DataType.values(), 99))
        case 1:
            t.shape.dim.add().dim_value = rng.choice(NUMBERS)
        case 2 if t.shape.dim:
            rng.choice(t.shape.dim).dim_value = rng.choice(NUMBERS)
        case 3 if t.shape.dim:
            rng.choice(t.shape.dim).dim_param = "n\nm"
        case _:
            graph.output.add().name = rng.choice([n for node in graph.node for n in (*node.input, *node.output)])


def _names(graph: onnx.GraphProto, rng: random.Random) -> None:
    """Tensors that are confused, or have names that no line of text can show."""
    node = rng.choice(graph.node)
    known = [n for k in graph.node for n in (*k.input, *k.output)] + [t.name for t in graph.initializer]
    other = rng.choice([*known, "", "nobody", "a\nb*/\\", "int", "x" * 5000, "\u2603"])
    if node.input and rng.random() < 0.6:
        node.input[rng.randrange(len(node.input))] = other
    elif node.output:
        node.output[rng.randrange(len(node.output))] = other
    node.name = other
