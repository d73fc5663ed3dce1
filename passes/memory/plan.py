"""Give every tensor a place in one arena. Floor 5."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tte.errors import DoesNotFit
from tte.language.prompt import PREFILL, Prompt
from tte.passes.memory.flow import flow, span
from tte.passes.memory.offsets import Buffer, Pair, arrange, bound
from tte.passes.memory.rows import access, replayed
from tte.program import QUEUE, Call, Function, MemoryPlan, Program, Slot, Windows, padded
from tte.target import Board
from tte.types import DType, Value


def plan_memory(program: Program) -> MemoryPlan:
    """States first, at fixed offsets; above them the functions, which share the rest as they never run together."""
    longest = max((len(f.calls) for f in program.functions), default=0)
    states: list[Slot] = []
    base = 0
    for state in program.states:
        if state.storage == "sram":
            states.append(Slot(state.value, base, -1, longest))
            base += padded(state.value.type.bytes)
    home = {s.value: s.offset for s in states}
    puzzles = {f.name: _puzzle(f) for f in program.functions}
    functions = {f.name: tuple(_place(f, puzzles[f.name], home, base)) for f in program.functions}
    arena = max((padded(s.end) for slots in functions.values() for s in slots), default=base)
    least = base + max((_least(f, puzzles[f.name]) for f in program.functions), default=0)
    queue = QUEUE if program.jobs else 0
    return MemoryPlan(max(arena, base) + queue, least + queue, tuple(states), functions, queue)


@dataclass(frozen=True, slots=True)
class _Puzzle:
    """What must be placed: slots without offsets, those that share a buffer together; and what may overlap."""

    slots: tuple[tuple[Slot, ...], ...]
    pairs: tuple[Pair, ...]

    @property
    def buffers(self) -> list[Buffer]:
        """Each as large as the largest slot in it, and alive as long as any."""
        return [
            Buffer(max(padded(s.bytes) for s in slots), min(s.first for s in slots), max(s.last for s in slots))
            for slots in self.slots
        ]

    @property
    def bound(self) -> int:
        """Bytes that any places need."""
        return bound(self.buffers, self.pairs)


def _puzzle(function: Function) -> _Puzzle:
    """The values of a function and its scratch."""
    f, life = flow(function), _Lives(function)
    rings = {v: n for c in function.cascades for v, n in c.rings.items()}
    homes = {x: y for c in function.cascades for x, y in c.homes.items()}
    groups: dict[Value, list[Slot]] = {v: [] for v in f.values if v not in homes}
    if function.position:
        groups[function.position] = [Slot(function.position, 0, -1, f.calls)]
    for x, v in enumerate(f.values):
        groups[homes.get(v, v)].append(Slot(v, 0, *life.over(*span(f, x)), rings.get(v, 0)))
    scratch = [tuple(Slot(v, 0, *life.over(i, i)) for v in values) for i, values in _scratch(function, life)]
    index = {v: i for i, v in enumerate(groups)}
    last = {s.value: s.last for slots in groups.values() for s in slots}
    pairs = [
        Pair(index[f.values[x]], index[f.values[y]])
        for call, reuse in enumerate(f.reuse)
        for x, y, _ in reuse
        if life.alone(call) and last[f.values[x]] == call
    ]
    for c in function.cascades:
        chain = [a.mirrored() if c.backward else a for a in map(access, function.calls[c.first : c.stop]) if a]
        for under, result, distance in replayed(chain, c.order, c.homes)[1]:
            if {under, result} <= index.keys() and result not in rings and last[under] == c.stop - 1:
                # Backwards the ends count, behind which buffers are padded.
                ends = _padding(result) - _padding(under) if c.backward else 0
                pairs.append(Pair(index[under], index[result], padded(distance + ends), c.backward))
    return _Puzzle((*map(tuple, groups.values()), *scratch), tuple(pairs))


def _padding(value: Value) -> int:
    """Bytes between its end and that of its buffer."""
    return padded(value.type.bytes) - value.type.bytes


def _least(function: Function, puzzle: _Puzzle) -> int:
    """Bytes that it needs beside the states, whatever the places."""
    return function.bound or puzzle.bound


def _place(function: Function, puzzle: _Puzzle, home: dict[Value, int], base: int) -> Iterator[Slot]:
    """The slots of one function, scratch included; the new value of a state lies where the old one does."""
    found = arrange(puzzle.buffers, puzzle.pairs)
    for slots, offset in zip(puzzle.slots, found.offsets, strict=True):
        yield from (replace(s, offset=base + offset) for s in slots)
    for old, new in function.updates:
        made = next(i for i, c in enumerate(function.calls) if new in c.outs)
        yield Slot(new, home[old], made, len(function.calls))


class _Lives:
    """Calls as the times of a plan: what a cascade touches is alive at all of its calls."""

    def __init__(self, function: Function) -> None:
        self.home = {i: c for c in function.cascades for i in range(c.first, c.stop)}

    def over(self, first: int, last: int) -> tuple[int, int]:
        """From the first to the last call of the cascades that they are in."""
        a, b = self.home.get(first), self.home.get(last)
        return a.first if a else first, b.stop - 1 if b else last

    def alone(self, call: int) -> bool:
        """True if it is in no cascade."""
        return call not in self.home


def _scratch(function: Function, life: _Lives) -> Iterator[tuple[int, list[Value]]]:
    """Scratch by call. In a cascade all share what outlives no step; sums are their own."""
    shared: dict[int, list[Value]] = {}
    for i, call in enumerate(function.calls):
        if call.scratch and (life.alone(i) or call.kernel.form == "accumulate"):
            yield i, [call.scratch]
        elif call.scratch:
            shared.setdefault(life.over(i, i)[0], []).append(call.scratch)
    yield from shared.items()


def widen(plan: MemoryPlan, prompt: Prompt | None) -> MemoryPlan:
    """The plan with a window for each chunk under way, and what the units share of a prompt."""
    if prompt is None or not prompt.stages:
        return plan
    values = prompt.own
    own = [s for s in plan.functions[PREFILL] if s.value in values]
    first, end = min(s.offset for s in own), max(padded(s.end) for s in own)
    windows = Windows(PREFILL, prompt.windows, end - first)
    states = max((padded(s.end) for s in plan.states), default=0)
    room = max(plan.arena - plan.queue, first + windows.count * windows.bytes)
    least = max(plan.bound - plan.queue, states + windows.count * _least(prompt.function, _puzzle(prompt.function)))
    more = prompt.shared
    return replace(plan, arena=room + more, bound=least + more, queue=more, windows=windows)


def fits(plan: MemoryPlan, board: Board) -> bool:
    """True if the board's sram holds the arena beside the stack."""
    return board.sram is None or plan.arena <= board.sram - board.cpu.stack


