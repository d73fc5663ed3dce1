"""Every rule of docs/numerics.md against LiteRT's reference kernels, on random models of one operator each."""

from __future__ import annotations

import numpy as np
import pytest
from litert import interpret_tte, run_litert
from tflite_rules import RULES, Rng

from tte.types import Array

CASES = 200


def draw(rng: Rng, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Array:
    """Every integer; floats that reach beyond the range of the scales."""
    if dtype.kind == "f":
        return (rng.standard_normal(shape) * 20).astype(np.float32)
    if max(shape) == 256:  # every byte
        return np.resize(np.arange(256, dtype=np.uint8).view(dtype), shape)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max + 1, shape, dtype)


@pytest.mark.parametrize("name", RULES)
def test_rule(name: str) -> None:
    rng = np.random.default_rng(sum(map(ord, name)))
    refused, wrong = 0, []
    for number in range(CASES):
        model = RULES[name](rng).build()
        found = run_litert(model, lambda shape, dtype: draw(rng, shape, dtype))
        if found is None:
            refused += 1
            continue
        inputs, expected = found
        for got, want in zip(interpret_tte(model, inputs), expected, strict=True):
            if got.dtype != want.dtype or not np.array_equal(got, want):
                wrong.append((number, int((got != want).sum()), want.size))
    assert not wrong, f"{len(wrong)} models differ: {wrong[:5]}"
    assert refused < CASES / 2, f"LiteRT refuses {refused} models"


@pytest.mark.parametrize("name", sorted(RULES.keys() - {"dequantize", "quantize", "requantize"}))
def test_floats(name: str) -> None:
    """To 1e-5 of the largest result: LiteRT adds in another order in places, and calls the C library's functions."""
    rng = np.random.default_rng(0)
    for _ in range(CASES // 4):
        model = RULES[name](rng).in_floats().build()
        found = run_litert(model, lambda shape, dtype: draw(rng, shape, dtype) / np.float32(8))
        if found is not None:
            inputs, expected = found
            for got, want in zip(interpret_tte(model, inputs), expected, strict=True):
                assert got.dtype == want.dtype == np.float32
                np.testing.assert_allclose(got, want, 0, 1e-5 * float(abs(want).max()))
