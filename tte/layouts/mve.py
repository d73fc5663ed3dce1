"""Constants as the Helium kernels want them (runtime_c/simd/mve.h).

Output channels go in blocks of eight, the last one smaller: first those with even numbers, then those with odd ones.
Weights are followed by bytes that are read, as vectors are whole, but that no result depends on. Floor 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from tte.arith import fixed
from tte.errors import Unsupported
from tte.op import Consts, Kernel, Types
from tte.shapes.filters import dense, depthwise, matmul, patch
from tte.types import Array, DType

S8, S32 = DType.S8, DType.S32

LANES, BLOCK, SUMS = 16, 8, 4  # bytes of a vector, channels of a block, sums of a vector
SLACK = np.zeros(LANES - 1, np.int8)


def dots(consts: Consts, ins: Types, outs: Types) -> Consts:
    """Weights [n, ...] as `products` lays them out, and `finishers`."""
    w, b = _folded(consts, ins, outs)
    return {"w": products(w), "q": finishers(b, consts["q"])}


def reals(consts: Consts, ins: Types, outs: Types) -> Consts:
    """As `dots`, for results in f32: of each half block biases and the bits of scales, s32[2, 4]."""
    w, b = _folded(consts, ins, outs)
    scales = consts["scale"].view(np.int32)
    return {"w": products(w), "q": np.ascontiguousarray(finishers(b, np.stack([scales, scales]))[:, :2])}


def products(w: Array) -> Array:
    """Weights [n, ...] for dot products: of each half block, sixteen bytes of every channel in turn, then the rest."""
    w = w.reshape(len(w), -1)
    parts = [w[half, i : i + LANES].ravel() for half in halves(len(w)) for i in range(0, w.shape[1], LANES)]
    return np.concatenate([*parts, SLACK])


def taps(consts: Consts, ins: Types, outs: Types) -> Consts:
    """Depthwise weights [c, kh, kw, 1]: of each block [kh, kw, channels in their order].

    Constants of a block: its biases, even and odd, then those for the border, where x's zero point is not folded in,
    then multipliers and shifts: s32[8, 4].
    """
    w, b = _folded(consts, ins, outs)
    if (w == -128).any() or (np.abs(w.astype(np.int64)).sum((1, 2, 3)) >= 2**15).any():
        raise Unsupported("w", "is -128 somewhere, or so large in sum that 16 bits do not hold it")
    plain = fixed.wrapped(b + ins[0].scaling.zero * w.astype(np.int64).sum((1, 2, 3)))
    flat = w[:, :, :, 0].transpose(1, 2, 0)
    parts = [flat[:, :, j : j + BLOCK].ravel() for j in range(0, len(b), BLOCK)]
    inside, border = finishers(b, consts["q"]), finishers(plain, consts["q"])
    blocks = []
    for i in range(0, len(inside), 2):
        rows = np.zeros((2, 4, SUMS), np.int32)
        rows[: len(inside[i : i + 2])] = np.concatenate([inside[i : i + 2, :1], border[i : i + 2]], axis=1)
        blocks += [rows[:, 0], rows[:, 1], rows[0, 2:], rows[1, 2:]]
    return {"w": np.concatenate([*parts, SLACK]), "q": np.concatenate(blocks)}


def finishers(b: Array, q: Array) -> Array:
    """Biases, multipliers and negated shifts, s32[half blocks, 3, 4]."""
    rows = np.stack([b, q[0], -q[1]]).astype(np.int32)
    parts = [rows[:, half] for half in halves(len(b))]
    return np.stack([np.pad(part, ((0, 0), (0, SUMS - part.shape[1]))) for part in parts])


def halves(n: int) -> Iterator[slice]:
    """The channels of each half block; one of a single channel has no second half."""
    for j in range(0, n, BLOCK):
        end = min(j + BLOCK, n)
        yield from (slice(i, end, 2) for i in (j, j + 1) if i < end)


def _folded(consts: Consts, ins: Types, outs: Types) -> tuple[Array, Array]:
    """Weights, and biases with x's zero point in them."""
    return fixed.folded(consts["w"], consts["b"], ins[0].scaling, ins[1].scaling, outs[0].quant)


_row = partial(Kernel, ins=(S8, S8, S32), outs=(S8,), isa="mve", form="window", per_out=4.0)
_dots = partial(_row, header="conv_s8_mve.h", pack=dots, per_mac=0.15)
_taps = partial(_row, header="depthwise_s8_mve.h", pack=taps, per_mac=0.8)
CONV = (
    _dots("tte_pointwise_s8_mve", when=matmul, needs="a pixel from a pixel"),
    _dots("tte_conv_s8_mve", when=dense, scratch=patch, needs="all channels from all", per_out=6.0),
    _taps("tte_depthwise_s8_mve", when=depthwise, needs="one filter per channel"),
)
