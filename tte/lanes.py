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
    w = consts["w"]
    filled = np.pad(w, ((0, -len(w) % LANES), (0, -w.shape[1] % 4)))
    by_fours = filled.reshape(-1, LANES, filled.shape[1] // 4, 4).swapaxes(1, 2)
    scale = np.pad(consts["scale"], (0, -len(w) % LANES))
    return consts | {"w": np.ascontiguousarray(by_fours), "scale": scale}
