"""What plans take of a board's memory: the arenas of compiled programs, never an estimate. Floor 8."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tte.driver import Options, Training, lower, run_passes
from tte.ir import Module
from tte.notebook import Notebook
from tte.passes.training.train_step import TrainStep
from tte.plan import TrainPlan
from tte.states import layout
from tte.target import Board


@dataclass(frozen=True, slots=True)
class Taken:
    """Bytes of an arena, and the planner's proof that no other places of these calls need fewer."""

    arena: int
    bound: int


@dataclass(eq=False)
class Budget:
    """A simplified module, with its head, and how and for which board it is compiled, with the smallest arena."""

    module: Module
    training: Training
    board: Board
    io: frozenset[str]
    notes: Notebook
    _known: dict[TrainPlan, Taken] = field(default_factory=dict[TrainPlan, Taken])

    @property
    def known(self) -> Mapping[TrainPlan, Taken]:
        """What was asked for."""
        return self._known

    @property
    def room(self) -> int:
        """Bytes that an arena may have."""
        return sys.maxsize if self.board.sram is None else self.board.sram - self.board.cpu.stack

    def takes(self, plan: TrainPlan) -> Taken:
        """The arena of what `tte compile --memory smallest` would make."""
        if plan not in self._known:
            found = self.notes.get(f"bytes on {self.board.name}\n{plan}") or self._compiled(plan)
            self._known[plan] = Taken(int(found["arena"]), int(found["bound"]))
        return self._known[plan]

    def fits(self, plan: TrainPlan) -> bool:
        """True if the board can hold it."""
        return self.takes(plan).arena <= self.room

    def states(self, plan: TrainPlan) -> int:
        """Bytes of the weights and biases that a plan trains."""
        module = self.module
        for rewrite in replace(self.training, plan=plan).passes(()):
            if isinstance(rewrite, TrainStep):
                break
            module = rewrite(module, self.board)
        return layout(module.states).bytes

    def _compiled(self, plan: TrainPlan) -> dict[str, float]:
        passes = replace(self.training, plan=plan).passes(())
        _, placed = lower(run_passes(self.module, self.board, passes), self.board, Options(self.io, memory="smallest"))
        found: dict[str, float] = {"arena": placed.arena, "bound": placed.bound}
        self.notes.add(f"bytes on {self.board.name}\n{plan}", found)
        return found
