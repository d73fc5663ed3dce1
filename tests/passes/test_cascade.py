"""Cascades: what the planner's rings, distances and lives promise is needed to the last row and the last bytes."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from maps import Maps, Q, network

from tte.checker.replay import check_plan
from tte.driver import Memory, Options, lower
from tte.errors import InternalError
from tte.ir import Builder, Module
from tte.passes.memory.rows import access, pull
from tte.passes.select import select
from tte.program import Cascade, MemoryPlan, Program, Slot
from tte.target import load_board
from tte.types import DType, TensorType

HOST = load_board("host")
QUIET = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=30)
seeds = st.integers(0, 2**32)


def planned(seed: int, memory: Memory = "smallest") -> tuple[Program, MemoryPlan]:
    return lower(network(seed)[0], HOST, Options(memory=memory))


def changed(plan: MemoryPlan, slot: Slot, **changes: int) -> MemoryPlan:
    slots = tuple(replace(s, **changes) if s is slot else s for s in plan.functions["infer"])
    return replace(plan, functions={"infer": slots})


def always(plan: MemoryPlan) -> MemoryPlan:
    """It claims that all is alive at all times, so that only the bytes can tell."""
    return replace(plan, functions={"infer": tuple(replace(s, first=-1, last=99) for s in plan.functions["infer"])})


@QUIET
@given(seeds, st.sampled_from(("smallest", "balanced")))
def test_plans_pass_the_checker(seed: int, memory: Memory) -> None:
    program, plan = planned(seed, memory)
    check_plan(program, plan)
    assert plan.bound <= plan.arena <= planned(seed, "fast")[1].arena + 64


@QUIET
@given(seeds, st.data())
def test_a_ring_one_row_short_is_caught(seed: int, data: st.DataObject) -> None:
    program, plan = planned(seed)
    rings = [s for s in plan.functions["infer"] if s.rows > 1]
    assume(rings)
    slot = data.draw(st.sampled_from(rings))
    homes = {x: y for c in program.functions[0].cascades for x, y in c.homes.items()}
    home = homes.get(slot.value, slot.value)
    one = {v for v in plan_values(plan) if homes.get(v, v) == home}
    slots = tuple(replace(s, rows=s.rows - 1) if s.value in one else s for s in plan.functions["infer"])
    assume(all(s.rows > 0 for s in slots if s.value in one))
    with pytest.raises(InternalError, match=r"overwritten|shares bytes|is a ring"):
        check_plan(program, replace(plan, functions={"infer": slots}))


def plan_values(plan: MemoryPlan) -> set[object]:
    return {s.value for s in plan.functions["infer"]}


@st.composite
def chains(draw: st.DrawFn) -> Module:
    """One to four convolutions, whose rows are whole words, so that distances need no rounding."""
    b = Builder("infer")
    maps = Maps(b, Random(draw(seeds)))
    shape = (1, draw(st.integers(6, 20)), draw(st.integers(1, 5)), draw(st.sampled_from((8, 16))))
    x = b.input("x", TensorType(shape, DType.S8, Q))
    for _ in range(draw(st.integers(1, 4))):
        k, stride = draw(st.sampled_from((1, 2, 3, 5))), draw(st.sampled_from((1, 1, 2)))
        x = maps.conv(x, draw(st.sampled_from((8, 16, 24))), k, stride)
    return Module("chain", tuple(b.states), (b.finish(x),))


@QUIET
@given(chains(), st.booleans())
def test_a_distance_eight_bytes_short_is_caught(module: Module, backward: bool) -> None:
    program = select(module, HOST)
    (f,) = program.functions
    (x,), (y,) = f.ins, f.outs
    chain = [a.mirrored() if backward else a for a in map(access, f.calls) if a]
    found = pull(chain, [y])
    distance = next(d for _, v, d in found.over if v == y)
    assume(distance > -x.type.bytes)
    cascade = Cascade(0, len(f.calls), found.order, found.rings, found.homes, backward)
    program = replace(program, functions=(replace(f, cascades=(cascade,)),))

    def plan(distance: int) -> MemoryPlan:
        at, last = 1 << 16, len(f.calls)
        apart = y.type.bytes - x.type.bytes - distance if backward else distance
        slots = [Slot(y, at, 0, last), Slot(x, at + apart, -1, last - 1)]
        for v, n in found.rings.items():
            slots.append(Slot(v, (len(slots) + 2) << 16, 0, last - 1, n))
        return MemoryPlan(1 << 20, 0, (), {"infer": tuple(slots)})

    check_plan(program, plan(distance))
    with pytest.raises(InternalError, match=r"shares bytes|overwritten|lost"):
        check_plan(program, plan(distance - 8))


@QUIET
@given(seeds, st.data())
def test_a_life_cut_short_is_caught(seed: int, data: st.DataObject) -> None:
    program, plan = planned(seed)
    slot = data.draw(st.sampled_from(plan.functions["infer"]))
    change = {"first": slot.first + 1} if data.draw(st.booleans()) else {"last": slot.last - 1}
    with pytest.raises(InternalError, match="outside its life"):
        check_plan(program, changed(plan, slot, **change))
