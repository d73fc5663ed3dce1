"""Four-bit weights in groups: no overflow for anything that can be reached, and errors of half a step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tte.arith.progressive import coded, protective_range, quantized, spread, step_and_zero, symmetric


@pytest.mark.parametrize(("bits", "expected"), [(2, 95), (3, 111), (4, 119), (5, 123), (6, 125)])
def test_protective_ranges_are_those_of_the_paper(bits: int, expected: int) -> None:
    assert protective_range(bits) == expected


def all_groups(r: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every (low, high) within [-r, r] with every number between."""
    low, high, q8 = np.meshgrid(np.arange(-r, 1), np.arange(r + 1), np.arange(-r, r + 1), indexing="ij")
    there = (low <= q8) & (q8 <= high)
    return low[there], high[there], q8[there]


def test_every_reachable_code_step_and_zero_comes_back_within_8_bits() -> None:
    low, high, q8 = all_groups(protective_range())
    step, zero = step_and_zero(low, high)
    code = coded(q8, step, zero)
    assert code.min() >= 0 and code.max() <= 15 and zero.min() >= 0 and zero.max() <= 15 and step.max() < 256
    back = (code - zero) * step
    assert back.min() >= -128 and back.max() <= 127
    clipped = np.maximum(high - low - 15 * step, 0)  # as a step is rounded, not rounded up
    assert (np.abs((code - zero) * step - q8) <= step + clipped).all()


def test_one_more_would_overflow() -> None:
    low, high, q8 = all_groups(protective_range() + 1)
    step, zero = step_and_zero(low, high)
    back = (coded(q8, step, zero) - zero) * step
    assert back.min() < -128 or back.max() > 127


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5), st.integers(1, 90), st.sampled_from([8, 16, 32, 128]), st.integers(0, 9999))
def test_weights_come_back_within_a_step_and_what_rounding_it_clips(n: int, k: int, group: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    w = (rng.standard_normal((n, k)) * rng.choice([0, 1e-3, 1, 50], (n, 1))).astype(np.float32)
    found = quantized(w, group)
    assert found.step.shape == found.zero.shape == (n, -(-k // group))
    assert found.q.max() <= 15 and np.abs(found.bytes_in_s8).max() <= 128
    error = np.abs(found.bytes_in_s8 * found.by[:, None] - w)
    assert (error <= found.by[:, None] * (spread(found.step, group, k) + 8)).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(1, 90), st.sampled_from([8, 32, 128]), st.integers(0, 9999))
def test_no_row_is_worse_than_with_its_smallest_scale(n: int, k: int, group: int, seed: int) -> None:
    w = np.random.default_rng(seed).standard_normal((n, k)).astype(np.float32)
    q8, by = symmetric(w, protective_range())
    groups = np.pad(q8.astype(int), ((0, 0), (0, -k % group))).reshape(n, -1, group)
    step, zero = step_and_zero(np.minimum(groups.min(2), 0), np.maximum(groups.max(2), 0))
    step, zero = (spread(a, group, k) for a in (step, zero))
    plain = (coded(q8, step, zero) - zero) * step * by[:, None]
    found = quantized(w, group).reals
    assert (np.square(found - w).sum(1) <= np.square(plain - w).sum(1) * 1.0001).all()