def check_fit(program: Program, plan: MemoryPlan, board: Board) -> None:
    """Refuse what the board's sram cannot hold beside the stack; name the call at the peak and what lives there."""
    if plan.queue and board.window and plan.arena > board.window:
        what = f"its arena takes {plan.arena} bytes, both units of {board.name} see {board.window}"
        raise DoesNotFit(program.name, what, "a smaller chunk or model")
    if board.sram is None or fits(plan, board):
        return
    room = board.sram - board.cpu.stack
    steps = ((f, i) for f in program.functions for i in range(-1, len(f.calls) + 1))
    function, step = max(steps, key=lambda at: sum(s.bytes for s in plan.alive(*at)))
    call = function.calls[step] if 0 <= step < len(function.calls) else None
    living = sorted(plan.alive(function, step), key=lambda s: -s.bytes)
    tensors = ", ".join(f"{s.value.source or s.value.name} {s.bytes}" for s in living[:4])
    what = f"needs {plan.arena} bytes of sram, {board.name} has {room} beside the stack; peak at {function.name}: "
    what += f"{_node(call) if call else 'its inputs and outputs'}; largest there: {tensors}"
    raise DoesNotFit(
        program.name,
        what,
        _advice(function, call, {s.value for s in living}, any(f.updates for f in program.functions)),
    )


def _advice(function: Function, call: Call | None, living: set[Value], learns: bool) -> str:
    """What else may make it fit, by what lives at the peak."""
    # The loss and the scores are floats whatever the model's own outputs are.
    ends = living & {*function.ins, *(() if function.updates else function.outs)}
    floats = any(v.type.dtype is DType.F32 for v in ends)
    taken = call.scratch.type.bytes if call and call.scratch else 0
    less = any(c.scratch < taken and not c.refused for c in call.candidates) if call else False
    ways = (
        ["a smaller --plan"] * learns
        + ["--io quantized"] * floats
        + ["--memory smallest"] * less
        + ["a board with more sram"]
    )
    return "try " + " or ".join(ways)


def _node(call: Call) -> str:
    source = f" ({call.node.source})" if call.node.source else ""
    return f"{call.node.outs[0].name} = {call.node.op.label()}{source}"
