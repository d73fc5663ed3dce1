"""ONNX's operators that move or choose elements. Floor 5."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tte.frontend.onnx_scope import Handler, Scope, axis_of, elements, slices, squeezed, widened
from tte.frontend.onnx_tensor import FROM_NHWC, Fixed, Live, Tensor
from tte.ops.concat import Concat
from tte.ops.pad import Pad
from tte.ops.resize_nearest import ResizeNearest
from tte.types import Array, Rounding


def identity(s: Scope) -> Tensor:
    """The input itself, under another name."""
    return s.get(0)


def dropout(s: Scope) -> Tensor:
    """The input itself, unless the model trains."""
    if s.has(2) and s.constant(2, "training_mode").any():
        raise s.fail("is in training mode", "export the model for inference")
    return s.get(0)


def cast(s: Scope) -> Tensor:
    """From float to float; constants are cast at import."""
    if s.call.integer("to", 0) != 1 or s.live(0).value.type.dtype.label != "f32":
        raise s.fail("changes the element type of a tensor that is computed", "supported: float to float")
    return s.get(0)


def shaped(s: Scope, shape: tuple[int, ...]) -> Tensor:
    """Input 0 under another shape, in the model's order of axes."""
    x = s.get(0)
    s.require(len(shape) <= 8 and elements(shape) == elements(x.shape), f"{list(x.shape)} cannot become {list(shape)}")
    if isinstance(x, Fixed) and (x.quant is None or x.quant.axis is None):
        return Fixed(x.array.reshape(shape), x.quant)
    if isinstance(x, Fixed):
        return Fixed(x.real.reshape(shape))
    return Live(s.reshaped(s.plain(x), shape), len(shape), unsigned=x.unsigned)


def reshape(s: Scope) -> Tensor:
    """0 keeps a size, -1 takes what is left."""
    given = list(s.integers(1, "the shape") if s.has(1) else s.call.ints("shape") or ())
    size = s.get(0).shape
    if not s.call.integer("allowzero", 0):
        s.require(
            all(n != 0 or i < len(size) for i, n in enumerate(given)), f"shape {given} keeps a size that is not there"
        )
        given = [n or size[i] for i, n in enumerate(given)]
    s.require(given.count(-1) <= 1 and min(given, default=0) >= -1, f"shape {given} is malformed")
    if -1 in given:
        known = math.prod(n for n in given if n != -1)
        s.require(known > 0 and elements(size) % known == 0, f"{list(size)} cannot become {given}")
        given[given.index(-1)] = elements(size) // known
    return shaped(s, tuple(given))


def flatten(s: Scope) -> Tensor:
    """Two dimensions, cut at an axis."""
    size = s.get(0).shape
    axis = s.call.integer("axis", 1)
    s.require(-len(size) <= axis <= len(size), f"has no axis {axis}")
    axis += len(size) * (axis < 0)
    return shaped(s, (elements(size[:axis]), elements(size[axis:])))


def transpose(s: Scope) -> Tensor:
    """Where the result is a tensor in NHWC order, or was one, nothing moves."""
    x = s.get(0)
    rank = len(x.shape)
    perm = s.call.ints("perm") or tuple(reversed(range(rank)))
    s.require(sorted(perm) == list(range(rank)), f"perm {list(perm)} does not permute {rank} axes")
    if isinstance(x, Fixed):
        axis = x.quant.axis if x.quant else None
        quant = x.quant and replace(x.quant, axis=None if axis is None else perm.index(axis))
        return Fixed(np.ascontiguousarray(x.array.transpose(perm)), quant)
    if rank == 4 and not x.nhwc and perm == FROM_NHWC:
        return replace(x, nhwc=True)
    if x.nhwc and rank == 4:
        return replace(x, value=s.moved(x.value, tuple(FROM_NHWC[p] for p in perm)), nhwc=False)
    return Live(s.moved(s.plain(x), perm), rank, unsigned=x.unsigned)


def concat(s: Scope) -> Tensor:
    """In NHWC order if one input is."""
    given = [s.get(i) for i in range(len(s.call.ins))]
    rank = len(given[0].shape)
    s.require(all(len(x.shape) == rank for x in given), "its inputs have different numbers of axes")
    axis = axis_of(s, s.call.integer("axis", 1), rank)
    nhwc = any(isinstance(x, Live) and x.nhwc for x in given)
    values = [s.nhwc(x, n) if nhwc else s.plain(x, n) for x, n in zip(given, s.call.ins, strict=True)]
    unsigned = any(isinstance(x, Live) and x.unsigned for x in given)
    like = Live(values[0], rank, nhwc, unsigned)
    return replace(like, value=s.emit(Concat(like.axis(axis)), *values))


