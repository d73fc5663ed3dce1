"""TFLite models that nobody fitted the importer to: whole networks, odd structures, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tflite
from conftest import usable
from litert import interpret_tte, run_litert
from tflite_builder import Op, T, build, single

from tte.driver import compile_model
from tte.errors import TteError
from tte.frontend.tflite import import_tflite
from tte.running.emulate import build as build_elf
from tte.running.emulate import infer
from tte.target import Board
from tte.types import Array

CONV = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}


class Net:
    """Grows a network of s8 tensors with random weights; methods return the number of the result."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.tensors: list[T] = []
        self.ops: list[Op] = []

    def tensor(self, t: T) -> int:
        self.tensors.append(t)
        return len(self.tensors) - 1

    def s8(self, *shape: int, scale: float = 0.0, zero: int | None = None) -> int:
        chosen = int(self.rng.integers(-128, 128)) if zero is None else zero
        return self.tensor(T(shape, scale=scale or float(self.rng.uniform(0.02, 0.1)), zero=chosen))

    def ints(self, *values: object) -> int:
        return self.tensor(T.constant(np.array(values, np.int32)))

    def emit(self, name: str, ins: list[int], out: int, options: str = "", **fields: float) -> int:
        self.ops.append(Op(name, ins, [out], options, fields))
        return out

    def like(self, x: int, *shape: int) -> int:
        """A tensor with the scale of x."""
        return self.s8(*shape, scale=float(self.tensors[x].scale), zero=self.tensors[x].zero)  # type: ignore[arg-type]

    def conv(self, x: int, co: int, k: int = 1, stride: int = 1, activation: int = 0, weights: int = -1) -> int:
        _, h, w, c = self.tensors[x].shape
        scales = self.rng.uniform(0.001, 0.02, co).tolist()
        if weights < 0:
            weights = self.tensor(T.constant(self.rng.integers(-127, 128, (co, k, k, c), np.int8), scales))
        bias = self.tensor(T.constant(self.rng.integers(-2000, 2000, co, np.int32), scales))
        fields = CONV | {"StrideH": stride, "StrideW": stride, "FusedActivationFunction": activation}
        out = self.s8(1, -(-h // stride), -(-w // stride), co)
        return self.emit("CONV_2D", [x, weights, bias], out, "Conv2DOptions", **fields)

    def depthwise(self, x: int, k: int = 3, stride: int = 1) -> int:
        _, h, w, c = self.tensors[x].shape
        scales = self.rng.uniform(0.001, 0.02, c).tolist()
        weights = self.tensor(T.constant(self.rng.integers(-127, 128, (1, k, k, c), np.int8), scales, 0, 3))
        bias = self.tensor(T.constant(self.rng.integers(-2000, 2000, c, np.int32), scales))
        out = self.s8(1, -(-h // stride), -(-w // stride), c)
        fields = CONV | {"StrideH": stride, "StrideW": stride, "DepthMultiplier": 1}
        return self.emit("DEPTHWISE_CONV_2D", [x, weights, bias], out, "DepthwiseConv2DOptions", **fields)

    def finish(self, ins: list[int], outs: list[int]) -> bytes:
        return build(self.tensors, self.ops, ins, outs)


def zoo(seed: int) -> bytes:
    """A mobile network: inverted residual, hard swish, squeeze and excite, pools, a pyramid, two heads."""
    n = Net(seed)
    image = n.s8(1, 13, 11, 3)
    stem = n.conv(image, 8, 3, 2, 3)
    wide = n.conv(stem, 24)
    swish = n.emit("HARD_SWISH", [wide], n.s8(1, 7, 6, 24, scale=0.05))
    deep = n.depthwise(swish)
    mean = n.emit("MEAN", [deep, n.ints(1, 2)], n.s8(1, 1, 1, 24), "ReducerOptions", KeepDims=True)
    gate = n.conv(n.conv(mean, 6, activation=1), 24)
    gate = n.emit("LOGISTIC", [gate], n.s8(1, 1, 1, 24, scale=1 / 256, zero=-128))
    gated = n.emit("MUL", [deep, gate], n.s8(1, 7, 6, 24), "MulOptions")
    project = n.conv(gated, 8)
    total = n.emit("ADD", [stem, project], n.s8(1, 7, 6, 8), "AddOptions")
    pool = {"FilterHeight": 3, "FilterWidth": 2, "StrideH": 2, "StrideW": 2}
    big = n.emit("MAX_POOL_2D", [total], n.like(total, 1, 4, 3, 8), "Pool2DOptions", **pool)
    flat = n.emit("AVERAGE_POOL_2D", [total], n.like(total, 1, 4, 3, 8), "Pool2DOptions", **pool)
    both = n.emit("CONCATENATION", [big, flat, big], n.like(total, 1, 4, 3, 24), "ConcatenationOptions", Axis=-1)
    size, options = n.ints(7, 6), "ResizeNearestNeighborOptions"
    up = n.emit("RESIZE_NEAREST_NEIGHBOR", [both, size], n.like(both, 1, 7, 6, 24), options, HalfPixelCenters=True)
    shared = n.tensor(T.constant(n.rng.integers(-127, 128, (5, 1, 1, 24), np.int8), [0.01] * 5))
    one, two = n.conv(up, 5, weights=shared), n.conv(deep, 5, weights=shared)
    less = n.emit("SUB", [one, two], n.s8(1, 7, 6, 5), "SubOptions")
    grown = n.emit("PAD", [less, n.ints([0, 0], [1, 0], [0, 2], [0, 0])], n.like(less, 1, 8, 8, 5), "PadOptions")
    turned = n.emit("TRANSPOSE", [grown, n.ints(0, 3, 1, 2)], n.like(less, 1, 5, 8, 8), "TransposeOptions")
    rows = n.emit("MEAN", [turned, n.ints(3)], n.s8(1, 5, 8), "ReducerOptions")
    flat = n.emit("RESHAPE", [rows, n.ints(1, 40)], n.like(rows, 1, 40))
    weights = n.tensor(T.constant(n.rng.integers(-127, 128, (7, 40), np.int8), 0.01))
    logits = n.emit("FULLY_CONNECTED", [flat, weights], n.s8(1, 7, scale=0.3), "FullyConnectedOptions")
    likely = n.emit("SOFTMAX", [logits], n.s8(1, 7, scale=1 / 256, zero=-128), "SoftmaxOptions", Beta=1.0)
    real = n.emit("DEQUANTIZE", [logits], n.tensor(T((1, 7), "f4")))
    return n.finish([image], [likely, real, less])


def everything(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Array:
    return np.random.default_rng(1).integers(-128, 128, shape).astype(dtype)


@pytest.mark.parametrize("seed", range(4))
def test_a_network_equals_litert(seed: int) -> None:
    model = zoo(seed)
    inputs, expected = run_litert(model, everything) or ([], [])
    assert len(expected) == 3
    for got, want in zip(interpret_tte(model, inputs), expected, strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_network_equals_litert_on_boards(board: Board, tmp_path: Path) -> None:
    model = zoo(0)
    inputs, expected = run_litert(model, everything) or ([], [])
    compiled = compile_model(import_tflite(model, "zoo"), board)
    compiled.write(tmp_path)
    run = infer(compiled.module, build_elf(tmp_path, board), board, [tuple(inputs)])
    for got, want in zip(run.outputs[0], expected, strict=True):
        np.testing.assert_array_equal(got, want)


def test_inputs_and_outputs_keep_their_order() -> None:
    n = Net()
    a, b = n.s8(1, 4), n.s8(1, 4)
    less, more = n.s8(1, 4, scale=0.2), n.s8(1, 4, scale=0.2)
    n.emit("SUB", [a, b], less, "SubOptions")
    n.emit("ADD", [b, a], more, "AddOptions")
    model = n.finish([b, a], [more, less, more])
    inputs, expected = run_litert(model, everything) or ([], [])
    for got, want in zip(interpret_tte(model, inputs), expected, strict=True):
        np.testing.assert_array_equal(got, want)


def test_arithmetic_of_shapes_is_done_at_import() -> None:
    """What a flattening layer becomes when the batch was not known: RESHAPE by PACK(STRIDED_SLICE(SHAPE(x)), -1)."""
    n = Net()
    x = n.s8(1, 3, 2, 4)
    shape = n.emit("SHAPE", [x], n.tensor(T((4,), "i4")), "ShapeOptions", OutType=tflite.TensorType.INT32)
    ends = [n.ints(0), n.ints(1), n.ints(1)]
    batch = n.emit("STRIDED_SLICE", [shape, *ends], n.tensor(T((), "i4")), "StridedSliceOptions", ShrinkAxisMask=1)
    rest = n.tensor(T.constant(np.array(-1, np.int32)))
    target = n.emit("PACK", [batch, rest], n.tensor(T((2,), "i4")), "PackOptions", ValuesCount=2, Axis=0)
    flat = n.emit("RESHAPE", [x, target], n.like(x, 1, 24))
    model = n.finish([x], [n.emit("RELU", [flat], n.s8(1, 24))])
    inputs, expected = run_litert(model, everything) or ([], [])
    np.testing.assert_array_equal(interpret_tte(model, inputs)[0], expected[0])
    assert [op.op.label() for op in import_tflite(model, "m").graphs[0].nodes] == ["reshape", "clamp"]


def test_half_precision_weights() -> None:
    w = np.random.default_rng(0).standard_normal((5, 7)).astype(np.float16)
    tensors = [T((1, 7), "f4"), T.constant(w), T((5, 7), "f4"), T((1, 5), "f4")]
    ops = [Op("DEQUANTIZE", [1], [2]), Op("FULLY_CONNECTED", [0, 2], [3], "FullyConnectedOptions")]
    model = build(tensors, ops, [0], [3])
    inputs, expected = run_litert(model, everything) or ([], [])
    np.testing.assert_allclose(interpret_tte(model, inputs)[0], expected[0], 1e-5)


X = T((1, 4, 4, 2), scale=0.1)
W = T.constant(np.ones((3, 1, 1, 2), np.int8), 0.1)
NAN = T.constant(np.full((3, 1, 1, 2), np.nan, np.float32))
Y = T((1, 4, 4, 3), scale=0.1)
REFUSED = {
    "batch 2 is not supported": single("CONV_2D", [T((2, 4, 4, 2), scale=0.1), W], Y, "Conv2DOptions", **CONV),
    "f32 activations by s8 weights": single(
        "CONV_2D", [T(X.shape, "f4"), W], T(Y.shape, "f4"), "Conv2DOptions", **CONV
    ),
    "holds infinity or NaN": single("CONV_2D", [T(X.shape, "f4"), NAN], T(Y.shape, "f4"), "Conv2DOptions", **CONV),
    "must be a constant": single("CONV_2D", [X, T(W.shape, scale=0.1)], Y, "Conv2DOptions", **CONV),
    "has no Conv2DOptions": single("CONV_2D", [X, W], Y, "AddOptions"),
    "has no input 1": single("ADD", [X], X, "AddOptions"),
    "'t2': ABS is not supported (tte knows ADD": single("ABS", [X, W], X),
    "the file says s8[1,3,4,3]": single("CONV_2D", [X, W], T((1, 3, 4, 3), scale=0.1), "Conv2DOptions", **CONV),
    "UINT8 't0' is not supported": single("RELU", [T(X.shape, "u1", 0.1)], T(X.shape, "u1", 0.1)),
    "INT16 't0' is not supported": single("RELU", [T(X.shape, "i2", 0.1)], T(X.shape, "i2", 0.1)),
    "the scale -0.1 is not between": single("RELU", [T(X.shape, scale=-0.1)], X),
    "the scale nan is not between": single("RELU", [T(X.shape, scale=float("nan"))], X),
    "need scales": single("RELU", [T(X.shape)], X),
    "has dimensions that are not known": single("RELU", [T((1, -1, 4, 2), scale=0.1)], X),
    "larger than 256 MB": single("RELU", [T((1, 2**15, 2**15, 1), scale=0.1)], X),
    "has the shape": single("RELU", [T((1, 2**30, 2**30, 2**30), scale=0.1)], X),
    "fused activation 4": single("ADD", [X, X], X, "AddOptions", FusedActivationFunction=4),
    "window (0, 3)": single("MAX_POOL_2D", [X], X, "Pool2DOptions", StrideH=1, StrideW=1, FilterWidth=3),
    "ratio of scales": single("RELU", [X], T(X.shape, scale=1e-11)),
}


@pytest.mark.parametrize("words", REFUSED)
def test_refused_in_words(words: str) -> None:
    with pytest.raises(TteError, match=re.escape(words)) as caught:
        compile_model(import_tflite(REFUSED[words].build(), "m"), usable("host"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("ops", "outs", "words"),
    [
        ([Op("RELU", [1], [2]), Op("RELU", [0], [1])], [2], "reads 't1' before it is computed"),
        ([Op("RELU", [1], [1])], [1], "reads 't1' before it is computed"),
        ([Op("RELU", [0], [1]), Op("RELU", [0], [1])], [1], "computed twice"),
        ([Op("RELU", [0], [0])], [0], "computed twice"),
        ([Op("RELU", [0], [7])], [1], "names tensor 7 of 3"),
        ([Op("RELU", [0], [1])], [2], "an output that no operator computes"),
        ([], [0], "an output that no operator computes"),
        ([Op("RELU", [0], [])], [1], "has 0 outputs"),
        ([Op("RELU", [], [1])], [1], "has no input 0"),
    ],
)
def test_structures_that_make_no_sense(ops: list[Op], outs: list[int], words: str) -> None:
    with pytest.raises(TteError, match=re.escape(words)):
        import_tflite(build([X, X, X], ops, [0], outs), "m")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(TteError, match=r"nowhere\.tflite: cannot be read"):
        import_tflite("nowhere.tflite")
