"""What an ONNX importer knows while it walks the nodes: the tensors so far, and the graph that grows. Floor 4."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from tte.errors import BadModel, TteError, Unsupported
from tte.frontend.onnx_model import MAX_ELEMENTS, Call, shown
from tte.frontend.onnx_tensor import FROM_NHWC, TO_NHWC, Fixed, Live, Tensor
from tte.ir import Builder
from tte.op import Op
from tte.ops.dequantize import Dequantize
from tte.ops.reshape import Reshape
from tte.ops.transpose import Transpose
from tte.types import Array, DType, TensorType, Value

MAX_FOLDED = 2**28  # bytes of constants that nodes compute
DTYPES = {d.numpy: d for d in (DType.F32, DType.S8, DType.S32)}


class Scope:
    """The tensors so far, the node at hand, and the graph that grows."""

    def __init__(self, builder: Builder, opset: int, tensors: dict[str, Tensor]) -> None:
        self.builder, self.opset, self.tensors = builder, opset, tensors
        self.call = Call("", "", "", (), (), {})
        self.given: set[Value] = set()  # what the graph returns so far
        self._spent = 0  # bytes of constants that nodes computed
        self._other: dict[Live, Value] = {}  # the same tensor in the other layout

    def fail(self, what: str, hint: str = "") -> TteError:
        """To be raised: the node at hand asks for what tte cannot do."""
        return Unsupported(self.call.where, what, hint)

    def require(self, condition: bool, what: str, hint: str = "") -> None:
        """Refuse the model unless `condition` holds."""
        if not condition:
            raise BadModel(self.call.where, what, hint)

    def define(self, results: Tensor | tuple[Tensor, ...]) -> None:
        """The results of the node at hand; what a handler does not compute stays unknown."""
        given = results if isinstance(results, tuple) else (results,)
        for name, result in zip(self.call.outs, given, strict=False):
            if name in self.tensors:
                raise BadModel(self.call.where, f"{shown(name)} is computed twice")
            self.tensors[name] = result
            self._spent += result.array.nbytes if isinstance(result, Fixed) else 0
        if self._spent > MAX_FOLDED:
            raise self.fail(f"constants that nodes compute take more than {MAX_FOLDED >> 20} MB")

    def has(self, i: int) -> bool:
        """True if the node at hand has an input `i`."""
        return i < len(self.call.ins) and self.call.ins[i] != ""

    def get(self, i: int) -> Tensor:
        """Input `i` of the node at hand."""
        self.require(self.has(i), f"has no input {i}")
        found = self.tensors.get(self.call.ins[i])
        if found is None:
            what = f"its input {shown(self.call.ins[i])} is not computed before it, and is no initialiser"
            raise BadModel(self.call.where, what, "the graph may have a cycle, or lack data")
        return found

    def live(self, i: int) -> Live:
        """Input `i`; a constant becomes a state."""
        found = self.get(i)
        return found if isinstance(found, Live) else Live(self.held(found, self.call.ins[i]), len(found.shape))

    def constant(self, i: int, what: str) -> Array:
        """Input `i`, which must be a constant."""
        return self.fixed(i, what).real

    def fixed(self, i: int, what: str) -> Fixed:
        """Input `i`, which must be a constant."""
        found = self.get(i)
        if isinstance(found, Live):
            raise self.fail(f"{what} must be a constant", "it is computed by the model")
        return found

    def integers(self, i: int, what: str) -> tuple[int, ...]:
        """Input `i` as constant integers."""
        found = self.constant(i, what)
        self.require(found.dtype.kind in "iu" and found.size <= 64, f"{what} must be a few integers")
        return tuple(int(v) for v in found.reshape(-1))

    def emit(self, op: Op, *ins: Value, name: str = "") -> Value:
        """Append a node with one result."""
        try:
            types = op.results(*(v.type for v in ins))
        except TteError as error:
            raise type(error)(self.call.where, str(error)) from error
        self.require(types[0].size <= MAX_ELEMENTS, f"its result has more than {MAX_ELEMENTS} elements")
        source = self.call.name or next(iter(self.call.outs), "")
        return self.builder.emit(op, *ins, name=short(name or next(iter(self.call.outs), "")), source=source)[0]

    def held(self, fixed: Fixed, name: str) -> Value:
        """A constant as a value of the graph; if it stands for reals, as those."""
        self.require(fixed.array.size <= MAX_ELEMENTS, f"the constant {shown(name)} is too large")
        self.require(fixed.array.dtype in DTYPES, f"the constant {shown(name)} is of type {fixed.array.dtype}")
        self.require(bool(np.isfinite(fixed.array).all()), f"the constant {shown(name)} holds NaN or infinity")
        self.require(fixed.array.size > 0, f"the constant {shown(name)} is empty")
        t = TensorType(fixed.array.shape, DTYPES[fixed.array.dtype], fixed.quant)
        value = self.builder.constant(short(name), t, np.array(fixed.array, order="C"))
        return value if fixed.quant is None else self.emit(Dequantize(), value, name=f"{short(name)}_real")

    def nhwc(self, x: Tensor, name: str = "") -> Value:
        """The tensor as [n, h, w, c]; one of rank 3 has h = 1."""
        if isinstance(x, Fixed):
            self.require(len(x.shape) in (3, 4), f"{list(x.shape)} must have three or four dimensions")
            return self.held(x.arranged(len(x.shape), True), name)
        if x.nhwc:
            return x.value
        if x.rank not in (3, 4):
            raise self.fail(
                f"its input has shape {list(x.shape)}", "supported: [1, channels, length] and [1, channels, h, w]"
            )
        if x not in self._other:
            s = x.shape if x.rank == 4 else (*x.shape[:2], 1, x.shape[2])
            self._other[x] = self.moved(self.reshaped(x.value, s), TO_NHWC)
            self._other[replace(x, value=self._other[x], nhwc=True)] = x.value
        return self._other[x]

    def plain(self, x: Tensor, name: str = "") -> Value:
        """The tensor in the model's own order of axes."""
        if isinstance(x, Fixed):
            return self.held(x, name)
        if not x.nhwc:
            return x.value
        if x not in self._other:
            self._other[x] = self.reshaped(self.moved(x.value, FROM_NHWC), x.shape)
            self._other[replace(x, value=self._other[x], nhwc=False)] = x.value
        return self._other[x]

    def arranged(self, x: Tensor, rank: int, nhwc: bool, name: str = "") -> Value:
        """For broadcasting: with axes of size 1 put before until there are `rank`, in this layout."""
        if isinstance(x, Fixed):
            return self.held(x.arranged(rank, nhwc), name)
        if x.rank != rank:
            x = Live(self.reshaped(self.plain(x), (1,) * (rank - x.rank) + x.shape), rank, unsigned=x.unsigned)
        return self.nhwc(x) if nhwc else self.plain(x)

    def reshaped(self, value: Value, shape: tuple[int, ...]) -> Value:
        """The same bytes under another shape."""
        return value if value.type.shape == shape else self.emit(Reshape(shape), value, name=f"{value.name}_view")

    def moved(self, value: Value, perm: tuple[int, ...]) -> Value:
        """Axes in another order: a view, if only axes of size 1 move."""
        shape = value.type.shape
        order = [a for a in perm if shape[a] != 1]
        if order == sorted(order):
            return self.reshaped(value, tuple(shape[a] for a in perm))
        return self.emit(Transpose(perm), value, name=f"{value.name}_moved")


