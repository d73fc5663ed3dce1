"""What a language model's matrix products see of texts, and the scales and shadows that lose least by it. Floor 6."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from tte.ir import Module, Node
from tte.language.reading import loss
from tte.ops.linear import Linear
from tte.ops.shadow import MOST, residual
from tte.passes.npu.outlier import Outlier, Split
from tte.passes.quantize.caches import Caches
from tte.target import Board
from tte.types import Array, Value

Splits: TypeAlias = tuple[Split, ...]
KEPT, TRIED = 4096, 512  # rows of each input that are kept, and with which scales are tried, about
STEPS = tuple(2.0 ** (-i / 4) for i in range(22))  # scales to try, of the one that clamps nothing
SHARE = 0.03  # of all weights may also lie in shadows
SHARES = (0.25, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 1.0)  # of the shadows to prune
FREE = 1e-4  # what pruning may add to the mean loss: 0.01% of perplexity
CACHES = 5e-3  # what caches in few bits may add: 0.5%


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


def absmax(seen: Seen, hot: int) -> float:
    """The scale that clamps nothing."""
    return _scale(seen.peaks.max())


def median(seen: Seen, hot: int) -> float:
    """The scale that clamps channels beyond 1.5 times what the largest of half of the channels reach."""
    return _scale(1.5 * float(np.median(seen.peaks)))


def percentile(seen: Seen, hot: int) -> float:
    """The scale that clamps one element of 1,000."""
    return _scale(float(np.quantile(abs(seen.rows), 0.999)))


def least(seen: Seen, hot: int) -> float:
    """The scale with the least squares of errors in the results, where so many channels have a shadow."""
    part = Seen(seen.weights, seen.peaks, seen.rows[:: max(1, len(seen.rows) // TRIED)])
    tried: list[float] = [absmax(seen, hot) * step for step in STEPS]
    return min(tried, key=lambda scale: _error(part, scale, hot))


Rule: TypeAlias = Callable[[Seen, int], float]
RULES: dict[str, Rule] = {"absmax": absmax, "p99.9": percentile, "1.5 x median": median, "least squares": least}


def _scale(most: float) -> float:
    return float(np.asarray(max(float(most), 1e-30) / 127, np.float32))


def _error(seen: Seen, scale: float, hot: int) -> float:
    """Squares of errors in the results, in units of theirs."""
    x, rest = seen.rows, residual(seen.rows, scale)
    rest[:, sorted((c for c, _ in _worths(seen, scale)[:hot]))] = 0
    wrong = (np.rint(x / np.float32(scale)) - rest).astype(np.float32) * np.float32(scale) - x
    return sum(_squares(wrong, w) / _squares(x, w) for w in seen.weights.values())


def _squares(x: Array, w: Array) -> float:
    y: Array = x @ w.T
    return float(np.square(y).mean(dtype=np.float64)) + 1e-30


def plain(seen: Iterable[Seen], rule: Rule = absmax) -> Splits:
    """Scales without shadows."""
    return tuple(Split(tuple(s.weights), rule(s, 0)) for s in seen)


def shadowed(seen: Sequence[Seen], rule: Rule, share: float = SHARE) -> Splits:
    """Scales, and shadows of the channels whose clamp would cost most for their bytes, as many as fit the share."""
    splits = tuple(Split(tuple(s.weights), rule(s, math.ceil(share * len(s.peaks)))) for s in seen)
    ranked = [(worth, i, c) for i, s in enumerate(seen) for c, worth in _worths(s, splits[i].scale)]
    sizes = [sum(len(w) for w in s.weights.values()) for s in seen]  # bytes of one channel
    room = share * sum(size * len(s.peaks) for size, s in zip(sizes, seen, strict=True))
    hot: list[set[int]] = [set() for _ in seen]
    for _, i, c in sorted(ranked, reverse=True):
        if sizes[i] <= room and len(hot[i]) < MOST:
            hot[i].add(c)
            room -= sizes[i]
    return tuple(replace(p, channels=tuple(sorted(chosen))) for p, chosen in zip(splits, hot, strict=True))


def _worths(seen: Seen, scale: float) -> list[tuple[int, float]]:
    """Channels that are clamped, the worst first: squares of what it takes off the results, per weight."""
    lost = np.square(residual(seen.rows, scale) * np.float64(scale)).mean(0)
    found = np.zeros(len(seen.peaks))
    for w in seen.weights.values():
        found += np.square(w.astype(np.float64)).mean(0) * lost / _squares(seen.rows, w)
    beyond = np.flatnonzero(seen.peaks > 127.5 * scale)
    return sorted(((int(c), float(found[c])) for c in beyond), key=lambda one: -one[1])


def pruned(seen: Sequence[Seen], splits: Splits, share: float) -> Splits:
    """Without the shadows of this share of the inputs that have one: where the largest element is least clamped.

    These get the scale that loses least without a shadow.
    """
    importance = {i: s.peaks.max() / p.scale for i, (s, p) in enumerate(zip(seen, splits, strict=True)) if p.channels}
    ranked = sorted(importance, key=lambda i: importance[i])
    gone = set(ranked[: round(share * len(ranked))])
    return tuple(Split(p.weights, least(seen[i], 0)) if i in gone else p for i, p in enumerate(splits))


@dataclass(frozen=True, slots=True)
class Trial:
    """Scales by a rule, with this share of the shadows pruned, and what they cost on the calibration's texts."""

    rule: str
    pruned: float
    splits: Splits
    loss: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Losses: of floats, of the rules (absmax has no shadows), of the best one from whole to pruned; the choice."""

    floats: float
    rules: tuple[Trial, ...]
    curve: tuple[Trial, ...]
    chosen: Trial


def calibrate(module: Module, board: Board, tokens: Array) -> Calibration:
    """Choose by the loss on texts s32[texts, n]: the best rule, then as few shadows as cost no more than FREE."""
    seen, floats = observe(module, tokens)

    def tried(rule: str, share: float, splits: Splits) -> Trial:
        return Trial(rule, share, splits, loss(Outlier(splits)(module, board), tokens))

    rules = [tried("absmax", 1.0, plain(seen))]
    rules += [tried(n, 0.0, shadowed(seen, rule)) for n, rule in RULES.items() if rule is not absmax]
    best = min(rules, key=lambda t: t.loss)
    shares = SHARES if any(s.channels for s in best.splits) else ()
    curve = (best, *(tried(best.rule, s, pruned(seen, best.splits, s)) for s in shares))
    fewest = min(t.loss for t in curve) + FREE
    chosen = max((t for t in curve if t.loss <= fewest), key=lambda t: t.pruned)
    return Calibration(floats, tuple(rules), curve, chosen)


@dataclass(frozen=True, slots=True)
class CacheTrial:
    """Caches with so many bits for values (None: all in f32), what they cost on the texts, and how large they are."""

    values: int | None
    loss: float
    bytes: int


def try_caches(module: Module, board: Board, tokens: Array) -> tuple[tuple[CacheTrial, ...], CacheTrial]:
    """Caches in f32 and in few bits by the loss on texts; the smallest that adds at most CACHES."""
    forms = {None: module} | {values: Caches(values)(module, board) for values in (8, 4)}
    sizes = {v: sum(s.value.type.bytes for s in m.states if s.storage == "sram") for v, m in forms.items()}
    trials = tuple(CacheTrial(v, loss(m, tokens), sizes[v]) for v, m in forms.items())
    able = (t for t in trials if t.loss <= trials[0].loss + CACHES)
    return trials, min(able, key=lambda t: (t.bytes, t.loss))
