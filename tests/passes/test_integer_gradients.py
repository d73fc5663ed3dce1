"""Rounded gradients: which channels share a step, what is left alone, and that they take no more bytes than f32."""

from __future__ import annotations

import pytest
from blocks import Shape, block

from tte.ir import Module, verify
from tte.ops.round_grad import RoundGrad
from tte.passes.memory.chains import chains
from tte.passes.memory.order import order
from tte.passes.memory.plan import plan_memory
from tte.passes.select import select
from tte.passes.training.hoist import hoist
from tte.passes.training.integer_gradients import IntegerGradients
from tte.target import load_board

HOST = load_board("host")


def arena(module: Module) -> int:
    return plan_memory(order(chains(select(hoist(module, HOST), HOST), HOST))).arena


def groups(module: Module) -> list[int]:
    return [n.op.group for n in module.graphs[0].nodes if isinstance(n.op, RoundGrad)]


def test_what_fans_out_shares_a_step_by_fours() -> None:
    """Of an inverted residual block: the projection's gradient has one step, each depthwise channel its own."""
    module = block(Shape(ci=12, hidden=24, co=10))
    rounded = IntegerGradients(8)(module, HOST)
    verify(rounded)
    assert groups(rounded) == [10, 1, 4]
    assert groups(IntegerGradients(8)(block(Shape(hidden=26)), HOST)) == [12, 1, 26]
    assert groups(IntegerGradients(8)(block(Shape(upward=False)), HOST)) == [12, 1, 1]


def test_a_gradient_that_others_read_stays_as_it_is() -> None:
    module = block(Shape())
    (graph,) = module.graphs
    masked = [n.outs[0] for n in graph.nodes if n.op.label() == "mask_grad"]
    shown = Module("shown", module.states, (type(graph)("infer", graph.ins, (masked[0],), graph.nodes, graph.updates),))
    assert len(groups(IntegerGradients(8)(shown, HOST))) == len(masked) - 1


@pytest.mark.parametrize("bits", (8, 16))
def test_loops_need_no_more_bytes(bits: int) -> None:
    for shape in (Shape(), Shape(size=8, ci=16, hidden=96, co=16, k=8), Shape(size=7, stride=2, kernel=5)):
        module = block(shape)
        assert arena(IntegerGradients(bits)(module, HOST)) <= arena(module)
