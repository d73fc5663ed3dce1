"""What a language model's matrix products see of texts, and the scales and shadows that lose least by it. Floor 6."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from tte.ir import Module, Node
from tte.ops.linear import Linear
from tte.ops.shadow import MOST, residual
from tte.passes.npu.outlier import Outlier, Split
from tte.reading import loss
from tte.target import Board
from tte.types import Array, Value

Splits: TypeAlias = tuple[Split, ...]
KEPT = 4096  # rows of each input, about
SHARE = 0.03  # of all weights may also lie in shadows
SHARES = (0.0, 0.25, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 1.0)  # of the shadows to prune
FREE = 1e-4  # what pruning may add to the mean loss: 0.01% of perplexity


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One input of matrix products: their weights by name, each channel's largest f32[k], and some rows f32[r,k]."""

    weights: dict[str, Array]
    peaks: Array
    rows: Array


def observe(module: Module, tokens: Array) -> tuple[tuple[Seen, ...], float]:
    """What the float model sees while it reads texts s32[texts, n], and its loss."""
    inits = {s.value: s.init for s in module.states if s.storage == "flash"}
    nodes = [n for n in module.graph("decode").nodes if n.op == Linear() and n.ins[1] in inits]
    names: dict[Value, dict[str, Array]] = {}
    for n in nodes:
        names.setdefault(n.ins[0], {})[n.ins[1].name] = inits[n.ins[1]]
    first = {next(n for n in nodes if n.ins[0] == x): x for x in names}
    peaks = {x: np.zeros(x.type.shape[1], np.float32) for x in names}
    rows: dict[Value, list[Array]] = {x: [] for x in names}
    stride = max(1, tokens[:, 1:].size // KEPT)

    def watch(node: Node, x: Array) -> None:
        if node in first:
            np.maximum(peaks[first[node]], abs(x).max(0), out=peaks[first[node]])
            rows[first[node]].append(x[::stride].copy())

    found = loss(module, tokens, watch)
    return tuple(Seen(names[x], peaks[x], np.concatenate(rows[x])) for x in names), found


def absmax(seen: Seen) -> float:
    """The scale that clamps nothing."""
    return _scale(seen.peaks.max())


def median(seen: Seen) -> float:
    """The scale that clamps channels beyond 1.5 times what the largest of half of the channels reach."""
    return _scale(1.5 * float(np.median(seen.peaks)))


def percentile(seen: Seen) -> float:
    """The scale that clamps one element of 1,000."""
    return _scale(np.quantile(abs(seen.rows), 0.999))


Rule: TypeAlias = Callable[[Seen], float]
RULES: dict[str, Rule] = {"absmax": absmax, "p99.9": percentile, "1.5 x median": median}


def _scale(most: float) -> float:
    return float(np.float32(max(float(most), 1e-30) / 127))


def plain(seen: Iterable[Seen], rule: Rule = absmax) -> Splits:
    """Scales without shadows."""
    return tuple(Split(tuple(s.weights), rule(s)) for s in seen)


def shadowed(seen: Iterable[Seen], rule: Rule, share: float = SHARE) -> Splits:
    """Scales, and shadows of the channels whose clamp would cost most for their bytes, as many as fit the share."""
    seen = tuple(seen)
    splits = plain(seen, rule)
    ranked = sorted(
        (worth, i, c) for i, (s, p) in enumerate(zip(seen, splits, strict=True)) for c, worth in _worths(s, p)
    )
    sizes = [sum(len(w) for w in s.weights.values()) for s in seen]  # bytes of one channel
    room = share * sum(size * len(s.peaks) for size, s in zip(sizes, seen, strict=True))
    hot: list[set[int]] = [set() for _ in seen]
    for _, i, c in reversed(ranked):
        if sizes[i] <= room and len(hot[i]) < MOST:
            hot[i].add(c)
            room -= sizes[i]
    return tuple(replace(p, channels=tuple(sorted(chosen))) for p, chosen in zip(splits, hot, strict=True))


def _worths(seen: Seen, split: Split) -> list[tuple[int, float]]:
    """Of channels that are clamped: squares of what the results lose, in units of their own squares, per weight."""
    lost = np.square(residual(seen.rows, split.scale) * np.float64(split.scale)).sum(0)
    found = np.zeros(len(seen.peaks))
    for w in seen.weights.values():
        found += np.square(w.astype(np.float64)).mean(0) * lost / np.square(seen.rows @ w.T).mean(dtype=np.float64)
    beyond = seen.peaks > 127.5 * split.scale
    return [(int(c), float(found[c])) for c in np.flatnonzero(beyond)]


def pruned(seen: Iterable[Seen], splits: Splits, share: float) -> Splits:
    """Without the shadows of this share of those inputs that have one: where the largest element is least clamped."""
    importance = {i: s.peaks.max() / p.scale for i, (s, p) in enumerate(zip(seen, splits, strict=True)) if p.channels}
    kept = sorted(importance, key=lambda i: -importance[i])[: len(importance) - round(share * len(importance))]
    return tuple(p if i in kept else replace(p, channels=()) for i, p in enumerate(splits))


@dataclass(frozen=True, slots=True)
class Trial:
    """Scales by a rule, with this share of the shadows pruned, and what they cost on the calibration's texts."""

    rule: str
    pruned: float
    splits: Splits
    loss: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """The float model's loss; each rule with and without shadows; the best one's pruning; what was chosen."""

    floats: float
    rules: tuple[Trial, ...]
    curve: tuple[Trial, ...]
    chosen: Trial


def calibrate(module: Module, board: Board, tokens: Array) -> Calibration:
    """Choose by the loss on texts s32[texts, n]: the best rule, then as few shadows as cost no more than FREE."""
    seen, floats = observe(module, tokens)

    def tried(rule: str, share: float, splits: Splits) -> Trial:
        return Trial(rule, share, splits, loss(Outlier(splits)(module, board), tokens))

    rules = [tried(n, 1.0, plain(seen, r)) for n, r in RULES.items()]
    rules += [tried(n, 0.0, shadowed(seen, r)) for n, r in RULES.items()]
    best = min(rules, key=lambda t: t.loss)
    shares = SHARES if any(s.channels for s in best.splits) else (1.0,)
    curve = tuple(tried(best.rule, s, pruned(seen, best.splits, s)) for s in shares)
    least = min(t.loss for t in curve)
    chosen = max((t for t in curve if t.loss <= least + FREE), key=lambda t: t.pruned)
    return Calibration(floats, tuple(rules), curve, chosen)
