"""Random models of one operator each, by row of docs/numerics.md."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tflite_builder import Single, T, single

Rng = np.random.Generator
SAME, VALID = 0, 1
# Scales of input and output whose ratio in f32 gives another table than in f64: the rules differ in which they use.
NEAR_TIES = ((0.0014789725, 0.00238078507), (0.490667254, 0.562402248), (0.0424268916, 0.0832156762))
NEAR_TIES_BELOW = ((0.358485699, 0.0337966308), (0.0825778022, 0.00724474387))  # times alpha = 0.1, of negative x
NONE, RELU, RELU_N1, RELU6 = 0, 1, 2, 3


def scale(rng: Rng, low: float = 1e-3, high: float = 0.5) -> float:
    return float(np.float32(np.exp(rng.uniform(np.log(low), np.log(high)))))


def zero(rng: Rng) -> int:
    return int(rng.choice([-128, 127, 0, rng.integers(-128, 128)]))


def extent(rng: Rng, most: int = 9) -> int:
    return int(rng.integers(1, most + 1))


def activation(rng: Rng) -> int:
    return int(rng.choice([NONE, RELU, RELU_N1, RELU6]))


def s8(rng: Rng, *shape: int) -> T:
    return T(shape, scale=scale(rng), zero=zero(rng))


def window(rng: Rng, x: T, kh: int, kw: int, dilated: bool) -> tuple[dict[str, float], tuple[int, int]]:
    """Padding, strides, dilations, and the extents of the result."""
    sizes, strides, dilations, out = (kh, kw), [extent(rng, 3), extent(rng, 3)], [1, 1], []
    if dilated and rng.random() < 0.3:
        strides, dilations = [1, 1], [extent(rng, 3), extent(rng, 3)]
    small = any(n <= (k - 1) * d for n, k, d in zip(x.shape[1:3], sizes, dilations, strict=True))
    padding = SAME if small else int(rng.choice([SAME, VALID]))
    for n, k, s, d in zip(x.shape[1:3], sizes, strides, dilations, strict=True):
        out.append(-(-n // s) if padding == SAME else (n - (k - 1) * d - 1) // s + 1)
    fields: dict[str, float] = {"Padding": padding, "StrideH": strides[0], "StrideW": strides[1]}
    if dilated:
        fields |= {"DilationHFactor": dilations[0], "DilationWFactor": dilations[1]}
    return fields | {"FusedActivationFunction": activation(rng)}, (out[0], out[1])


def layer(rng: Rng, x: T, shape: tuple[int, ...], axis: int, products: int) -> tuple[list[T], float]:
    """Weights, perhaps a bias at the limits, and a scale that spreads the results."""
    per_channel = rng.random() < 0.7
    n = shape[axis] if per_channel else 1
    scales = [scale(rng, 1e-4, 0.05) for _ in range(n)]
    if per_channel and rng.random() < 0.2:
        scales[0] = 4e-9  # a dead channel
    w = T.constant(rng.integers(-127, 128, shape, np.int8), scales, 0, axis)
    tensors = [w]
    if rng.random() < 0.8:
        bias = rng.integers(-20000, 20000, shape[axis], np.int32)
        tensors.append(T.constant(bias, [float(np.float32(x.scale) * np.float32(s)) for s in scales]))
    return tensors, float(np.median(scales)) * float(x.scale) * products**0.5 * float(np.exp(rng.uniform(2, 5)))


def conv(rng: Rng) -> Single:
    groups = extent(rng, 3) if rng.random() < 0.3 else 1
    x = s8(rng, 1, extent(rng), extent(rng), groups * extent(rng))
    kh, kw, co = extent(rng, 4), extent(rng, 4), groups * extent(rng)
    fields, (oh, ow) = window(rng, x, kh, kw, True)
    cg = x.shape[3] // groups
    weights, s = layer(rng, x, (co, kh, kw, cg), 0, kh * kw * cg)
    return single("CONV_2D", [x, *weights], T((1, oh, ow, co), scale=s, zero=zero(rng)), "Conv2DOptions", **fields)


def depthwise(rng: Rng) -> Single:
    x, m = s8(rng, 1, extent(rng), extent(rng), extent(rng)), extent(rng, 3)
    kh, kw, co = extent(rng, 4), extent(rng, 4), x.shape[3] * m
    fields, (oh, ow) = window(rng, x, kh, kw, True)
    weights, s = layer(rng, x, (1, kh, kw, co), 3, kh * kw)
    out = T((1, oh, ow, co), scale=s, zero=zero(rng))
    return single("DEPTHWISE_CONV_2D", [x, *weights], out, "DepthwiseConv2DOptions", DepthMultiplier=m, **fields)


def fully_connected(rng: Rng) -> Single:
    if rng.random() < 0.3:
        return products(rng)
    rows, k, n = extent(rng, 3), extent(rng, 40), extent(rng)
    keep = rng.random() < 0.3
    x = s8(rng, 1, rows, k) if keep else s8(rng, rows, k)
    weights, s = layer(rng, x, (n, k), 0, k)
    out = T((*x.shape[:-1], n), scale=s, zero=zero(rng))
    fields = {"KeepNumDims": keep, "FusedActivationFunction": activation(rng)}
    return single("FULLY_CONNECTED", [x, *weights], out, "FullyConnectedOptions", **fields)


def products(rng: Rng) -> Single:
    """A fully connected layer with one column: all products of two bytes."""
    x, s = T((256, 1), scale=scale(rng), zero=-128), scale(rng, 1e-4, 0.05)
    w = T.constant(np.arange(-127, 128, dtype=np.int8).reshape(-1, 1), s)
    out = T((256, 255), scale=float(x.scale) * s * 100 * float(np.exp(rng.uniform(-1, 1))))
    return single("FULLY_CONNECTED", [x, w], out, "FullyConnectedOptions")


def elementwise(name: str, options: str) -> Callable[[Rng], Single]:
    """Small shapes, perhaps one repeated, and the table of all pairs."""

    def make(rng: Rng) -> Single:
        if rng.random() < 0.3:
            return table(rng)
        shape = (1, extent(rng, 4), extent(rng, 4), extent(rng))
        a, b = s8(rng, *shape), s8(rng, *shape)
        if rng.random() < 0.4:
            kept = tuple(1 if rng.random() < 0.5 else n for n in shape)
            b = s8(rng, *kept[int(rng.integers(0, 2)) :])
        spread = float(a.scale) * float(b.scale) * 60 if name == "MUL" else max(float(a.scale), float(b.scale))
        out = T(shape, scale=spread * float(np.exp(rng.uniform(-1, 1))), zero=zero(rng))
        pair = [a, b] if rng.random() < 0.7 or name == "SUB" else [b, a]
        return single(name, pair, out, options, FusedActivationFunction=activation(rng))

    def table(rng: Rng) -> Single:
        a, b = T((256, 1), scale=scale(rng), zero=-128), T((1, 256), scale=scale(rng), zero=-128)
        spread = float(a.scale) * float(b.scale) * 100 if name == "MUL" else max(float(a.scale), float(b.scale))
        out = T((256, 256), scale=spread * float(np.exp(rng.uniform(-1, 1))), zero=0 if name == "SUB" else -128)
        return single(name, [a, b], out, options)

    return make


def pool(name: str) -> Callable[[Rng], Single]:
    def make(rng: Rng) -> Single:
        x = s8(rng, 1, extent(rng), extent(rng), extent(rng, 5))
        kh, kw = (x.shape[1], x.shape[2]) if rng.random() < 0.3 else (extent(rng, 4), extent(rng, 4))
        fields, (oh, ow) = window(rng, x, kh, kw, False)
        out = T((1, oh, ow, x.shape[3]), scale=x.scale, zero=x.zero)
        return single(name, [x], out, "Pool2DOptions", FilterHeight=kh, FilterWidth=kw, **fields)

    return make


def mean(rng: Rng) -> Single:
    rank = int(rng.integers(2, 5))
    x = s8(rng, *(extent(rng, 6) for _ in range(rank)))
    axes = sorted(rng.choice(rank, extent(rng, rank), replace=False).tolist())
    if rank == 4 and rng.random() < 0.4:
        axes = [1, 2]
    keep = bool(rng.random() < 0.5) or len(axes) == rank
    shape = tuple(1 if k in axes else n for k, n in enumerate(x.shape) if keep or k not in axes)
    out = T(shape, scale=x.scale, zero=x.zero) if rng.random() < 0.3 else T(shape, scale=scale(rng), zero=zero(rng))
    given = [a - rank * int(rng.random() < 0.3) for a in axes]
    return single("MEAN", [x, T.constant(np.array(given, np.int32))], out, "ReducerOptions", KeepDims=keep)


def softmax(rng: Rng) -> Single:
    x = T((extent(rng, 3), extent(rng, 30)), scale=scale(rng, 1e-4, 20), zero=zero(rng))
    beta = float(rng.choice([1.0, 0.5, 3.0]))
    return single("SOFTMAX", [x], T(x.shape, scale=1 / 256, zero=-128), "SoftmaxOptions", Beta=beta)


def near_tie(rng: Rng, scales: tuple[tuple[float, float], ...]) -> tuple[T, T]:
    z = 127 if scales is NEAR_TIES_BELOW else -128
    a, b = scales[int(rng.integers(0, len(scales)))]
    return T((2, 256), scale=a, zero=z), T((2, 256), scale=b, zero=z)


def unary(name: str, out: T | None = None, options: str = "", **fields: float) -> Callable[[Rng], Single]:
    def make(rng: Rng) -> Single:
        x = T((2, 256), scale=scale(rng, 1e-3, 0.3), zero=zero(rng))
        y = out or T(x.shape, scale=float(x.scale) * float(np.exp(rng.uniform(-1, 1))), zero=zero(rng))
        if out is None and rng.random() < 0.2:
            x, y = near_tie(rng, NEAR_TIES_BELOW if fields and rng.random() < 0.5 else NEAR_TIES)
        return single(name, [x], y, options, **fields)

    return make


def hard_swish(rng: Rng) -> Single:
    x = T((2, 256), scale=scale(rng, 1e-3, 0.3), zero=zero(rng))
    return single("HARD_SWISH", [x], T(x.shape, scale=float(x.scale) * rng.uniform(0.4, 1.5), zero=zero(rng)))


def quantize(rng: Rng) -> Single:
    return single("QUANTIZE", [T((2, 300), "f4")], T((2, 300), scale=scale(rng), zero=zero(rng)))


def requantize(rng: Rng) -> Single:
    kinds = [("i1", "i1"), ("u1", "i1"), ("i1", "u1")]
    if rng.random() < 0.2:
        x, y = near_tie(rng, NEAR_TIES)
        return single("QUANTIZE", [x], y)
    a, b = kinds[int(rng.integers(0, 3))]
    x = T((2, 300), a, scale(rng), zero(rng) + 128 * (a == "u1"))
    ratio = 1.0 if rng.random() < 0.2 else float(np.exp(rng.uniform(-2, 2)))
    return single("QUANTIZE", [x], T(x.shape, b, float(x.scale) * ratio, zero(rng) + 128 * (b == "u1")))


def dequantize(rng: Rng) -> Single:
    kind = str(rng.choice(["i1", "u1"]))
    x = T((2, 300), kind, scale(rng), zero(rng) + 128 * (kind == "u1"))
    return single("DEQUANTIZE", [x], T(x.shape, "f4"))


def concat(rng: Rng) -> Single:
    axis, shape = int(rng.integers(0, 4)), [1, extent(rng, 4), extent(rng, 4), extent(rng, 4)]
    first = s8(rng, *shape)
    parts = [first]
    for _ in range(extent(rng, 3)):
        shape[axis] = extent(rng, 4)
        parts.append(T(tuple(shape), scale=first.scale, zero=first.zero))
    shape[axis] = sum(p.shape[axis] for p in parts)
    out = T(tuple(shape), scale=first.scale, zero=first.zero)
    return single("CONCATENATION", parts, out, "ConcatenationOptions", Axis=axis - 4 * int(rng.random() < 0.5))


def pad(rng: Rng) -> Single:
    x = s8(rng, *(extent(rng, 4) for _ in range(int(rng.integers(1, 5)))))
    widths = rng.integers(0, 3, (len(x.shape), 2), np.int32)
    out = T(tuple(int(n + w.sum()) for n, w in zip(x.shape, widths, strict=True)), scale=x.scale, zero=x.zero)
    if rng.random() < 0.5:
        return single("PAD", [x, T.constant(widths)], out, "PadOptions")
    value = T.constant(rng.integers(-128, 128, (1,), np.int8), x.scale, x.zero)
    return single("PADV2", [x, T.constant(widths), value], out, "PadV2Options")


def transpose(rng: Rng) -> Single:
    x = s8(rng, *(extent(rng, 5) for _ in range(int(rng.integers(1, 5)))))
    perm = rng.permutation(len(x.shape)).astype(np.int32)
    out = T(tuple(x.shape[k] for k in perm), scale=x.scale, zero=x.zero)
    return single("TRANSPOSE", [x, T.constant(perm)], out, "TransposeOptions")


def resize(rng: Rng) -> Single:
    x, size = (
        s8(rng, 1, extent(rng), extent(rng), extent(rng, 4)),
        np.array([extent(rng, 15), extent(rng, 15)], np.int32),
    )
    out = T((1, int(size[0]), int(size[1]), x.shape[3]), scale=x.scale, zero=x.zero)
    corners = bool(rng.random() < 0.5)
    fields = {"AlignCorners": corners, "HalfPixelCenters": not corners and bool(rng.random() < 0.5)}
    return single("RESIZE_NEAREST_NEIGHBOR", [x, T.constant(size)], out, "ResizeNearestNeighborOptions", **fields)


RULES: dict[str, Callable[[Rng], Single]] = {
    "add": elementwise("ADD", "AddOptions"),
    "average_pool": pool("AVERAGE_POOL_2D"),
    "concat": concat,
    "conv": conv,
    "depthwise": depthwise,
    "dequantize": dequantize,
    "hard_swish": hard_swish,
    "leaky_relu": unary("LEAKY_RELU", None, "LeakyReluOptions", Alpha=0.1),
    "linear": fully_connected,
    "max_pool": pool("MAX_POOL_2D"),
    "mean": mean,
    "mul": elementwise("MUL", "MulOptions"),
    "pad": pad,
    "quantize": quantize,
    "relu": unary("RELU"),
    "relu6": unary("RELU6"),
    "relu_n1_to_1": unary("RELU_N1_TO_1"),
    "requantize": requantize,
    "resize_nearest": resize,
    "sigmoid": unary("LOGISTIC", T((2, 256), scale=1 / 256, zero=-128)),
    "softmax": softmax,
    "sub": elementwise("SUB", "SubOptions"),
    "tanh": unary("TANH", T((2, 256), scale=1 / 128, zero=0)),
    "transpose": transpose,
}
