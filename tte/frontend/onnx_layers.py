"""ONNX's layers with weights, and its pools. Floor 5."""

from __future__ import annotations

import numpy as np

from tte.frontend.onnx_scope import Handler, Scope, axes_of, elements
from tte.frontend.onnx_tensor import Fixed, Live, Tensor
from tte.ops.add import Add
from tte.ops.average_pool import AveragePool
from tte.ops.concat import Concat
from tte.ops.conv import Conv
from tte.ops.linear import Linear
from tte.ops.max_pool import MaxPool
from tte.ops.resize_nearest import ResizeNearest
from tte.types import Value

Pads = tuple[int, int, int, int]
MAX_BATCH = 64  # products of matrices in one MatMul


def conv(s: Scope) -> Tensor:
    """Conv of rank 4, or of rank 3 as one with a single row. w[co,ci/g,kh,kw] and b[co] are constants."""
    x, w = s.live(0), weights(s, s.fixed(1, "the weights"))
    s.require(
        x.rank in (3, 4) and len(w.shape) == x.rank, f"x {list(x.shape)} and w {list(w.shape)} must have rank 3 or 4"
    )
    groups = s.call.integer("group", 1)
    s.require(x.shape[1] == groups * w.shape[1], f"{x.shape[1]} channels are not {groups} groups of {w.shape[1]}")
    stride, pads, dilation = window(s, x, w.shape[2:])
    bias = s.arranged(s.get(2), 1, False, f"{s.call.ins[2]}") if s.has(2) else zeros(s, w.shape[0])
    weight = s.held(w.arranged(w.array.ndim, True), s.call.ins[1])
    return Live(s.emit(Conv(stride, pads, dilation), s.nhwc(x), weight, bias), x.rank, True)


def weights(s: Scope, found: Fixed) -> Fixed:
    """A constant whose integers, if it has such, must be symmetric about zero."""
    zero = found.quant.zero if found.quant else 0
    if zero:
        raise s.fail(f"weights with zero point {zero} are not supported", "quantise weights symmetrically, to int8")
    return found


def zeros(s: Scope, n: int) -> Value:
    """A bias that adds nothing."""
    return s.held(Fixed(np.zeros(n, np.float32)), f"{s.call.outs[0]}_bias")


