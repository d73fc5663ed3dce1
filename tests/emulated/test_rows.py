"""`--io rows`: the input comes row by row. Bits equal to the oracle's, within the bars; plans that break are caught."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import usable
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from maps import network
from networks import expected

from tte.checker.replay import check_plan
from tte.driver import Compiled, Memory, Options, compile_model, lower
from tte.errors import InternalError, Unsupported
from tte.interp import interpret
from tte.ir import Builder, Module
from tte.ops.linear import Linear
from tte.ops.max_pool import MaxPool
from tte.ops.reshape import Reshape
from tte.ops.transpose import Transpose
from tte.program import MemoryPlan, Program, Slot
from tte.running.emulate import build, infer
from tte.target import load_board
from tte.types import DType, TensorType, Value

HOST = load_board("host")
ROWS = frozenset({"rows"})
BARS = {"kws": 6_500, "vww": 16_500, "mcunet_5fps": 32_000}
QUIET = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=30)


@pytest.mark.parametrize("board_name", ["host", "cortex-m4", "riscv32"])
@pytest.mark.parametrize("name", BARS)
def test_networks_equal_the_oracle(name: str, board_name: str, shared: Path, tmp_path: Path) -> None:
    board = usable(board_name)
    module, inputs, wanted = expected(name, shared, 2)
    compiled = compile_model(module, board, Options(io=ROWS | {"quantized"}, memory="smallest"))
    assert compiled.plan.bound <= compiled.plan.arena <= BARS[name]
    compiled.write(tmp_path)
    run = infer(compiled.module, build(tmp_path, board), board, inputs)
    for outputs, oracle in zip(run.outputs, wanted, strict=True):
        np.testing.assert_array_equal(outputs[0], oracle[0])
    if board.cpu.counts:
        assert run.steps is not None
        assert len(run.steps) == len(list(compiled.program.functions[0].steps))
        assert run.instructions == sum(run.steps)
        assert min(run.steps) > 0


def agree(compiled: Compiled, folder: Path) -> None:
    """Two samples, one after the other, with the arena between guards."""
    compiled.write(folder)
    makefile = folder / "Makefile"
    makefile.write_text(makefile.read_text().replace("GUARD = 0", "GUARD = 64"))
    graph, states = compiled.module.graph("infer"), {s.value.name: s.init for s in compiled.module.states}
    rng = np.random.default_rng(1)
    t = graph.ins[0].type
    samples = [(rng.integers(-100, 100, t.shape).astype(t.dtype.numpy),) for _ in range(2)]
    run = infer(compiled.module, build(folder, HOST), HOST, samples)
    for sample, outputs in zip(samples, run.outputs, strict=True):
        wanted, _ = interpret(graph, {graph.ins[0].name: sample[0]}, states)
        for v, a in zip(graph.outs, outputs, strict=True):
            np.testing.assert_array_equal(a, wanted[v.name])


@pytest.mark.parametrize("memory", ["fast", "balanced", "smallest"])
@pytest.mark.parametrize("seed", range(4))
def test_random_networks_equal_the_interpreter(seed: int, memory: Memory, tmp_path: Path) -> None:
    usable("host")
    agree(compile_model(network(seed)[0], HOST, Options(io=ROWS, memory=memory)), tmp_path)


def streamed(seed: int) -> tuple[Program, MemoryPlan]:
    """A random network with its input by rows; some read it so late, or so, that there are no rows."""
    try:
        return lower(network(seed)[0], HOST, Options(io=ROWS, memory="smallest"))
    except Unsupported:
        assume(False)
        raise


def broken(plan: MemoryPlan, slot: Slot, **changes: int) -> MemoryPlan:
    return replace(
        plan, functions={"infer": tuple(replace(s, **changes) if s is slot else s for s in plan.functions["infer"])}
    )


def arriving(program: Program, plan: MemoryPlan) -> Slot:
    """The slot of the input."""
    arrival = program.functions[0].arrival
    assert arrival is not None
    return next(s for s in plan.functions["infer"] if s.value == arrival.outs[0])


@QUIET
@given(st.integers(0, 2**32))
def test_the_input_in_a_ring_one_row_short_is_caught(seed: int) -> None:
    program, plan = streamed(seed)
    check_plan(program, plan)
    slot = arriving(program, plan)
    assume(slot.rows > 1 and slot.value not in program.functions[0].cascades[0].homes)
    with pytest.raises(InternalError, match=r"overwritten|shares bytes|is a ring"):
        check_plan(program, broken(plan, slot, rows=slot.rows - 1))


@QUIET
@given(st.integers(0, 2**32), st.data())
def test_a_lost_position_is_caught(seed: int, data: st.DataObject) -> None:
    program, plan = streamed(seed)
    function = program.functions[0]
    slot = next(s for s in plan.functions["infer"] if s.value == function.position)
    other = data.draw(st.sampled_from([s for s in plan.functions["infer"] if s is not slot]))
    with pytest.raises(InternalError):
        check_plan(program, broken(plan, slot, offset=other.offset))
    late = replace(function.cascades[0], order=(1, *function.cascades[0].order))
    for wrong in (replace(function, position=None), replace(function, cascades=(late,))):
        with pytest.raises(InternalError, match="does not start with its input"):
            check_plan(replace(program, functions=(wrong,)), plan)


def test_what_arrived_may_be_given_up(tmp_path: Path) -> None:
    """Three rows of something else, then `init`, then the input."""
    usable("host")
    compiled = compile_model(network(3)[0], HOST, Options(io=ROWS, memory="smallest"))
    main = compiled.files["main.c"].decode()
    before = "    int32_t status = TTE_MORE;\n"
    assert main.count(before) == 1
    junk = "    for (int i = 0; i < 2; i++) { *(char *)infer_row(arena) = 7; (void)infer_push(arena); }\n"
    junk = (
        junk.replace("infer_", f"{compiled.module.name}_")
        + f"    (void){compiled.module.name}_init(arena, sizeof arena);\n"
    )
    agree(replace(compiled, files=compiled.files | {"main.c": main.replace(before, junk + before).encode()}), tmp_path)


def net(*ops: object, shape: tuple[int, ...] = (1, 8, 4, 2), inputs: int = 1) -> Module:
    """Operators in a row; one that joins takes the second input."""
    b = Builder("infer")
    xs = [b.input(f"x{i}", TensorType(shape, DType.F32)) for i in range(inputs)]
    x: Value = xs[0]
    for op in ops:
        if isinstance(op, Linear):
            w = b.constant(
                "w", TensorType((2, x.type.shape[-1]), DType.F32), np.ones((2, x.type.shape[-1]), np.float32)
            )
            x = b.emit(op, x, w, b.constant("b", TensorType((2,), DType.F32), np.zeros(2, np.float32)))[0]
        else:
            x = b.emit(op, x)[0]  # type: ignore[arg-type]
    return Module("net", tuple(b.states), (b.finish(x),))


POOL = MaxPool((2, 2), (2, 2))


@pytest.mark.parametrize(
    ("module", "io", "what"),
    [
        (net(Reshape((1, 64)), Linear()), ROWS, "= linear.*cannot go row by row with the input, as --io rows asks"),
        (net(POOL, inputs=2), ROWS, "has 2 inputs; --io rows takes one"),
        (net(POOL), ROWS | {"caller"}, "rows and caller do not go together"),
        (net(Transpose((0, 2, 3, 1)), POOL), ROWS, r"turns the input around.*\(--io quantized,rows\)"),
        (net(Linear(), shape=(1, 9)), ROWS, r"is not a map .*\(--io quantized,rows\)"),
    ],
)
def test_refusals(module: Module, io: frozenset[str], what: str) -> None:
    with pytest.raises(Unsupported, match=what) as error:
        compile_model(module, HOST, Options(io=io))
    assert "\n" not in str(error.value)
