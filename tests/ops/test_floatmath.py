"""Our functions of floats against numpy's in f64; their C twins are held to them by the examples of the ops."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tte.arith import floatmath
from tte.types import Array

X = np.concatenate([np.linspace(-87, 88, 400_001), np.linspace(-1, 1, 400_001), [0.0, -0.0, 1e-30]]).astype(np.float32)


@pytest.mark.parametrize(
    ("ours", "exact", "ulps"),
    [
        (floatmath.exp, np.exp, 2),
        (floatmath.tanh, np.tanh, 2),
        (floatmath.sigmoid, lambda x: 1 / (1 + np.exp(-x)), 4),
        (floatmath.erf, lambda x: torch.erf(torch.from_numpy(x)).numpy(), 2),
    ],
)
def test_units_in_the_last_place(ours: Callable[[Array], Array], exact: Callable[[Array], Array], ulps: int) -> None:
    want = exact(X.astype(np.float64))
    error = abs(ours(X).astype(np.float64) - want) / np.spacing(abs(want).astype(np.float32))
    assert ours(X).dtype == np.float32
    assert error.max() <= ulps, X[error.argmax()]


def test_ends() -> None:
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_array_equal(
            floatmath.exp(np.float32([-1e30, -87.1, 0, 88.8, 1e30])), [0, 0, 1, np.inf, np.inf]
        )
        np.testing.assert_array_equal(floatmath.tanh(np.float32([-1e30, -30, 0, 30, 1e30])), [-1, -1, 0, 1, 1])
        np.testing.assert_array_equal(floatmath.erf(np.float32([-1e30, -4, 0, 4, 1e30])), [-1, -1, 0, 1, 1])
        np.testing.assert_array_equal(floatmath.sigmoid(np.float32([-1e30, -100, 0, 100, 1e30])), [0, 0, 0.5, 1, 1])


def test_log() -> None:
    x = np.concatenate([np.exp(np.linspace(-80, 80, 400_001)), np.linspace(0.5, 2, 400_001)]).astype(np.float32)
    want = np.log(x.astype(np.float64))
    error = abs(floatmath.log(x).astype(np.float64) - want)
    assert floatmath.log(x).dtype == np.float32
    assert (error / np.spacing(abs(want).astype(np.float32))).max() <= 2


@pytest.mark.parametrize("ours", [floatmath.exp, floatmath.log, floatmath.tanh, floatmath.sigmoid, floatmath.erf])
def test_wider_arguments_are_smooth(ours: Callable[[Array], Array]) -> None:
    """As finite differences need: within the accuracy of f32 of what f32 gives, in f64."""
    x = np.linspace(0.01, 5, 1001)
    assert ours(x).dtype == np.float64
    np.testing.assert_allclose(ours(x), ours(x.astype(np.float32)), rtol=1e-6, atol=1e-7)


def test_totals_are_added_in_order() -> None:
    x = np.float32([[1e8, 1, -1e8, 1], [-0.0, -0.0, -0.0, -0.0]])
    found = floatmath.total(x)
    assert found.tolist() == [[1.0], [0.0]] and not np.signbit(found).any() and found.dtype == np.float32