Handler: TypeAlias = Callable[[Scope], Tensor | tuple[Tensor, ...]]


def short(name: str) -> str:
    """A name for a value: whole, unless it is absurd."""
    return shown(name, 200)


def axis_of(s: Scope, axis: int, rank: int) -> int:
    """An axis, counted from the front."""
    s.require(-rank <= axis < rank, f"has no axis {axis} in {rank} dimensions")
    return axis % rank


def axes_of(s: Scope, i: int, rank: int, name: str = "axes") -> tuple[int, ...] | None:
    """Axes given by attribute or, since opset 13 or 18, by input `i`; None where there are none."""
    given = s.integers(i, name) if s.has(i) else s.call.ints(name)
    if given is None:
        return None
    found = tuple(sorted(axis_of(s, a, rank) for a in given))
    s.require(len(set(found)) == len(found), f"{name} {list(given)} repeat")
    return found


def elements(shape: tuple[int, ...]) -> int:
    """Their number."""
    return math.prod(shape)


def bounded(s: Scope, size: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a constant that a node may compute."""
    s.require(min(size, default=0) >= 0 and elements(size) <= MAX_FOLDED // 8, f"shape {list(size)[:8]} is too large")
    return size


def slices(s: Scope, size: tuple[int, ...]) -> tuple[range, ...]:
    """What a Slice node takes of each axis."""
    first, last, axes, steps = (_bounds(s, i, n) for i, n in ((1, "starts"), (2, "ends"), (3, "axes"), (4, "steps")))
    axes = axes if axes is not None else tuple(range(len(first or ())))
    steps = steps if steps is not None else (1,) * len(axes)
    s.require(first is not None and last is not None, "starts or ends are missing")
    found = [range(n) for n in size]
    for a, begin, end, step in zip(axes, first or (), last or (), steps, strict=True):
        s.require(step != 0, "a step is 0")
        axis = axis_of(s, a, len(size))
        found[axis] = range(*slice(begin, end, step).indices(size[axis]))
    return tuple(found)


def _bounds(s: Scope, i: int, name: str) -> tuple[int, ...] | None:
    """Given by attribute before opset 10, by input `i` since."""
    return s.integers(i, name) if s.has(i) else s.call.ints(name)


def widened(s: Scope, size: tuple[int, ...]) -> tuple[int, ...]:
    """A shape with axes of size 1 put in."""
    given = s.integers(1, "axes") if s.has(1) else s.call.ints("axes") or ()
    rank = len(size) + len(given)
    axes, rest = {axis_of(s, a, rank) for a in given}, iter(size)
    s.require(len(axes) == len(given) and rank <= 8, f"axes {list(given)} repeat, or are too many")
    return tuple(1 if i in axes else next(rest) for i in range(rank))


def squeezed(s: Scope, size: tuple[int, ...]) -> tuple[int, ...]:
    """A shape with axes of size 1 taken out."""
    axes = axes_of(s, 1, len(size))
    if axes is None:
        axes = tuple(i for i, n in enumerate(size) if n == 1)
    s.require(all(size[a] == 1 for a in axes), f"axes {list(axes)} of {list(size)} are not all 1")
    return tuple(n for i, n in enumerate(size) if i not in axes)
