"""Plans, tried on data: how well the network learns by each. Floor 10."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from typing import TypeAlias

from tte.data.dataset import Samples
from tte.driver import Pass, Training
from tte.ir import Module
from tte.training.bench import HOST, Lesson, Score, Trainer, cards, trainer
from tte.training.loop import Lessons
from tte.training.notebook import Notebook
from tte.training.plan import TrainPlan
from tte.training.switches import Switches, settings
from tte.training.tail import entries, tail, trained
from tte.training.workers import Work
from tte.types import Array

Tell: TypeAlias = Callable[[int, str], None]
Bar: TypeAlias = Callable[[str, int], AbstractContextManager[Tell]]
Scores: TypeAlias = dict[TrainPlan, Score]
Tried: TypeAlias = Iterable[tuple[TrainPlan, Score]]
Switched: TypeAlias = tuple[TrainPlan, Mapping[str, Array]]


@dataclass(frozen=True, slots=True, eq=False)
class Exam:
    """A simplified module with its head, and what it is to learn: samples of `given`, at a rate, in a drawn order."""

    module: Module
    training: Training
    given: Lessons
    learn: Samples
    held: Samples
    rate: float
    seed: int


@dataclass(frozen=True, eq=False)
class Trials:
    """Tries plans that train no more than `most`. What the notebook knows is not tried again."""

    exam: Exam
    notes: Notebook
    work: Work
    bar: Bar
    most: TrainPlan

    def within(self, most: TrainPlan) -> Trials:
        """Tries plans that train no more than this."""
        return replace(self, most=most)

    def contest(self, plans: Sequence[TrainPlan], epochs: int) -> Scores:
        """Scores by one trainer, in which what a plan doesn't train is switched off."""

        def tried(missing: Sequence[TrainPlan]) -> Tried:
            items = [(plan, settings(self.most, plan, self._full)) for plan in missing]
            for (plan, _), score in self.work(partial(_switched, self._trainer, self._lesson, epochs), items):
                yield plan, score

        return self._noted("measuring contributions", f"within\n{self.most}in {epochs} epochs", plans, tried)

    def finals(self, plans: Sequence[TrainPlan], epochs: int) -> Scores:
        """Scores by each plan's own trainer, which is what a device will run."""

        def tried(missing: Sequence[TrainPlan]) -> Tried:
            exam = self.exam
            return self.work(partial(_alone, exam.module, exam.training, self._names, self._lesson, epochs), missing)

        return self._noted("training the best plans", f"alone in {epochs} epochs", plans, tried)

    def _noted(
        self, what: str, how: str, plans: Sequence[TrainPlan], tried: Callable[[Sequence[TrainPlan]], Tried]
    ) -> Scores:
        """The scores in the notebook, after those that aren't there were found."""
        questions = {plan: f"score of\n{plan}{how}" for plan in plans}
        missing = [plan for plan in questions if self.notes.get(questions[plan]) is None]
        if missing:
            with self.bar(what, len(missing)) as tell:
                for plan, score in tried(missing):
                    self.notes.add(questions[plan], asdict(score))
                    tell(1, f"{score.right:.1%} right")
        return {plan: Score(**(self.notes.get(question) or {})) for plan, question in questions.items()}

    @cached_property
    def _full(self) -> Module:
        """The module with switches for all that any plan trains."""
        passes: tuple[Pass, ...] = (*replace(self.exam.training, plan=self.most).passes(()), Switches(self.most))
        return trained(self.exam.module, passes, (), HOST)[0]

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return entries(self.exam.module, self._full)

    @cached_property
    def _trainer(self) -> Trainer:
        with self.bar("building a trainer", 1):
            return trainer(tail(self._full, self._names, HOST))

    @cached_property
    def _lesson(self) -> Lesson:
        exam, parts = self.exam, (self.exam.learn, self.exam.held)
        with self.bar("computing what is never trained", sum(map(len, parts))) as tell:
            learn, held = (cards(exam.module, self._names, exam.given, part, tell) for part in parts)
        return Lesson(learn, held, exam.rate, exam.seed)


def _switched(trainer: Trainer, lesson: Lesson, epochs: int, item: Switched) -> Score:
    return trainer.score(lesson, item[1], epochs)


def _alone(
    module: Module, training: Training, names: tuple[str, ...], lesson: Lesson, epochs: int, plan: TrainPlan
) -> Score:
    full, orders = trained(module, replace(training, plan=plan).passes(()), names, HOST)
    return trainer(tail(full, names, HOST)).score(lesson.ordered(orders), {}, epochs)
