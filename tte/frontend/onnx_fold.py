"""ONNX nodes whose inputs are all constants: computed at import, as shapes are in exported models. Floor 5."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tte.frontend.onnx_model import NUMPY
from tte.frontend.onnx_scope import MAX_FOLDED, Scope, axis_of, bounded, slices, squeezed, widened
from tte.frontend.onnx_tensor import Fixed, Live
from tte.types import Array


def arrays(s: Scope) -> list[Array]:
    """All inputs, as what they stand for."""
    return [s.constant(i, "an input") for i in range(len(s.call.ins)) if s.has(i)]


def constant(s: Scope) -> Array:
    """Constant: the value of whichever attribute there is."""
    for name, code in (
        ("value", None),
        ("value_int", "i8"),
        ("value_ints", "i8"),
        ("value_float", "f4"),
        ("value_floats", "f4"),
    ):
        if name in s.call.attributes:
            return np.asarray(s.call.attributes[name], code)
    raise s.fail("holds neither numbers nor a tensor")


def shape(s: Scope) -> Array:
    """Shape: known, as all sizes are."""
    first, last = s.call.integer("start", 0), s.call.attributes.get("end")
    return np.array(s.get(0).shape, np.int64)[first : last if isinstance(last, int) else None]


def cast(s: Scope) -> Array:
    """Cast between numbers."""
    to = NUMPY.get(s.call.integer("to", 0))
    if to is None:
        raise s.fail(f"type {s.call.integer('to', 0)} is not supported")
    with np.errstate(invalid="ignore"):
        return s.constant(0, "x").astype(to)


def fill(s: Scope) -> Array:
    """ConstantOfShape."""
    size = s.integers(0, "the shape")
    value = s.call.attributes.get("value", np.zeros(1, np.float32))
    s.require(isinstance(value, np.ndarray) and value.size == 1, "its value must be one number")
    assert isinstance(value, np.ndarray)
    return np.broadcast_to(value.reshape(()), bounded(s, size))


def expand(s: Scope) -> Array:
    """Expand."""
    x = s.constant(0, "x")
    return np.broadcast_to(x, bounded(s, np.broadcast_shapes(x.shape, bounded(s, s.integers(1, "the shape")))))


def gather(s: Scope) -> Array:
    """Gather."""
    x, at = s.constant(0, "x"), s.constant(1, "the indices")
    axis = axis_of(s, s.call.integer("axis", 0), x.ndim)
    s.require(at.dtype.kind == "i" and at.size * x.size <= MAX_FOLDED // 8, "its indices must be few integers")
    return np.take(x, at, axis)


def concat(s: Scope) -> Array:
    """Concat."""
    given = arrays(s)
    s.require(sum(a.nbytes for a in given) <= MAX_FOLDED, "its inputs are too large")
    return np.concatenate(given, axis_of(s, s.call.integer("axis", 0), given[0].ndim))


def sliced(s: Scope) -> Array:
    """Slice."""
    x = s.constant(0, "x")
    return np.asarray(x[np.ix_(*slices(s, x.shape))])


def unsqueeze(s: Scope) -> Array:
    """Unsqueeze."""
    x = s.constant(0, "x")
    return x.reshape(widened(s, x.shape))


def binary(function: Callable[[Array, Array], Array]) -> Callable[[Scope], Array]:
    """An operator on two arrays."""

    def compute(s: Scope) -> Array:
        a, b = s.constant(0, "a"), s.constant(1, "b")
        bounded(s, np.broadcast_shapes(a.shape, b.shape))
        with np.errstate(all="ignore"):
            return np.asarray(function(a, b)).astype(a.dtype)

    return compute


def divide(a: Array, b: Array) -> Array:
    """Integers towards zero."""
    if a.dtype.kind == "f":
        return np.asarray(a / b)
    if (b == 0).any():
        raise ValueError("division by zero")
    return np.asarray(np.trunc(a / b))


FOLDS: dict[str, Callable[[Scope], Array]] = {
    "Constant": constant,
    "Shape": shape,
    "Cast": cast,
    "ConstantOfShape": fill,
    "Expand": expand,
    "Gather": gather,
    "Concat": concat,
    "Slice": sliced,
    "Unsqueeze": unsqueeze,
    "Squeeze": lambda s: s.constant(0, "x").reshape(squeezed(s, s.get(0).shape)),
    "Add": binary(np.add),
    "Sub": binary(np.subtract),
    "Mul": binary(np.multiply),
    "Div": binary(divide),
}


def folded(s: Scope) -> Fixed | None:
    """The node's result, if it is a constant that can be had here."""
    op = s.call.op
    if op not in FOLDS or s.call.domain:
        return None
    if op != "Shape" and any(isinstance(s.get(i), Live) for i in range(len(s.call.ins)) if s.has(i)):
        return None
    return Fixed(FOLDS[op](s))