def pad(s: Scope) -> Tensor:
    """With a constant, around any axis of up to four."""
    x = s.live(0)
    if s.call.text("mode", "constant") != "constant":
        raise s.fail(f"mode {s.call.text('mode', '')!r} is not supported", "supported: constant")
    given = s.integers(1, "pads") if s.has(1) else s.call.ints("pads") or ()
    axes = s.integers(3, "axes") if s.has(3) else tuple(range(x.rank))
    value = s.constant(2, "the padding's value").reshape(-1) if s.has(2) else np.array([s.call.number("value", 0.0)])
    s.require(len(given) == 2 * len(axes) and value.size == 1, "pads and axes do not fit")
    s.require(min(given, default=0) >= 0, "pads are negative", "use Slice")
    before, after = [0] * x.rank, [0] * x.rank
    for i, a in enumerate(axes):
        before[x.axis(axis_of(s, a, x.rank))] = given[i]
        after[x.axis(axis_of(s, a, x.rank))] = given[len(axes) + i]
    if x.nhwc and x.rank == 3:
        before, after = [before[0], 0, *before[2:]], [after[0], 0, *after[2:]]
    q = x.value.type.quant
    real = float(value[0]) if q is None else (float(value[0]) - 128 * x.unsigned - q.zero) * q.scale[0]
    return replace(x, value=s.emit(Pad(tuple(before), tuple(after), real, Rounding.ONNX), x.value))


def chosen(s: Scope, x: Live, axis: int, indices: tuple[int, ...]) -> Live:
    """x at these indices along one of its value's axes: columns of a map whose rows are all that comes before."""
    shape = x.value.type.shape
    if indices == tuple(range(shape[axis])):
        return x
    s.require(len(indices) > 0, "its result is empty")
    if len(shape) == 4 and shape[0] == 1 and axis in (1, 2):
        every = tuple(range(shape[3 - axis]))
        op = ResizeNearest(indices, every) if axis == 1 else ResizeNearest(every, indices)
        return replace(x, value=s.emit(op, x.value))
    rows, inner = elements(shape[:axis]), elements(shape[axis + 1 :])
    s.require(rows <= 2**20, f"{list(shape)} has too many rows to choose from")
    y = s.emit(ResizeNearest(tuple(range(rows)), indices), s.reshaped(x.value, (1, rows, shape[axis], inner)))
    return replace(x, value=s.reshaped(y, (*shape[:axis], len(indices), *shape[axis + 1 :])))


def sliced(s: Scope) -> Tensor:
    """Any axes, with steps, backwards too."""
    x = s.live(0)
    for axis, indices in enumerate(slices(s, x.shape)):
        x = chosen(s, x, x.axis(axis), tuple(indices))
    return x


