"""Loops over channels: what they spare, and that the checker finds every way in which one can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from blocks import Shape, block
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tte.checker.replay import check_plan
from tte.errors import InternalError
from tte.passes.memory.chains import chains
from tte.passes.memory.order import order
from tte.passes.memory.plan import plan_memory
from tte.passes.select import select
from tte.passes.training.hoist import hoist
from tte.program import Call, Inner, Loop, MemoryPlan, Program
from tte.target import load_board

HOST = load_board("host")
QUIET = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=12)
shapes = st.builds(
    Shape,
    size=st.integers(3, 6),
    ci=st.integers(5, 9),
    hidden=st.sampled_from((6, 10, 12, 16)),
    co=st.integers(5, 9),
    k=st.sampled_from((1, 2, 4)),
    kernel=st.sampled_from((1, 3, 5)),
    stride=st.integers(1, 2),
    depthwise=st.sampled_from((0, 0, 2, 4, 6)),
    project=st.booleans(),
    upward=st.booleans(),
)


def planned(shape: Shape, looped: bool = True) -> tuple[Program, MemoryPlan]:
    program = select(hoist(block(shape), HOST), HOST)
    program = order(chains(program, HOST) if looped else program)
    return program, plan_memory(program)


def longest(program: Program) -> tuple[Call, Loop]:
    """The call with the longest loop."""
    found = [(c, c.loop) for c in program.functions[0].calls if c.loop]
    assume(found)
    return max(found, key=lambda f: len(f[1].calls))


def test_a_block_needs_its_ends_and_some_planes() -> None:
    """RECIPES: live are the gradient of the block's output, that of its input, and four planes of hidden channels.

    Here also the masked gradient of the output, as the residual edge still needs the other.
    """
    shape = Shape(size=8, ci=16, hidden=96, co=16, k=8)
    (program, plan), (_, whole) = planned(shape), planned(shape, looped=False)
    check_plan(program, plan)
    pixels = shape.size**2
    given = sum(s.end - s.offset for s in plan.functions["infer"] if s.value in program.functions[0].ins)
    states = sum(-(-s.bytes // 8) * 8 for s in plan.states)
    ends, planes = 3 * 4 * pixels * shape.ci, 2 * 4 * pixels * 4
    gradients = 4 * 4 * (1 + 1 + shape.k)
    assert plan.arena <= states + given - 4 * pixels * shape.co + ends + planes + gradients
    assert whole.arena >= states + 2 * 4 * pixels * shape.hidden
    hidden = [s for s in plan.functions["infer"] if s.bytes >= 4 * pixels * shape.hidden]
    assert not hidden


@QUIET
@given(shapes)
def test_loops_pass_the_checker(shape: Shape) -> None:
    program, plan = planned(shape)
    check_plan(program, plan)
    if shape.hidden >= 2 * shape.ci and shape.stride == 1:
        assert plan.arena < planned(shape, looped=False)[1].arena
        assert any(c.loop for c in program.functions[0].calls)


def broken(program: Program, plan: MemoryPlan, call: Call, change: Callable[[Loop], Loop]) -> None:
    """The checker refuses the program with that loop changed."""
    (f,) = program.functions
    assert call.loop
    calls = tuple(replace(c, loop=change(call.loop)) if c is call else c for c in f.calls)
    with pytest.raises(InternalError):
        check_plan(replace(program, functions=(replace(f, calls=calls),)), plan)


@QUIET
@given(shapes, st.data())
def test_places_that_overlap_are_caught(shape: Shape, data: st.DataObject) -> None:
    program, plan = planned(shape)
    call, loop = longest(program)
    places = sorted(loop.places, key=lambda v: v.name)
    v = data.draw(st.sampled_from(places))
    others = [w for w in places if loop.places[w] != loop.places[v] and overlap(loop, v, w)]
    assume(others)
    at = loop.places[data.draw(st.sampled_from(others))]
    broken(program, plan, call, lambda loop: replace(loop, places={**loop.places, v: at}))


def overlap(loop: Loop, v: object, w: object) -> bool:
    """True if both live at one call, and none may replace the other there."""
    lives = []
    for u in (v, w):
        at = [i for i, inner in enumerate(loop.calls) if u in (*inner.call.ins, *inner.call.outs, inner.call.scratch)]
        lives.append((min(at), max(at)))
    (a, b), (c, d) = lives
    return max(a, c) < min(b, d)


@QUIET
@given(shapes, st.data())
def test_a_place_outside_is_caught(shape: Shape, data: st.DataObject) -> None:
    program, plan = planned(shape)
    call, loop = longest(program)
    v = data.draw(st.sampled_from(sorted(loop.places, key=lambda v: v.name)))
    assert call.scratch
    end = call.scratch.type.bytes
    broken(program, plan, call, lambda loop: replace(loop, places={**loop.places, v: end}))


@QUIET
@given(shapes, st.data())
def test_another_order_is_caught(shape: Shape, data: st.DataObject) -> None:
    """A call before one that it depends on: what it reads is not made, or weights were updated before they are read."""
    program, plan = planned(shape)
    call, loop = longest(program)
    renewed = {new: old for old, new in program.functions[0].updates}
    pairs = [(i, k) for k, b in enumerate(loop.calls) for i, a in enumerate(loop.calls[:k]) if needs(a, b, renewed)]
    i, k = data.draw(st.sampled_from(pairs))
    calls = list(loop.calls)
    calls.insert(i, calls.pop(k))
    broken(program, plan, call, lambda loop: replace(loop, calls=tuple(calls)))


def needs(a: Inner, b: Inner, renewed: dict[object, object]) -> bool:
    made = {*a.call.outs} & {*b.call.ins}
    return bool(made or {renewed.get(v) for v in b.call.outs} & {*a.call.ins})


@QUIET
@given(shapes, st.data())
def test_channels_left_out_are_caught(shape: Shape, data: st.DataObject) -> None:
    program, plan = planned(shape)
    call, loop = longest(program)
    i = data.draw(st.integers(0, len(loop.calls) - 1))
    short = replace(loop.calls[i], until=loop.calls[i].until - loop.group)
    assume(short.until)
    broken(program, plan, call, lambda loop: replace(loop, calls=(*loop.calls[:i], short, *loop.calls[i + 1 :])))
