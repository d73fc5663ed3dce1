"""Constants as the kernels for Hexagon's vectors want them (runtime_c/simd/hvx.h).

Output channels go in blocks of 32, the last one filled up. Weights are unsigned, 128 too large, and 0 behind the last
column, where any x may be. Floor 2.
"""

from __future__ import annotations

import numpy as np

from tte.arith import fixed
from tte.op import Consts, Params, Types
from tte.types import Array, Rounding

BYTES, SUMS, ROWS = 128, 32, 8  # of a vector, sums in it, rows of x that are multiplied at once
STEP = BYTES // SUMS  # columns that a sum adds at once
LEAST_SHIFT = -28  # a shift to the left by two more stays below 32
LEAST_SCALE, MOST_SCALE = 2.0**-126, 2.0**90  # of a result in f32: then no product is subnormal or infinite


def once(ins: Types, outs: Types, params: Params) -> bool:
    """Whether sums are rounded once, and to s8."""
    single = list(Rounding).index(Rounding.SINGLE)
    return params["rounding"] == single and int(params["shift"]) >= LEAST_SHIFT


def plain(ins: Types, outs: Types, params: Params) -> bool:
    """Whether results in f32 are not clamped, and their scales are no extremes."""
    scale = np.asarray(params["scale"])
    usual = (scale >= LEAST_SCALE).all() and (scale < MOST_SCALE).all()
    return params["low"] == -np.inf and params["high"] == np.inf and bool(usual)


def dots(consts: Consts, ins: Types, outs: Types) -> Consts:
    """Weights [n, ...] as `products` lays them out; biases, multipliers and shifts, s32[blocks, 3, 32]."""
    w, b = _folded(consts, ins, outs)
    return {"w": products(w), "q": _blocks(b, *consts["q"])}


def reals(consts: Consts, ins: Types, outs: Types) -> Consts:
    """As `dots`, for results in f32: biases, and scales as mantissa * 2^(exponent - 191), the mantissa of 31 bits."""
    w, b = _folded(consts, ins, outs)
    bits = consts["scale"].view(np.int32)
    return {"w": products(w), "q": _blocks(b, (bits & 0x7FFFFF | 0x800000) << 7, (bits >> 23) + 34)}


def sums(consts: Consts, ins: Types, outs: Types) -> Consts:
    """Weights as `dots` lays them out; biases that may be absent, with x's zero point in them, s32[blocks, 1, 32]."""
    w = consts["w"]
    b = consts.get("b", np.zeros(len(w), np.int32)).astype(np.int64)
    b -= ins[0].scaling.zero * w.astype(np.int64).sum(1)
    return {"w": products(w), "q": _blocks(fixed.wrapped(b))}


def products(w: Array) -> Array:
    """Weights [n, ...] as u8[blocks, steps, 32, 4]."""
    w = w.reshape(len(w), -1)
    n, k = w.shape
    full = np.zeros((-(-n // SUMS) * SUMS, -(-k // STEP) * STEP), np.uint8)
    full[:n, :k] = w.astype(np.int16) + 128
    blocks = full.reshape(-1, SUMS, full.shape[1] // STEP, STEP).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(blocks)


def packed(m: int, k: int) -> int:
    """Bytes of scratch for x[m,k]: one vector, then x with one more for each group of rows; for any alignment."""
    return BYTES - 1 + BYTES * (1 + -(-m // ROWS) * (1 + -(-k // (STEP * STEP))))


def _folded(consts: Consts, ins: Types, outs: Types) -> tuple[Array, Array]:
    """Weights, and biases with x's zero point in them."""
    return fixed.folded(consts["w"], consts["b"], ins[0].scaling, ins[1].scaling, outs[0].quant)


def _blocks(*rows: Array) -> Array:
    """Rows of n numbers as [blocks, rows, 32]."""
    full = np.zeros((len(rows), -(-rows[0].size // SUMS) * SUMS), np.int32)
    full[:, : rows[0].size] = np.stack(rows)
    return np.ascontiguousarray(full.reshape(len(rows), -1, SUMS).transpose(1, 0, 2))
