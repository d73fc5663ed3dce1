"""Updates and what is saved come right behind what they are made of."""

from __future__ import annotations

from blocks import Shape, block, inputs

from tte.interp import interpret
from tte.ir import verify
from tte.passes.training.hoist import hoist
from tte.target import load_board

HOST = load_board("host")


def test_updates_come_as_soon_as_they_can() -> None:
    module = block(Shape(project=True, depthwise=8))
    found = hoist(module, HOST)
    verify(found)
    names = [n.outs[0].name for n in found.graphs[0].nodes]
    assert names.index("b_p_new") == names.index("db_p") + 1
    assert names.index("w_p_new") == names.index("conv_grad_x") + 1, "the old weights are read first"
    assert names.index("w_e_new") == names.index("gx") + 1
    assert [n for n in names if not n.endswith("_new")] == [
        n.outs[0].name for n in module.graphs[0].nodes if not n.outs[0].name.endswith("_new")
    ]
    states = {s.value.name: s.init for s in module.states}
    (a, x), (b, y) = (interpret(m.graphs[0], inputs(module), states) for m in (module, found))
    assert all((a[k] == b[k]).all() for k in a) and all((x[k] == y[k]).all() for k in x)
