"""Memory against instructions: what --memory chooses from, and what lies between. Floor 7."""

from __future__ import annotations

from dataclasses import replace

from tte.checker.replay import check_plan
from tte.codegen.tell import record
from tte.driver import Way, choices
from tte.errors import DoesNotFit
from tte.ir import Module
from tte.passes.memory.plan import check_fit
from tte.record import Point, Record, Work
from tte.target import Board

BETWEEN = 8  # budgets beside the named choices


def frontier(module: Module, board: Board, here: Record) -> list[tuple[Point, Way]]:
    """The ways to compile a project's module, from the smallest arena up; unnamed ones only where they are of use."""
    found: dict[tuple[Work, ...], tuple[Point, Way]] = {}
    for way in choices(module, board, frozenset(here.io), BETWEEN):
        check_plan(way.program, way.plan)
        functions = record(way.program, way.plan, board, 0).functions
        names = (way.memory,) if way.memory else ()
        if functions in found:
            point, first = found[functions]
            found[functions] = replace(point, memory=(*point.memory, *names)), first
        else:
            ours = functions == here.functions
            p = Point(names, way.plan.arena, way.plan.bound, way.modelled, _fits(way, board), ours)
            found[functions] = p, way
    points = [p for p, _ in found.values()]
    useful = [(p, w) for p, w in found.values() if p.memory or p.here or not any(_better(q, p) for q in points)]
    return sorted(useful, key=lambda pair: (pair[0].arena_bytes, pair[0].modelled))


def _better(a: Point, b: Point) -> bool:
    """True if there is no reason to take b."""
    mine, others = (a.arena_bytes, a.modelled), (b.arena_bytes, b.modelled)
    return mine != others and a.arena_bytes <= b.arena_bytes and a.modelled <= b.modelled


def _fits(way: Way, board: Board) -> bool:
    try:
        check_fit(way.program, way.plan, board)
    except DoesNotFit:
        return False
    return True
