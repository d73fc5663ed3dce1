"""Draws the next token from logits, bit for bit runtime_c/tte_sampler.h. Floor 2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.arith import floatmath, random
from tte.errors import TteError
from tte.types import Array

F32 = np.float32


@dataclass(frozen=True, slots=True)
class Sampler:
    """How to draw: at temperature 0 the likeliest token; else in proportion to e**(logit / temperature).

    Only the likeliest tokens are drawn that together have `top_p` of all, those of lower number first among equals.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise TteError("--temperature", f"is {self.temperature}, which must be 0 or more")
        if not 0 < self.top_p <= 1:
            raise TteError("--top-p", f"is {self.top_p}, which must be above 0, and 1 at most")

    def sample(self, logits: Array, position: int) -> int:
        """The token at a position, given logits f32[vocab], which are finite: each position has its own random bits."""
        if F32(self.temperature) == 0:
            return int(logits.argmax())
        weights = floatmath.exp((logits - logits.max()) / F32(self.temperature))
        order = np.argsort(-weights, kind="stable")
        sums = np.cumsum(weights[order], dtype=F32)  # in this order, one after the other
        kept = int(np.searchsorted(sums, F32(self.top_p) * np.cumsum(weights, dtype=F32)[-1]))
        last = min(kept, len(order) - 1)
        (drawn,) = random.bits(random.key(position, self.seed, 0), 1)
        wanted = F32(int(drawn) >> 8) * F32(2.0**-24) * sums[last]
        return int(order[min(int(np.searchsorted(sums, wanted, side="right")), last)])
