"""From `prefill` to stages, windows for the chunks under way, and the best tables. Floor 5."""

from __future__ import annotations

from dataclasses import replace

from tte.errors import Unsupported
from tte.ir import Module
from tte.language.prompt import PREFILL, Prompt
from tte.language.speech import context, speaks
from tte.passes.npu.schedule import Schedule, in_order, schedule
from tte.program import Call, Function, Program
from tte.record import Bar, Timing
from tte.target import Board
from tte.timetable import Task
from tte.types import Value

IN_FLIGHT = 4  # chunks under way on a board with two units, where nothing else is asked


def prompt(module: Module, program: Program, board: Board, in_flight: int | None = None) -> Prompt | None:
    """How a language model takes a prompt, with at most so many chunks under way; None of other models."""
    function = next((f for f in program.functions if f.name == PREFILL and not f.caller), None)
    two = function is not None and any(c.unit != "cpu" for c in function.calls)
    if in_flight and in_flight > 1 and not two:
        what = f"{program.name} takes no prompts on two units of {board.name}"
        raise Unsupported("--chunks-in-flight", what, "leave it out, or see --w8a8 and phone-npu")
    if function is None or not speaks(module):
        return None
    sizes = context(module)
    if not two or function.cascades or any(c.loop for c in function.calls):
        return Prompt(function, sizes.chunk, sizes.seq)
    stages = _cut(function)
    touched = [_touched(function, calls) for calls in stages]
    written = [any(new in c.outs for c in calls for _, new in function.updates) for calls in stages]
    early = max(j for j, w in enumerate(written) if w) + 1
    last = {v: j + 1 for j in range(early) for v in touched[j]}
    after = tuple(max((last[v] for v in values), default=0) for values in touched)
    found = Prompt(function, sizes.chunk, sizes.seq, stages, after, early)
    found = replace(found, windows=min(in_flight or IN_FLIGHT, found.most), costs=_costs(found, board))
    made = [schedule(tasks(found, n)) for n in range(1, found.most + 1)]
    return replace(found, runs=tuple(s.run for s in made), timing=_timing(made[-1]))


def _timing(found: Schedule) -> Timing:
    """A schedule for the report, beside what it is in order."""
    tasks = found.run.tasks
    runs = {"in order": in_order(tasks)} | {found.rule: found.run}
    bars = (
        Bar(t.chunk, t.position, t.unit, t.cost, t.crossing, tuple(r.starts[i] for r in runs.values()))
        for i, t in enumerate(tasks)
    )
    return Timing(tuple(runs), found.bound, tuple(bars))


def _cut(function: Function) -> tuple[tuple[Call, ...], ...]:
    """Runs of calls of one unit; the first is the cpu's, and may be empty."""
    found: list[list[Call]] = [[]]
    unit = "cpu"
    for call in function.calls:
        if call.unit != unit:
            found.append([])
        unit = call.unit
        found[-1].append(call)
    return tuple(map(tuple, found))


def _touched(function: Function, calls: tuple[Call, ...]) -> set[Value]:
    """States that change, by their old values, which these calls read or write."""
    names = {v: old for old, new in function.updates for v in (old, new)}
    return {names[v] for c in calls for v in (*c.ins, *c.outs) if v in names}


def tasks(prompt: Prompt, chunks: int) -> tuple[Task, ...]:
    """All of a prompt of so many chunks, chunk by chunk, with modelled costs."""
    found, early, crossing = list[Task](), prompt.early, _crossing(prompt)
    for k in range(chunks):
        for j in range(prompt.length(k, chunks)):
            after = [k * early + j - 1] if j else []
            after += [(k - 1) * early + prompt.after[j] - 1] if k and prompt.after[j] else []
            after += [(k - prompt.windows + 1) * early - 1] if not j and k >= prompt.windows else []
            found.append(Task(k, j, prompt.unit(j), prompt.costs[k][j], tuple(after), crossing[j]))
    return tuple(found)


def _crossing(prompt: Prompt) -> tuple[int, ...]:
    """By stage, bytes of its results that the other unit reads."""
    units: dict[Value, set[str]] = {}
    for call in prompt.function.calls:
        for v in call.ins:
            units.setdefault(v, set()).add(call.unit)
    return tuple(
        sum(v.type.bytes for c in calls for v in c.outs if units.get(v, set()) - {c.unit}) for calls in prompt.stages
    )


def _costs(prompt: Prompt, board: Board) -> tuple[tuple[int, ...], ...]:
    """By chunk and stage, what it takes by the costs of its unit."""
    changing = {v for pair in prompt.function.updates for v in pair}
    renewed = {new for _, new in prompt.function.updates}

    def ticks(call: Call, chunk: int) -> int:
        touched = changing & {*call.ins, *call.outs}
        share = _share(prompt, chunk, not renewed.isdisjoint(call.outs)) if touched else 1.0
        moved = sum(v.type.bytes * (share if v in touched else 1.0) for v in (*call.ins, *call.outs))
        elements = sum(v.type.size * (share if v in touched else 1.0) for v in call.outs)
        macs, costs = call.node.op.macs(*call.node.types) * share, board.units[call.unit].costs
        whole = costs.of(call.node.op.label(), round(macs), round(elements), round(moved)) if costs else 0
        return -(-whole // max(1, len(call.pieces)))

    chunks = range(prompt.most)
    return tuple(tuple(sum(ticks(c, k) for c in calls) for calls in prompt.stages) for k in chunks)


def _share(prompt: Prompt, chunk: int, writes: bool) -> float:
    """Of a cache: what a chunk writes, or what its tokens see on the average."""
    rows = prompt.chunk if writes else chunk * prompt.chunk + (prompt.chunk + 1) / 2
    return min(1.0, rows / prompt.seq)
