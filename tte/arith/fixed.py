"""How sums of products become int8 again, bit for bit runtime_c/tte_fixed.h. Floor 1."""

from __future__ import annotations

import math

import numpy as np

from tte.errors import Unsupported
from tte.types import Array, Quant, Rounding

F32 = np.float32


def multiplier(real: float) -> tuple[int, int]:
    """Return (m, shift) with real = m * 2**-31 * 2**-shift to 31 bits; 0 <= m < 2**31, -30 <= shift <= 31."""
    if not real <= 2**30 - 1:
        raise Unsupported("requantize", f"the ratio of scales {real:g} is 2**30 or more", "check the scales")
    fraction, exponent = math.frexp(real)
    m, shift = math.floor(fraction * 2**31 + 0.5), -exponent
    if m == 2**31:
        m, shift = m // 2, shift - 1
    return (0, 1) if shift > 31 or m == 0 else (m, shift)


def channels(rounding: Rounding, x: Quant, w: Quant, y: Quant, n: int) -> Array:
    """Constants of the finisher for `n` output channels: s32[2, n], multipliers and right shifts.

    For `onnx` the multipliers are the bits of f32(f32(s_x * s_w) / s_y), and the shifts are 0.
    """
    scales = np.broadcast_to(np.asarray(w.scale), (n,))
    if rounding is Rounding.ONNX:
        product = scales.astype(F32) * F32(x.scale[0])
        ratio = (product / F32(y.scale[0])).astype(F32)
        return np.stack([ratio.view(np.int32), np.zeros(n, np.int32)])
    pairs = [multiplier(x.scale[0] * float(s) / y.scale[0]) for s in scales]
    return np.array(pairs, np.int32).reshape(n, 2).T.copy()


def least_shift(q: Array) -> int:
    """The least right shift of all channels; kernels drop what it rules out."""
    return int(q[1].min())


def with_room(w: Array, b: Array, x: Quant, scales: Quant, y: Quant | None) -> tuple[Array, Array]:
    """Weights [n, ...] and biases, s64, such that every sum of (x - zero) * w + b fits 32 bits; the results stay.

    A channel whose bias leaves no room, a dead one as a rule, gets no weights where that changes no result in `y`;
    without `y`, which stands for floats, every change counts.
    """
    flat, b = w.astype(np.int64).reshape(len(w), -1), b.astype(np.int64)
    up, down = np.maximum(flat, 0).sum(1), np.minimum(flat, 0).sum(1)
    least = b + up * (-128 - x.zero) + down * (127 - x.zero)
    most = b + up * (127 - x.zero) + down * (-128 - x.zero)
    wide = (least < -(2**31)) | (most >= 2**31)
    ratio = x.scale[0] * np.asarray(scales.scale, np.float64) / (y.scale[0] if y else 1.0)
    real = np.clip(ratio * np.stack([least, most]), -300, 300)
    if (wide & (y is None or np.rint(real[0] - 1e-3) != np.rint(real[1] + 1e-3))).any():
        raise Unsupported("bias", "leaves no room in 32 bits for the sum")
    kept: Array = np.where(wide[:, None], 0, flat).reshape(w.shape)
    return kept, b


def folded(w: Array, b: Array, x: Quant, scales: Quant, y: Quant | None) -> tuple[Array, Array]:
    """As `with_room`, s8 and s32: biases such that x's zero point may be ignored; sums may wrap on their way."""
    w, b = with_room(w, b, x, scales, y)
    return w.astype(np.int8), wrapped(b - x.zero * w.reshape(len(w), -1).sum(1))


def wrapped(x: Array) -> Array:
    """The lower 32 bits."""
    return (x & 0xFFFFFFFF).astype(np.uint32).view(np.int32)


def finish(rounding: Rounding, acc: Array, q: Array) -> Array:
    """Sums `acc` (any integers; channels last) in units of the result, before zero point and clamp; s64."""
    acc = acc.astype(np.int64)
    if rounding is Rounding.ONNX:
        return round_even(acc.astype(F32) * q[0].view(F32))
    if rounding is Rounding.SINGLE:
        return round_shift(acc * q[0], 31 + q[1].astype(np.int64))
    acc = np.clip(acc << np.maximum(-q[1].astype(np.int64), 0), -(2**31), 2**31 - 1)
    return divide_by_power(round_shift(acc * q[0], 31), np.maximum(q[1].astype(np.int64), 0))


def scaled(x: Array, m: int, shift: int) -> Array:
    """x * m / 2**31 / 2**shift, rounded after each division; a shift to the left comes first. For one scale."""
    return finish(Rounding.TFLITE, x, np.array([[m], [shift]]))


def round_even(x: Array) -> Array:
    """The nearest integer, ties to even, as s64; x is clamped to [-512, 512] first."""
    rounded: Array = np.rint(np.clip(x, F32(-512), F32(512))).astype(np.int64)
    return rounded


def round_away(x: Array) -> Array:
    """The nearest integer, ties away from zero, as s64; x is clamped to [-512, 512] first."""
    wide = np.clip(x, -512, 512).astype(np.float64)
    rounded: Array = (np.sign(wide) * np.floor(abs(wide) + 0.5)).astype(np.int64)
    return rounded


def round_shift(x: Array, shift: Array | int) -> Array:
    """x / 2**shift to the nearest integer, ties upward; shift >= 1. |x| + 2**(shift-1) must be below 2**63."""
    half = np.left_shift(np.int64(1), np.asarray(shift, np.int64) - 1)
    rounded: Array = (x + half) >> shift
    return rounded


def divide_by_power(x: Array, shift: Array | int) -> Array:
    """x / 2**shift to the nearest integer, ties away from zero; shift >= 0."""
    half = np.left_shift(np.int64(1), np.asarray(shift, np.int64)) >> 1
    away: Array = (x + half - ((x < 0) & (half > 0))) >> shift
    return away


def quantize(real: float, y: Quant, rounding: Rounding) -> int:
    """The integer that stands for `real`, not clamped; ties as the rounding's source has them."""
    if rounding is Rounding.ONNX:
        return int(np.rint(F32(real) / F32(y.scale[0]))) + y.zero
    ratio = float(F32(real) / F32(y.scale[0]))
    return math.floor(abs(ratio) + 0.5) * (1 if ratio >= 0 else -1) + y.zero


def clamp(low: float, high: float, y: Quant, rounding: Rounding) -> dict[str, int]:
    """The least and the greatest s8 result of an activation that keeps reals within [low, high]."""
    lo = -128 if low == -math.inf else max(-128, min(127, quantize(low, y, rounding)))
    hi = 127 if high == math.inf else max(-128, min(127, quantize(high, y, rounding)))
    return {"lo": lo, "hi": hi}
