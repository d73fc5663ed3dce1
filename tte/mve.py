"""Constants as the Helium kernels want them (runtime_c/simd/mve.h). Floor 2."""

from __future__ import annotations

import numpy as np

from tte import fixed
from tte.op import Consts, Types
from tte.types import Array

LANES, GROUP = 16, 4  # bytes of a vector; output channels that share one vector of x


def by_four(consts: Consts, ins: Types, outs: Types) -> Consts:
    """Weights [n, ...] in groups of four channels, sixteen bytes of each in turn; what is left over keeps its size.

    Fifteen bytes follow, since vectors are read whole.
    Biases, multipliers and negated shifts lie together, s32[groups, 3, 4].
    """
    w, b = folded(consts, ins, outs)
    w = w.reshape(len(w), -1)
    blocks = [
        w[j : j + GROUP, i : i + LANES].ravel() for j in range(0, len(w), GROUP) for i in range(0, w.shape[1], LANES)
    ]
    return {"w": np.concatenate([*blocks, np.zeros(LANES - 1, np.int8)]), "q": quads(b, consts["q"])}


def quads(b: Array, q: Array) -> Array:
    """What finishes four channels: s32[groups, 3, 4]; absent channels have zeros, dead ones a shift of 1."""
    shifts = np.where(q[0] == 0, 1, q[1])
    rows = np.stack([b, q[0], -shifts]).astype(np.int32)
    groups = -(-len(b) // GROUP)
    padded = np.zeros((3, groups * GROUP), np.int32)
    padded[:, : len(b)] = rows
    return np.ascontiguousarray(padded.reshape(3, groups, GROUP).transpose(1, 0, 2))


def folded(consts: Consts, ins: Types, outs: Types) -> tuple[Array, Array]:
    """Weights and biases such that sums of x * w + b, with x's zero point ignored, fit 32 bits (and may wrap before).

    A channel whose bias leaves no room, a dead one as a rule, is made constant where that changes no result.
    """
    w, b = fixed.with_room(consts["w"], consts["b"], ins[0].scaling, ins[1].scaling, outs[0].scaling)
    b = b - ins[0].scaling.zero * w.reshape(len(w), -1).sum(1)
    return w.astype(np.int8), (b & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
