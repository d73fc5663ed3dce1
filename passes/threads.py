"""Large products and attention in parts, for threads to share. Floor 5."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, prod

from tte.layouts.lanes import LANES
from tte.op import Cut
from tte.program import Call, Piece, Program, padded
from tte.types import Array, DType, TensorType, Value

LEAST = 2**18  # multiply-accumulates: what takes less is over before another thread has begun


@dataclass(frozen=True, slots=True)
class Threads:
    """Calls of at least so many multiply-accumulates become `count` pieces, each with scratch of its own."""

    count: int
    least: int = LEAST

    def __call__(self, program: Program) -> Program:
        """Every function."""
        functions = (replace(f, calls=tuple(map(self.call, f.calls))) for f in program.functions)
        return replace(program, functions=tuple(functions))

    def call(self, call: Call) -> Call:
        """The call, in pieces if it is large and can be cut."""
        ins, outs = call.node.types
        if call.unit != "cpu" or call.loop or call.kernel.form != "whole" or call.node.op.macs(ins, outs) < self.least:
            return call
        cut, op = call.node.op.cut(ins, outs), call.node.op
        if cut and any(op.operand(i) in cut.consts for i in call.at):
            return call
        bounds = [*_bounds(int(call.params[cut.count]), self.count, LANES if cut.consts else 1)] if cut else []
        if cut is None or len(bounds) < 3:
            return call
        own = padded(call.scratch.type.bytes) if call.scratch else 0
        pieces = tuple(
            Piece(call, _params(call, cut, first, end - first), tuple(_later(call, cut, first, i * own)))
            for i, (first, end) in enumerate(pairwise(bounds))
        )
        room = Value(call.scratch.name, TensorType((own * len(pieces),), DType.S8)) if call.scratch else None
        return replace(call, scratch=room, pieces=pieces)


def _bounds(count: int, parts: int, lump: int) -> Iterator[int]:
    """0 .. count in parts of nearly one size, which but for the last are multiples of `lump`."""
    lumps = ceil(count / lump)
    yield from dict.fromkeys(min(count, lumps * i // parts * lump) for i in range(parts + 1))


def _params(call: Call, cut: Cut, first: int, count: int) -> dict[str, int | float]:
    return call.params | {cut.count: count} | ({cut.first: first} if cut.first else {})


def _later(call: Call, cut: Cut, first: int, scratch: int) -> Iterator[int]:
    """By how many elements each argument of the call begins later, in their order (codegen/steps.py)."""
    op = call.node.op
    names = [op.operand(i) for i in range(len(call.node.ins))]
    yield from (_of(call, cut, n, first) for i, n in enumerate(names) if i in call.at or n in call.consts)
    yield from (_of(call, cut, n, first) for n in call.consts if n not in names)
    yield from (cut.each[f"y{o or ''}"] * first for o in range(len(call.outs)))
    yield from (scratch,) if call.scratch else ()


def _of(call: Call, cut: Cut, name: str, first: int) -> int:
    if name in cut.consts:
        return first * _row(call.consts[name])
    return first * cut.each.get(name, 0)


def _row(a: Array) -> int:
    """Elements for one output: of [n], [n, k] or [blocks of LANES outputs, ...]."""
    return prod(a.shape[1:]) // (LANES if a.ndim > 2 else 1)
