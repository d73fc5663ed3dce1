"""What plans take of a board's memory: the arenas of compiled programs, never an estimate. Floor 8."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tte.driver import Options, Training, lower, run_passes
from tte.ir import Module
from tte.passes.training.train_step import TrainStep
from tte.states import layout
from tte.target import Board
from tte.training.notebook import Notebook
from tte.training.plan import TrainPlan


@dataclass(eq=False)
class Budget:
    """A simplified module, with its head, and how and for which board it is compiled, with the smallest arena."""

    module: Module
    training: Training
    board: Board
    io: frozenset[str]
    notes: Notebook
    _known: dict[TrainPlan, int] = field(default_factory=dict[TrainPlan, int])

    @property
    def known(self) -> Mapping[TrainPlan, int]:
        """Bytes of the plans that were asked for."""
        return self._known

    @property
    def room(self) -> int:
        """Bytes that an arena may have."""
        return sys.maxsize if self.board.sram is None else self.board.sram - self.board.cpu.stack

    def takes(self, plan: TrainPlan) -> int:
        """Bytes of the arena of what `tte compile --memory smallest` would make."""
        if plan not in self._known:
            question = f"arena of\n{plan}"
            found = self.notes.get(question)
            if found is None:
                found = {"bytes": float(self._compiled(plan))}
                self.notes.add(question, found)
            self._known[plan] = int(found["bytes"])
        return self._known[plan]

    def fits(self, plan: TrainPlan) -> bool:
        """True if the board can hold it."""
        return self.takes(plan) <= self.room

    def states(self, plan: TrainPlan) -> int:
        """Bytes of the weights and biases that a plan trains."""
        module = self.module
        for rewrite in replace(self.training, plan=plan).passes(()):
            if isinstance(rewrite, TrainStep):
                break
            module = rewrite(module, self.board)
        return layout(module.states).bytes

    def _compiled(self, plan: TrainPlan) -> int:
        passes = replace(self.training, plan=plan).passes(())
        module = run_passes(self.module, self.board, passes)
        return lower(module, self.board, Options(self.io, memory="smallest"))[1].arena
