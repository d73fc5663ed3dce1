"""A prompt of several chunks: `prefill` in stages, by whom and in which order they are run. Floor 4."""

from __future__ import annotations

from dataclasses import dataclass

from tte.program import QUEUE, Call, Function, padded
from tte.record import Timing
from tte.timetable import Run
from tte.types import NPU, Value

PREFILL = "prefill"  # the function that takes a chunk
MOST = 8  # chunks of a table, as in runtime_c/tte_prompt.h; a longer prompt takes several tables
HEAD = 44  # bytes of its tte_prompt, before the tasks


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """How `function` is run for all chunks of a prompt.

    With two units its calls are cut into `stages`: runs of calls of one unit, the cpu's (0, 2, ..) and the npu's in
    turn. A chunk's are run one after the other; stage j also waits until the chunk before has `after[j]` behind it.
    Chunks that another one follows end after `early` stages, since nobody reads their results. No more than `windows`
    chunks are under way, each in a window of its own, where `own` lie. `runs` are the best ones (modelled) of 1, 2, ..
    chunks, whose tables are compiled in. With one unit there are neither.
    """

    function: Function
    chunk: int  # tokens
    seq: int  # tokens of the longest text
    stages: tuple[tuple[Call, ...], ...] = ()
    after: tuple[int, ...] = ()
    early: int = 0
    windows: int = 1
    costs: tuple[tuple[int, ...], ...] = ()  # by chunk and stage, in ticks
    runs: tuple[Run, ...] = ()
    timing: Timing | None = None  # of the last of `runs`

    @property
    def most(self) -> int:
        """Chunks of the longest table."""
        return min(MOST, -(-self.seq // self.chunk))

    @property
    def tasks(self) -> int:
        """Of the npu, in the longest table."""
        return (self.most - 1) * (self.early // 2) + len(self.stages) // 2

    @property
    def shared(self) -> int:
        """Bytes through which the units tell each other how far they are, the queue of jobs included."""
        return padded(QUEUE + HEAD + 2 * self.tasks)

    @property
    def own(self) -> frozenset[Value]:
        """What each window holds: all but the states."""
        renewed = {new for _, new in self.function.updates}
        made = {v for c in self.function.calls for v in (*c.outs, *((c.scratch,) if c.scratch else ()))}
        return frozenset({*self.function.ins, *made} - renewed)

    @property
    def tables(self) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """The cpu's tasks and the npu's in their order, for 1, 2, .. chunks; each is chunk * stages + stage."""
        count = len(self.stages)

        def order(run: Run, unit: str) -> tuple[int, ...]:
            return tuple(run.tasks[i].chunk * count + run.tasks[i].position for i in run.table[unit])

        return [(order(run, "cpu"), order(run, NPU)) for run in self.runs]

    def unit(self, stage: int) -> str:
        """Who runs it."""
        return NPU if stage % 2 else "cpu"

    def length(self, chunk: int, chunks: int) -> int:
        """Stages of a chunk of so many."""
        return len(self.stages) if chunk == chunks - 1 else self.early