def window(s: Scope, x: Live, size: tuple[int, ...]) -> tuple[tuple[int, int], Pads, tuple[int, int]]:
    """Stride, pads and dilation in two dimensions of a window of `size` over x."""
    n = len(size)
    kernel = s.call.ints("kernel_shape")
    s.require(kernel in (None, size), f"kernel_shape {kernel} contradicts the weights' {size}")
    stride, dilation = (s.call.ints(name) or (1,) * n for name in ("strides", "dilations"))
    pads = s.call.ints("pads") or (0,) * (2 * n)
    s.require(
        len(stride) == len(dilation) == n and len(pads) == 2 * n, "strides, dilations or pads have the wrong length"
    )
    s.require(
        min(stride + dilation + size, default=0) >= 1 and min(pads) >= 0,
        "a stride, a dilation or a pad is out of range",
    )
    auto = s.call.text("auto_pad", "NOTSET")
    s.require(auto in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"), f"auto_pad {auto!r} is unknown")
    if auto == "VALID":
        pads = (0,) * (2 * n)
    elif auto != "NOTSET":
        total = [
            max((-(-h // st) - 1) * st + (k - 1) * d + 1 - h, 0)
            for h, k, st, d in zip(x.shape[2:], size, stride, dilation, strict=True)
        ]
        less, more = [t // 2 for t in total], [t - t // 2 for t in total]
        pads = (*less, *more) if auto == "SAME_UPPER" else (*more, *less)
    if n == 1:
        return (1, stride[0]), (0, pads[0], 0, pads[1]), (1, dilation[0])
    return (stride[0], stride[1]), (pads[0], pads[1], pads[2], pads[3]), (dilation[0], dilation[1])


def gemm(s: Scope) -> Tensor:
    """alpha * A B + beta * C; the factors go into constants."""
    a, b = s.live(0), s.get(1)
    s.require(a.rank == 2 and len(b.shape) == 2, "A and B must be matrices")
    alpha, beta = s.call.number("alpha", 1.0), s.call.number("beta", 1.0)
    x = s.moved(s.plain(a), (1, 0)) if s.call.integer("transA", 0) else s.plain(a)
    w = matrix(s, b, s.call.integer("transB", 0) != 0, alpha)
    n = w.type.shape[0]
    if not s.has(2) or beta == 0.0:
        return Live(s.emit(Linear(), x, w, zeros(s, n)), 2)
    c = s.get(2)
    if isinstance(c, Fixed) and c.array.size in (1, n) and elements(c.shape[:-1]) == 1:
        if beta != 1.0 or c.array.size != n:
            c = Fixed(np.broadcast_to(c.real.reshape(-1) * np.float32(beta), (n,)))
        return Live(s.emit(Linear(), x, w, s.held(Fixed(c.array.reshape(n), c.quant), s.call.ins[2])), 2)
    if isinstance(c, Fixed):
        c = Fixed(c.real * np.float32(beta))
    elif beta != 1.0:
        raise s.fail(f"beta {beta:g} is supported only where C is a constant")
    product = s.emit(Linear(), x, w, zeros(s, n))
    return Live(s.emit(Add(), product, s.arranged(c, 2, False, s.call.ins[2])), 2)


def matrix(s: Scope, b: Tensor, transposed: bool, factor: float = 1.0) -> Value:
    """Input 1 as b[k,n], or b[n,k] where `transposed`, as [n,k], times `factor`."""
    if isinstance(b, Live):
        s.require(factor == 1.0, "alpha must be 1 where B is not a constant")
        return s.plain(b) if transposed else s.moved(s.plain(b), (1, 0))
    b = weights(s, b)
    if factor != 1.0:
        b = Fixed(b.real * np.float32(factor))
    axis = b.quant.axis if b.quant else None
    if not transposed:
        quant = b.quant and type(b.quant)(b.quant.scale, b.quant.zero, None if axis is None else 1 - axis)
        b = Fixed(np.ascontiguousarray(b.array.T), quant)
    return s.held(b, s.call.ins[1])


def matmul(s: Scope) -> Tensor:
    """A[..., k] B[k, n]: a Linear over all rows of A; vectors are a row and a column. B[..., k, n]: one for each."""
    a, b = s.live(0), s.get(1)
    s.require(a.rank >= 1 and len(b.shape) >= 1, "A and B must not be scalars")
    wide = (*b.shape, 1) if len(b.shape) == 1 else b.shape
    k, n = wide[len(wide) - 2], wide[len(wide) - 1]
    s.require(a.shape[-1] == k, f"A {list(a.shape)} and B {list(b.shape)} do not fit")
    if elements(b.shape) != k * n:
        return by_batch(s, a, b)
    if len(b.shape) != 2:
        b = Fixed(b.real.reshape(k, n)) if isinstance(b, Fixed) else Live(s.reshaped(s.plain(b), (k, n)), 2)
    rows = elements(a.shape[:-1])
    y = s.emit(Linear(), s.reshaped(s.plain(a), (rows, k)), matrix(s, b, False), zeros(s, n))
    shape = (1,) * (len(b.shape) - a.rank) * (a.rank > 1) + a.shape[:-1] + (n,) * (len(s.get(1).shape) > 1)
    return Live(s.reshaped(y, shape), len(shape))


def by_batch(s: Scope, a: Live, b: Tensor) -> Tensor:
    """Matrix by matrix, along all axes but the last two; either operand may be repeated."""
    left, right = (1,) * (2 - a.rank) + a.shape, b.shape
    batch = np.broadcast_shapes(left[:-2], right[:-2])
    count, (m, k), n = elements(batch), left[-2:], right[-1]
    if count > MAX_BATCH:
        raise s.fail(f"{count} products of matrices are not supported", f"supported: {MAX_BATCH}")
    x, y = s.reshaped(s.plain(a), (1, elements(left[:-2]), m, k)), s.plain(b, s.call.ins[1])
    w = s.reshaped(
        s.moved(y, (*range(len(right) - 2), len(right) - 1, len(right) - 2)), (1, elements(right[:-2]), n, k)
    )
    at = [np.broadcast_to(np.arange(elements(o)).reshape(o), batch).reshape(-1) for o in (left[:-2], right[:-2])]
    products = []
    for i, j in zip(*at, strict=True):
        ins = (s.reshaped(picked(s, v, int(index)), v.type.shape[2:]) for v, index in ((x, i), (w, j)))
        products.append(s.reshaped(s.emit(Linear(), *ins, zeros(s, n)), (1, 1, m, n)))
    shape = batch + (m,) * (a.rank > 1) + (n,)
    return Live(s.reshaped(s.emit(Concat(1), *products), shape), len(shape))


def picked(s: Scope, value: Value, index: int) -> Value:
    """One row of a map."""
    _, h, w, _ = value.type.shape
    return value if h == 1 else s.emit(ResizeNearest((index,), tuple(range(w))), value)


def pool(s: Scope, average: bool) -> Tensor:
    """Of rank 4, or of rank 3 as one with a single row."""
    x, size = s.live(0), s.call.ints("kernel_shape")
    s.require(x.rank in (3, 4), f"x {list(x.shape)} must have rank 3 or 4")
    s.require(size is not None and len(size) == x.rank - 2, "kernel_shape is missing or has the wrong length")
    assert size is not None
    stride, pads, dilation = window(s, x, size)
    if dilation != (1, 1) or s.call.integer("storage_order", 0):
        raise s.fail("dilations and column-major indices are not supported")
    both = (1, size[0]) if len(size) == 1 else (size[0], size[1])
    if s.call.integer("ceil_mode", 0):
        pads = ceiled(s, x, both, stride, pads, average)
    op = (
        AveragePool(both, stride, pads, padded=s.call.integer("count_include_pad", 0) != 0)
        if average
        else MaxPool(both, stride, pads)
    )
    return Live(s.emit(op, s.nhwc(x)), x.rank, True, x.unsigned)


def ceiled(s: Scope, x: Live, size: tuple[int, int], stride: tuple[int, int], pads: Pads, average: bool) -> Pads:
    """Pads that make room for a last window that is only partly inside; it must begin inside."""
    top, left, bottom, right = pads
    more = []
    hw = x.shape[2:] if x.rank == 4 else (1, x.shape[2])
    for h, k, st, a, b in zip(hw, size, stride, (top, left), (bottom, right), strict=True):
        n = -(-(h + a + b - k) // st) + 1
        n -= (n - 1) * st >= h + a
        more.append(max((n - 1) * st + k - h - a - b, 0))
    if any(more) and average and s.call.integer("count_include_pad", 0):
        raise s.fail("ceil_mode with count_include_pad is not supported")
    return top, left, bottom + more[0], right + more[1]


def global_pool(s: Scope, average: bool) -> Tensor:
    """Over all positions."""
    x = s.live(0)
    s.require(x.rank in (3, 4), f"x {list(x.shape)} must have rank 3 or 4")
    size = (x.shape[2], x.shape[3]) if x.rank == 4 else (1, x.shape[2])
    return Live(s.emit(AveragePool(size) if average else MaxPool(size), s.nhwc(x)), x.rank, True, x.unsigned)


def reduce_mean(s: Scope) -> Tensor:
    """Over positions of a map in NHWC order; else over what is moved to the front, as a map of one row."""
    x = s.live(0)
    axes = axes_of(s, 1, x.rank)
    if not axes:
        if s.call.integer("noop_with_empty_axes", 0):
            return x
        axes = tuple(range(x.rank))
    shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    if x.nhwc and axes == tuple(range(2, x.rank)):
        _, h, w, _ = x.value.type.shape
        y = Live(s.emit(AveragePool((h, w)), x.value), x.rank, True)
    else:
        rest = tuple(i for i in range(x.rank) if i not in axes)
        k, m = elements(tuple(x.shape[i] for i in axes)), elements(tuple(x.shape[i] for i in rest))
        row = s.reshaped(s.moved(s.plain(x), (*axes, *rest)), (1, 1, k, m))
        y = Live(s.reshaped(s.emit(AveragePool((1, k)), row), shape), x.rank)
    if s.call.integer("keepdims", 1):
        return y
    kept = tuple(n for i, n in enumerate(x.shape) if i not in axes)
    return Live(s.reshaped(s.plain(y), kept), len(kept))


HANDLERS: dict[str, Handler] = {
    "Conv": conv,
    "Gemm": gemm,
    "MatMul": matmul,
    "AveragePool": lambda s: pool(s, True),
    "MaxPool": lambda s: pool(s, False),
    "GlobalAveragePool": lambda s: global_pool(s, True),
    "GlobalMaxPool": lambda s: global_pool(s, False),
    "ReduceMean": reduce_mean,
}
