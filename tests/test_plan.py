"""Random programs: the checker accepts the planner's plans and rejects broken ones; small ones are tried in full."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from plans import call, can_place, function, most_alive, orders, planned, program, programs, value

from tte.checker.replay import check_plan
from tte.driver import Options, compile_model, lower
from tte.errors import DoesNotFit, InternalError
from tte.ir import Builder, Module, State
from tte.ops.add import Add
from tte.ops.linear import Linear
from tte.ops.reshape import Reshape
from tte.passes.memory import offsets
from tte.passes.memory.flow import flow
from tte.passes.memory.plan import check_fit, plan_memory
from tte.passes.simplify.dce import dce
from tte.program import Candidate, MemoryPlan, Program, Slot
from tte.target import Memory, load_board
from tte.types import DType, TensorType, Value

try:
    from ortools.sat.python import cp_model
except ImportError:
    cp_model = None

HOST = load_board("host")
QUIET = settings(deadline=None, suppress_health_check=list(HealthCheck))


@QUIET
@given(programs())
def test_plans_pass_the_checker(p: Program) -> None:
    ordered, plan = planned(p)
    assert plan.arena >= plan.bound
    assert plan.arena <= plan_memory(p).arena
    assert sorted(map(id, ordered.functions[0].calls)) == sorted(map(id, p.functions[0].calls))


@settings(QUIET, max_examples=60)
@given(programs(most=5))
def test_small_programs_are_planned_optimally(p: Program) -> None:
    """No order has a lower peak, `bound` is that of the best order, and no offsets in any order need fewer bytes."""
    _, plan = planned(p)
    all_orders = [replace(p.functions[0], calls=calls) for calls in orders(p.functions[0])]
    best = min(map(most_alive, all_orders))
    assert plan.bound == best
    if plan.arena > best:
        assert not any(can_place(f, plan.arena - 1) for f in all_orders if most_alive(f) < plan.arena)


@st.composite
def modules(draw: st.DrawFn) -> Module:
    """Real ops: sums that may work in place, layers that change the size, views of anything, of outputs too."""
    rng = np.random.default_rng(0)
    b = Builder("infer")
    shapes = {n: TensorType((n, 4), DType.F32) for n in (4, 8)}
    weights = {n: b.constant(f"w{n}", t, rng.standard_normal(t.shape).astype("f4")) for n, t in shapes.items()}
    biases = {n: b.constant(f"b{n}", TensorType((n,), DType.F32), np.zeros(n, "f4")) for n in shapes}
    values = [b.input(f"x{i}", TensorType((6, 4), DType.F32)) for i in range(draw(st.integers(1, 2)))]
    for _ in range(draw(st.integers(1, 10))):
        x = draw(st.sampled_from(values))
        (view,) = b.emit(Reshape((x.type.size // 4, 4)), x)
        match draw(st.sampled_from(["add", "linear", "view"])):
            case "add":
                values += b.emit(Add(), x, draw(st.sampled_from([v for v in values if v.type == x.type])))
            case "linear":
                n = draw(st.sampled_from(sorted(shapes)))
                values += b.emit(Linear(), view, weights[n], biases[n])
            case _:
                values.append(view)
    outs = draw(st.lists(st.sampled_from([v for n in b.nodes for v in n.outs]), min_size=1, max_size=3, unique=True))
    return Module("random", tuple(b.states), (b.finish(*outs),))


@settings(QUIET, max_examples=50)
@given(modules(), st.integers(0, 2000), st.booleans())
def test_a_board_holds_it_or_refuses_it(module: Module, sram: int, caller: bool) -> None:
    options = Options(io=frozenset({"caller"} if caller else ()), simplify=(dce,))
    _, plan = lower(dce(module, HOST), HOST, options)
    board = replace(HOST, memories={"ram": Memory(0, sram, "sram")}) if sram else HOST
    if sram and plan.arena > sram:
        with pytest.raises(DoesNotFit, match=f"needs {plan.arena} bytes of sram, host has {sram} "):
            compile_model(module, board, options)
    else:
        assert compile_model(module, board, options).plan == plan


def test_does_not_fit_names_the_peak() -> None:
    x, a, b, y = value("x", 40), value("a", 400), value("b", 200), value("y", 8)
    p = program(function((x,), (y,), call((x,), (a,)), call((a,), (b,), scratch=24), call((b,), (y,))))
    board = replace(HOST, memories={"ram": Memory(0, 500, "sram")}, units={"cpu": replace(HOST.cpu, stack=100)})
    with pytest.raises(DoesNotFit) as caught:
        check_fit(*planned(p), board)
    assert str(caught.value) == (
        "p: needs 624 bytes of sram, host has 400 beside the stack; peak at infer: b = add; "
        "largest there: model/a 400, model/b 200, model/b_scratch 24 (try a board with more sram)"
    )


# Broken plans. `ALWAYS` claims that all is alive at all times, so that only the bytes can tell.


def changed(plan: MemoryPlan, slot: Slot, **changes: int) -> MemoryPlan:
    slots = tuple(replace(s, **changes) if s is slot else s for s in plan.functions["infer"])
    return replace(plan, functions={"infer": slots})


def always(plan: MemoryPlan) -> MemoryPlan:
    return replace(plan, functions={"infer": tuple(replace(s, first=-1, last=99) for s in plan.functions["infer"])})


@QUIET
@given(programs(), st.data())
def test_a_slot_moved_onto_a_neighbour_is_caught(p: Program, data: st.DataObject) -> None:
    ordered, plan = planned(p)
    slots = plan.functions["infer"]
    pairs = [
        (i, step)
        for i, a in enumerate(slots)
        for b in slots
        for step in (-8, 8)
        if a.first <= b.last and b.first <= a.last and a.offset != b.offset != a.offset + step
        if a.offset + step < b.end and b.offset < a.end + step
    ]
    assume(pairs)
    i, step = data.draw(st.sampled_from(pairs))
    loose = always(plan)
    check_plan(ordered, loose)
    slot = loose.functions["infer"][i]
    with pytest.raises(InternalError, match=r"shares? bytes|overwritten|lost|outside the arena"):
        check_plan(ordered, changed(loose, slot, offset=slot.offset + step))


@QUIET
@given(programs(), st.data())
def test_a_life_cut_short_is_caught(p: Program, data: st.DataObject) -> None:
    ordered, plan = planned(p)
    assume(plan.functions["infer"])
    slot = data.draw(st.sampled_from(plan.functions["infer"]))
    change = {"first": slot.first + 1} if data.draw(st.booleans()) else {"last": slot.last - 1}
    with pytest.raises(InternalError, match="outside its life"):
        check_plan(ordered, changed(plan, slot, **change))


@QUIET
@given(programs())
def test_in_place_where_the_kernel_forbids_it_is_caught(p: Program) -> None:
    ordered, plan = planned(p)
    (f,) = ordered.functions
    places = {s.value: s.offset for s in plan.functions["infer"]}
    assume(any(x in places and places[x] == places.get(y) for c in f.calls for x in c.ins for y in c.outs))
    calls = tuple(replace(c, kernel=replace(c.kernel, inplace=())) for c in f.calls)
    with pytest.raises(InternalError, match="shares bytes"):
        check_plan(replace(ordered, functions=(replace(f, calls=calls),)), plan)


def test_in_place_asks_for_every_position() -> None:
    """add x, x may overwrite x only if the kernel says so of both inputs."""
    x, y, z = value("x", 16), value("y", 16), value("z", 16)
    for inplace, arena in (((0, 0),), 32), (((0, 0), (1, 0)), 16):
        p = program(function((x,), (z,), call((x, x), (y,), inplace), call((y,), (z,), ((0, 0),))))
        assert planned(p)[1].arena == arena


def test_a_planner_with_strict_bounds_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """`x` is alive at calls -1..0 and `y` at 0..1: bounds that are strict at call 0 would let them share."""
    x, y, z = value("x", 16), value("y", 16), value("z", 16)
    p = program(function((x,), (z,), call((x,), (y,)), call((y,), (z,))))
    check_plan(p, plan_memory(p))
    monkeypatch.setattr(offsets.Buffer, "meets", lambda a, b: a.first < b.last and b.first < a.last)
    with pytest.raises(InternalError, match=r"shares bytes|two"):
        check_plan(p, plan_memory(p))


def test_what_no_call_would_show_is_caught() -> None:
    """Inputs, states and results that share bytes, slots that are missing, doubled, crooked or outside."""
    x, w, y, z = value("x", 16), value("w", 16), value("y", 16), value("z", 16)
    state = State(value("s", 16), np.zeros(16, np.int8), "sram")
    p = replace(program(function((x, w), (y, z), call((x,), (y, z)))), states=(state,))
    _, plan = planned(p)
    slots = {s.value.name: s for s in plan.functions["infer"]}
    (own,) = plan.states
    broken = [
        *(changed(plan, slots[a], offset=slots[b].offset) for a, b in ("xw", "wx", "yz", "xy")),
        *(changed(plan, slots[a], offset=own.offset) for a in "xwyz"),
        *(changed(plan, slots["x"], offset=o) for o in (-8, plan.arena - 8, 1)),
        replace(plan, states=()),
        replace(plan, states=(own, own)),
        replace(plan, functions={"infer": plan.functions["infer"][1:]}),
        replace(plan, functions={}),
    ]
    for wrong in broken:
        with pytest.raises(InternalError):
            check_plan(p, wrong)


def test_states_lie_below_all_functions_and_are_renewed_in_place() -> None:
    s, new, x, y = value("s", 24), value("n", 24), value("x", 16), value("y", 40)
    reads = function((x,), (y,), call((x, s), (y,)))
    late = call((x, s), (new,), ((1, 0),))
    step = replace(function((x,), (y,), call((x, s), (y,)), late), updates=((s, new),))
    states = (State(s, np.zeros(24, np.int8), "sram"),)
    p, plan = planned(Program("p", states, (reads, replace(step, name="train"))))
    assert flow(step).before == (0, 1), "who reads the old value comes first"
    assert [(t.offset, t.end) for t in plan.states] == [(0, 24)]
    assert {t.value.name: t.offset for t in plan.functions["train"]}["n"] == 0
    assert plan.arena == 24 + 16 + 40 == plan.bound
    forbidden = replace(late, kernel=replace(late.kernel, inplace=()))
    p = Program("p", states, (replace(step, calls=(step.calls[0], forbidden)),))
    with pytest.raises(InternalError, match="n shares bytes with s"):
        check_plan(p, plan_memory(p))


def test_does_not_fit_says_what_would_help() -> None:
    """Floats at the ends of the call and scratch at the peak, if another kernel needs less."""
    x, y = Value("x", TensorType((100,), DType.F32)), value("y", 8)
    costly = call((x,), (y,), scratch=24)
    frugal = replace(costly, candidates=(Candidate(costly.kernel, 9.0), Candidate(costly.kernel, 1.0, scratch=24)))
    board = replace(HOST, memories={"ram": Memory(0, 100, "sram")})
    for c, hint in (
        (costly, "(try --io quantized or a board"),
        (frugal, "(try --io quantized or --memory smallest or a"),
    ):
        with pytest.raises(DoesNotFit) as caught:
            check_fit(*planned(program(function((x,), (y,), c))), board)
        assert hint in str(caught.value)
