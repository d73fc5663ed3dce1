"""Rows of keys and values in few bits, with scales for each head, bit for bit runtime_c/tte_codes.h.

In 8 bits, s8[n, heads * hd] and f32[n, heads]: round(x * (127 / max |x|)), times max |x| / 127. In 4 bits, two codes to
a byte, the lower first, u8[n, heads * hd / 2] and f32[n, heads * 2], step and least: round((x - least) * (15 / range)),
times range / 15, plus least. Source: KV8 and KV4 of QServe (arXiv 2405.04532), dynamic, of each head. Floor 1.
"""

from __future__ import annotations

import numpy as np

from tte.types import Array, DType, TensorType

LEAST = np.float32(1e-30)  # heads of nothing that differs more are all one code


def types(rows: int, width: int, heads: int, bits: int) -> tuple[TensorType, TensorType]:
    """Of codes and scales, for rows of `width` elements."""
    codes = TensorType((rows, width), DType.S8) if bits == 8 else TensorType((rows, width // 2), DType.U8)
    return codes, TensorType((rows, heads if bits == 8 else 2 * heads), DType.F32)


def coded(x: Array, heads: int, bits: int) -> tuple[Array, Array]:
    """Codes and scales of f32[n, heads * hd]."""
    each = x.astype(np.float32).reshape(len(x), heads, -1)
    if bits == 8:
        most = abs(each).max(-1)
        q = np.rint(each * _by(127, most)[..., None]).astype(np.int8)
        return q.reshape(x.shape), most / np.float32(127)
    least = each.min(-1)
    wide = each.max(-1) - least
    q = np.rint((each - least[..., None]) * _by(15, wide)[..., None]).astype(np.uint8).reshape(len(x), -1)
    return q[:, ::2] | q[:, 1::2] << 4, np.stack([wide / np.float32(15), least], -1).reshape(len(x), -1)


def reals(codes: Array, scales: Array, heads: int) -> Array:
    """f32[n, heads * hd] of what `coded` makes."""
    n = len(codes)
    if codes.dtype == np.int8:
        y: Array = codes.reshape(n, heads, -1).astype(np.float32) * scales[..., None]
        return y.reshape(n, -1)
    q = np.stack([codes & 15, codes >> 4], -1).reshape(n, heads, -1).astype(np.float32)
    step, least = np.moveaxis(scales.reshape(n, heads, 2), -1, 0)[..., None]
    y = q * step + least
    return y.reshape(n, -1)


def _by(top: int, size: Array) -> Array:
    return np.where(size > LEAST, np.float32(top) / np.maximum(size, LEAST), np.float32(0))