def split(s: Scope) -> tuple[Tensor, ...]:
    """Pieces along an axis, of given sizes or as equal as can be."""
    x, parts = s.live(0), len(s.call.outs)
    axis = axis_of(s, s.call.integer("axis", 0), x.rank)
    n = x.shape[axis]
    given = s.integers(1, "split") if s.has(1) else s.call.ints("split")
    sizes = given or tuple(max(min(-(-n // parts), n - i * -(-n // parts)), 0) for i in range(parts))
    s.require(len(sizes) == parts and sum(sizes) == n and min(sizes) > 0, f"pieces {list(sizes)} do not make up {n}")
    ends = [sum(sizes[: i + 1]) for i in range(parts)]
    return tuple(
        chosen(s, x, x.axis(axis), tuple(range(end - size, end))) for size, end in zip(sizes, ends, strict=True)
    )


def gather(s: Scope) -> Tensor:
    """Elements at constant indices along an axis; a single one takes the axis away."""
    x, at = s.live(0), s.constant(1, "the indices")
    axis = axis_of(s, s.call.integer("axis", 0), x.rank)
    n = x.shape[axis]
    s.require(at.dtype.kind == "i" and at.ndim <= 1 and at.size <= 2**16, "its indices must be a number or a vector")
    indices = tuple(int(i) + n * (i < 0) for i in at.reshape(-1))
    s.require(all(0 <= i < n for i in indices), f"its indices leave the {n} elements of axis {axis}")
    y = chosen(s, x, x.axis(axis), indices)
    if at.ndim:
        return y
    shape = y.shape[:axis] + y.shape[axis + 1 :]
    return Live(s.reshaped(s.plain(y), shape), len(shape), unsigned=y.unsigned)


def resize(s: Scope) -> Tensor:
    """Nearest neighbours of a map; scales and sizes are constants."""
    x, mode = s.live(0), s.call.text("mode", "nearest")
    if mode != "nearest" or x.rank not in (3, 4):
        raise s.fail(f"mode {mode!r} of {list(x.shape)} is not supported", "supported: nearest, over height and width")
    size, scales = new_size(s, x)
    s.require(min(size) > 0 and max(size) < 2**20, f"its result would be {size[:4]}")
    indices = [tuple(nearest(s, n, m, f)) for n, m, f in zip(x.shape, size, scales, strict=True)]
    if any(i != tuple(range(n)) for i, n in zip(indices[:2], x.shape, strict=False)):
        raise s.fail("resizing the batch or the channels is not supported")
    y = s.emit(ResizeNearest(indices[2] if x.rank == 4 else (0,), indices[-1]), s.nhwc(x))
    return Live(y, x.rank, True, x.unsigned)


def new_size(s: Scope, x: Live) -> tuple[list[int], list[float]]:
    """The sizes that a Resize gives, and by which factors."""
    at = 1 if s.call.op == "Upsample" or s.opset < 11 else 2
    axes = tuple(axis_of(s, a, x.rank) for a in s.call.ints("axes") or range(x.rank))
    if s.has(3) and at == 2 and s.get(3).shape != (0,):
        given = dict(zip(axes, s.integers(3, "sizes"), strict=True))
        size = kept_aspect(s, x, [given.get(i, n) for i, n in enumerate(x.shape)], axes)
        return size, [n / old for n, old in zip(size, x.shape, strict=True)]
    found = s.constant(at, "the scales") if s.has(at) else s.call.attributes.get("scales", ())
    factors = np.asarray(found, np.float32)
    fine = factors.shape == (len(axes),) and bool((factors > 0).all() and (factors < 1024).all())
    s.require(fine, "its scales are malformed")
    by_axis = dict(zip(axes, map(float, factors), strict=True))
    scales = [by_axis.get(i, 1.0) for i in range(x.rank)]
    return [math.floor(n * f) for n, f in zip(x.shape, scales, strict=True)], scales


def kept_aspect(s: Scope, x: Live, size: list[int], axes: tuple[int, ...]) -> list[int]:
    """Sizes with one ratio for all axes, if the policy asks for that."""
    policy = s.call.text("keep_aspect_ratio_policy", "stretch")
    s.require(policy in ("stretch", "not_larger", "not_smaller"), f"keep_aspect_ratio_policy {policy!r} is unknown")
    if policy == "stretch":
        return size
    ratios = [size[a] / x.shape[a] for a in axes]
    ratio = min(ratios) if policy == "not_larger" else max(ratios)
    return [math.floor(n * ratio + 0.5) if i in axes else n for i, n in enumerate(x.shape)]


def nearest(s: Scope, n: int, size: int, scale: float) -> list[int]:
    """For each of `size` results the element of `n` that it takes. In float32, as ONNX Runtime computes it."""
    i, f = np.arange(size, dtype=np.float32), np.float32(scale)
    old = s.call.op == "Upsample" or s.opset < 11
    mode = "asymmetric" if old else s.call.text("coordinate_transformation_mode", "half_pixel")
    where = {
        "asymmetric": i / f,
        "half_pixel": (i + np.float32(0.5)) / f - np.float32(0.5),
        "pytorch_half_pixel": (i + np.float32(0.5)) / f - np.float32(0.5) if size > 1 else np.zeros_like(i),
        "half_pixel_symmetric": symmetric(i, f, n, size),
        "align_corners": i * np.float32(n - 1) / np.float32(size - 1) if size > 1 else np.zeros_like(i),
        "tf_half_pixel_for_nn": (i + np.float32(0.5)) / f,
    }.get(mode)
    if where is None:
        raise s.fail(f"coordinate_transformation_mode {mode!r} is not supported")
    rounding = "simple" if old else s.call.text("nearest_mode", "round_prefer_floor")
    found = {
        "simple": np.floor(where) if scale >= 1 else np.ceil(where),
        "floor": np.floor(where),
        "ceil": np.ceil(where),
        "round_prefer_floor": np.ceil(where - np.float32(0.5)),
        "round_prefer_ceil": np.floor(where + np.float32(0.5)),
    }.get(rounding)
    if found is None:
        raise s.fail(f"nearest_mode {rounding!r} is not supported")
    return [int(v) for v in np.clip(found, 0, n - 1)]


def symmetric(i: Array, f: np.float32, n: int, size: int) -> Array:
    """ONNX's half_pixel_symmetric: as half_pixel, about the centre of what the rounded size covers."""
    adjust = np.float32(size) / (np.float32(n) * f)
    centre = np.float32(n / 2)
    where: Array = centre * (1 - adjust) + (i + np.float32(0.5)) / f - np.float32(0.5)
    return where


HANDLERS: dict[str, Handler] = {
    "Identity": identity,
    "Dropout": dropout,
    "Cast": cast,
    "Reshape": reshape,
    "Flatten": flatten,
    "Squeeze": lambda s: shaped(s, squeezed(s, s.get(0).shape)),
    "Unsqueeze": lambda s: shaped(s, widened(s, s.get(0).shape)),
    "Transpose": transpose,
    "Concat": concat,
    "Pad": pad,
    "Slice": sliced,
    "Split": split,
    "Gather": gather,
    "Resize": resize,
    "Upsample": resize,
}
