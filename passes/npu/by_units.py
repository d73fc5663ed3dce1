"""Calls in an order that seldom changes the unit, so that few stages make a chunk of a prompt. Floor 5."""

from __future__ import annotations

from dataclasses import replace

from tte.language.prompt import PREFILL
from tte.passes.memory.flow import flow
from tte.program import Call, Function, Program


def by_units(program: Program) -> Program:
    """`prefill` so ordered, if it has calls of two units."""
    functions = (gathered(f) if f.name == PREFILL else f for f in program.functions)
    return replace(program, functions=tuple(functions)) if program.jobs else program


def gathered(function: Function) -> Function:
    """From the cpu on, each unit goes on until it has no call that may come next; cascades stay as they are."""
    if function.cascades:
        return function
    before, left = flow(function).before, list(range(len(function.calls)))
    done, order, unit = 0, list[Call](), "cpu"
    while left:
        ready = [i for i in left if not before[i] & ~done]
        i = next((i for i in ready if function.calls[i].unit == unit), ready[0])
        left.remove(i)
        order.append(function.calls[i])
        done, unit = done | 1 << i, function.calls[i].unit
    return replace(function, calls=tuple(order))
