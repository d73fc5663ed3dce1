"""Constants as kernels that compute sixteen outputs at a time want them (runtime_c/simd/lanes.h). Floor 2."""

from __future__ import annotations

import numpy as np

from tte.op import Consts, Types

LANES = 16


def blocks(consts: Consts, ins: Types, outs: Types) -> Consts:
    """Weights [n, k] as [ceil(n / 16), k, 16], the last block filled up with zeros."""
    w = consts["w"]
    filled = np.pad(w, ((0, -len(w) % LANES), (0, 0)))
    return consts | {"w": np.ascontiguousarray(filled.reshape(-1, LANES, w.shape[1]).swapaxes(1, 2))}


def fours(consts: Consts, ins: Types, outs: Types) -> Consts:
    """Weights [n, k] as [ceil(n / 16), ceil(k / 4), 16, 4], filled up with zeros, as is `scale`."""
    return _columns(consts, 4)


def rows_of_eight(consts: Consts, ins: Types, outs: Types) -> Consts:
    """Weights [n, k] as [ceil(n / 16), ceil(k / 8), 16, 8], filled up with zeros, as is `scale`."""
    return _columns(consts, 8)


def _columns(consts: Consts, width: int) -> Consts:
    """So many columns of sixteen rows at a time."""
    w = consts["w"]
    filled = np.pad(w, ((0, -len(w) % LANES), (0, -w.shape[1] % width)))
    sliced = filled.reshape(-1, LANES, filled.shape[1] // width, width).swapaxes(1, 2)
    return consts | {"w": np.ascontiguousarray(sliced), "scale": np.pad(consts["scale"], (0, -len(w) % LANES))}


def eights(consts: Consts, ins: Types, outs: Types) -> Consts:
    """Codes [n, k] as [ceil(n / 16), ceil(k / 8), 16, 4]: the lower four bits are those of four columns, the upper the
    next four. Steps and zeros [n, g] as [ceil(n / 16), g, 16]. All are filled up with zeros, as is `by`."""
    return _codes(consts, 4)


def sixteens(consts: Consts, ins: Types, outs: Types) -> Consts:
    """As `eights`, but codes as [ceil(n / 16), ceil(k / 16), 16, 8]."""
    return _codes(consts, 8)


def _codes(consts: Consts, width: int) -> Consts:
    """So many columns of sixteen rows at a time in the lower four bits, and as many in the upper."""
    rows = -len(consts["w"]) % LANES
    w = np.pad(consts["w"], ((0, rows), (0, -consts["w"].shape[1] % (2 * width))))
    lower, upper = w.reshape(-1, LANES, w.shape[1] // (2 * width), 2, width).transpose(3, 0, 2, 1, 4)
    found = {"w": np.ascontiguousarray(lower | upper << 4), "by": np.pad(consts["by"], (0, rows))}
    for name in "step", "zero":
        a = np.pad(consts[name], ((0, rows), (0, 0)))
        found[name] = np.ascontiguousarray(a.reshape(-1, LANES, a.shape[1]).swapaxes(1, 2))
    return consts | found
