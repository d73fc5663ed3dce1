"""A trainer of all layers in which any of them can be switched off while it runs. Floor 6."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tte.ir import Builder, Module
from tte.ops.mul import Mul
from tte.ops.update import Update
from tte.passes.training.front import norms
from tte.passes.training.layers import resolve
from tte.target import Board
from tte.training.plan import TrainPlan
from tte.types import Array, DType, TensorType

ON = "_on"  # added to a state's name: its switch


@dataclass(frozen=True, slots=True)
class Switches:
    """Multiplies gradients in `train_step` by states f32 of 0 and 1, which a device's caller sets.

    `plan` is what can be trained at most. A bias has one switch; weights have one for each channel that a plan might
    train. What is switched off keeps its integers, as steps of 0 do.
    """

    plan: TrainPlan

    def __call__(self, module: Module, board: Board) -> Module:
        """The module with its switches, all of them on."""
        step = module.graph("train_step")
        shapes = {k: a.shape for k, a in settings(self.plan, self.plan, module).items()}
        builder = Builder(step.name, module.states, step)
        builder.nodes = []
        for node in step.nodes:
            name = node.ins[0].name + ON if isinstance(node.op, Update) else ""
            if name not in shapes:
                builder.nodes.append(node)
                continue
            w, d, *others = node.ins
            switch = builder.state(name, TensorType(shapes[name], DType.F32), np.ones(shapes[name], np.float32))
            (d,) = builder.emit(Mul(), d, switch, name=f"{w.name}_switched")
            builder.nodes.append(replace(node, ins=(w, d, *others)))
        changed = builder.finish(*step.outs, updates=step.updates)
        graphs = tuple(changed if g is step else g for g in module.graphs)
        return replace(module, states=tuple(builder.states), graphs=graphs)


def settings(most: TrainPlan, plan: TrainPlan, module: Module) -> Mapping[str, Array]:
    """The switches by name, of all that `most` trains but the head, set as `plan` has it.

    Of a ratio of channels, those with the largest weights are on.
    """
    graph = module.graph("infer")
    inits = {s.value: s.init for s in module.states}
    found: dict[str, Array] = {}
    for can, does in zip(resolve(most, graph)[:-1], resolve(plan, graph)[:-1], strict=True):
        _, w, b = can.node.ins
        if can.bias:
            found[b.name + ON] = np.full(1, does.bias, np.float32)
        if can.count:
            on = np.zeros(can.total, np.float32)
            on[np.argsort(-norms(can, inits[w]), kind="stable")[: does.count]] = 1
            found[w.name + ON] = on.reshape(-1, *[1] * (len(w.type.shape) - 1)) if can.axis == 0 else on
    return found
