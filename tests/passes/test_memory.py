"""The searches for order, offsets and kernels with scratch: what they find, and that their work is bounded."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from conftest import need
from plans import call, function, planned, program, value

from tte.driver import Options, lower
from tte.ir import Builder, Module
from tte.op import Kernel
from tte.ops.add import Add
from tte.ops.linear import Linear
from tte.passes.memory import offsets
from tte.passes.memory import order as ordering
from tte.passes.memory.flow import flow
from tte.passes.memory.offsets import Buffer, arrange
from tte.passes.memory.order import Search, order
from tte.passes.memory.plan import plan_memory
from tte.passes.select import least_scratch
from tte.program import Call, Function, Program
from tte.target import load_board
from tte.types import DType, TensorType

try:
    from ortools.sat.python import cp_model
except ImportError:
    cp_model = None

HOST = load_board("host")


def diamond() -> Program:
    """Two branches that open wide and end small: one after the other is best, side by side is given."""
    x, y = value("x", 8), value("y", 8)
    wide, thin = [value(f"w{i}", 800) for i in range(2)], [value(f"t{i}", 8) for i in range(2)]
    opened = [call((x,), (w,)) for w in wide]
    closed = [call((w,), (t,)) for w, t in zip(wide, thin, strict=True)]
    return program(function((x,), (y,), *opened, *closed, call(tuple(thin), (y,))))


def test_order_closes_a_branch_before_it_opens_another() -> None:
    p = diamond()
    assert plan_memory(p).arena == 8 + 2 * 800
    _, plan = planned(p)
    assert plan.arena == plan.bound == 8 + 800 + 8


def test_an_order_that_is_best_stays() -> None:
    p, _ = planned(diamond())
    again = order(p)
    assert [c.outs for c in again.functions[0].calls] == [c.outs for c in p.functions[0].calls]


def tangle(n: int, width: int, seed: int = 0) -> Function:
    """`n` calls that read one or two of the last `width` values."""
    rng = random.Random(seed)
    values, calls = [value("x", 64)], list[Call]()
    for i in range(n):
        ins = tuple(rng.choice(values[-width:]) for _ in range(rng.randint(1, 2)))
        calls.append(call(ins, (value(f"v{i}", 8 * rng.randint(1, 99)),), ((0, 0),)))
        values += calls[-1].outs
    return function((values[0],), (values[-1],), *calls)


@pytest.mark.parametrize("width", [1, 3, 30, 1000])
def test_a_thousand_calls_stay_within_the_budget(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work is counted, never timed: equal input gives equal output."""
    f = tangle(1000, width)
    search = Search(flow(f))
    found = search.run()
    assert search.looked <= 2 * ordering.BUDGET
    assert found.bound <= found.peak
    fitted = []
    first_fit = offsets._first_fit
    monkeypatch.setattr(offsets, "_first_fit", lambda *a: fitted.append(1) or first_fit(*a))
    plan_memory(program(f))
    assert len(fitted) <= 4 + min(offsets.TRIES, offsets.BUDGET // len(f.calls))


@pytest.mark.parametrize("seed", range(12))
def test_offsets_equal_those_of_a_solver(seed: int) -> None:
    """OR-Tools' CP-SAT proves what is the best."""
    need(cp_model, "ortools is not installed")
    rng = random.Random(seed)
    buffers = [
        Buffer(8 * rng.randint(1, 40), a, a + rng.randint(0, 6)) for a in (rng.randint(0, 12) for _ in range(14))
    ]
    ours = arrange(buffers)
    model = cp_model.CpModel()
    places = [model.new_int_var(0, ours.end // 8 - b.size // 8, "") for b in buffers]
    end = model.new_int_var(0, ours.end // 8, "")
    for b, place in zip(buffers, places, strict=True):
        model.add(place + b.size // 8 <= end)
    boxes = [
        [f(a, d, str(i)) for a, d, f in ((b.first, b.last - b.first + 1, fixed), (place, b.size // 8, fixed))]
        for i, (b, place) in enumerate(zip(buffers, places, strict=True))
        for fixed in (model.new_fixed_size_interval_var,)
    ]
    model.add_no_overlap_2d([t for t, _ in boxes], [m for _, m in boxes])
    model.minimize(end)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    assert solver.solve(model) == cp_model.OPTIMAL
    assert ours.end == 8 * solver.value(end)


# Scratch.


def test_memory_chooses_by_scratch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sums, of which the first is at the peak: a fast kernel with scratch is taken where there is room."""
    f = DType.F32
    plain, fast = (Kernel(n, "add.h", (f, f), (f,), per_out=c) for n, c in (("a", 1.1), ("b", 1)))
    monkeypatch.setattr(Add, "kernels", (plain, replace(fast, scratch=lambda ins, outs, params: 64)))
    b = Builder("infer")
    w, bias = (b.constant(n, TensorType(s, DType.F32), np.zeros(s, "f4")) for n, s in (("w", (2, 32)), ("b", (2,))))
    x = b.input("x", TensorType((1, 32), DType.F32))
    (big,) = b.emit(Add(), x, x)
    (small,) = b.emit(Linear(), big, w, bias)
    module = Module("m", tuple(b.states), (b.finish(*b.emit(Add(), small, small)),))
    expected = {"fast": ("bb", 320), "balanced": ("bb", 320), "smallest": ("ab", 256)}
    for memory, (kernels, arena) in expected.items():
        p, plan = lower(module, HOST, Options(memory=memory))  # type: ignore[arg-type]
        assert "".join(c.kernel.symbol for c in p.functions[0].calls if c.node.op == Add()) == kernels
        assert plan.arena == plan.bound == arena
    _, plan = lower(module, HOST, Options(memory="fast", prefer=least_scratch))
    assert plan.arena == 256
