"""Give every tensor a place in one arena. Floor 5."""

from __future__ import annotations

from collections.abc import Iterator

from tte.errors import DoesNotFit
from tte.passes.memory.flow import Flow, bits, flow, padded
from tte.passes.memory.offsets import Buffer, arrange
from tte.program import Call, Function, MemoryPlan, Program, Slot
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
    functions = {f.name: tuple(_place(f, home, base)) for f in program.functions}
    arena = max((padded(s.end) for slots in functions.values() for s in slots), default=base)
    bound = base + max((f.bound for f in program.functions), default=0)
    return MemoryPlan(max(arena, base), bound, tuple(states), functions)


def _place(function: Function, home: dict[Value, int], base: int) -> Iterator[Slot]:
    """The slots of one function, scratch included; the new value of a state lies where the old one does."""
    f = flow(function)
    scratch = [(c.scratch, i) for i, c in enumerate(function.calls) if c.scratch]
    buffers = [*_buffers(f), *(Buffer(padded(v.type.bytes), i, i) for v, i in scratch)]
    reuse = tuple(
        (x, y) for call, pairs in enumerate(f.reuse) for x, y in pairs if x not in f.kept and buffers[x].last == call
    )
    found = arrange(buffers, reuse, _target(f))
    for value, buffer, offset in zip((*f.values, *(v for v, _ in scratch)), buffers, found.offsets, strict=True):
        yield Slot(value, base + offset, buffer.first, buffer.last)
    for old, new in function.updates:
        made = next(i for i, c in enumerate(function.calls) if new in c.outs)
        yield Slot(new, home[old], made, len(function.calls))


def _buffers(f: Flow) -> Iterator[Buffer]:
    """Inputs live from before the first call, outputs until after the last."""
    for x, size in enumerate(f.sizes):
        last = max([f.maker[x], *bits(f.readers[x])])
        yield Buffer(size, f.maker[x], f.calls if x in f.kept else last)


def _target(f: Flow) -> int:
    """The most bytes alive at once, in the order as it is."""
    live, done = f.start, 0
    most = sum(f.sizes[x] for x in f.given)
    for call in range(f.calls):
        during, live = f.step(done, live, call)
        most, done = max(most, during), done | 1 << call
    return max(most, live)


def check_fit(program: Program, plan: MemoryPlan, board: Board) -> None:
    """Refuse what the board's sram cannot hold beside the stack; name the call at the peak and what lives there."""
    room = None if board.sram is None else board.sram - board.cpu.stack
    if room is None or plan.arena <= room:
        return
    steps = ((f, i) for f in program.functions for i in range(-1, len(f.calls) + 1))
    function, step = max(steps, key=lambda at: sum(s.value.type.bytes for s in plan.alive(*at)))
    call = function.calls[step] if 0 <= step < len(function.calls) else None
    living = sorted(plan.alive(function, step), key=lambda s: -s.value.type.bytes)
    tensors = ", ".join(f"{s.value.source or s.value.name} {s.value.type.bytes}" for s in living[:4])
    what = f"needs {plan.arena} bytes of sram, {board.name} has {room} beside the stack; peak at {function.name}: "
    what += f"{_node(call) if call else 'its inputs and outputs'}; largest there: {tensors}"
    raise DoesNotFit(program.name, what, _advice(function, call, {s.value for s in living}))


def _advice(function: Function, call: Call | None, living: set[Value]) -> str:
    """What else may make it fit, by what lives at the peak."""
    ends = living & {*function.ins, *function.outs}
    floats = any(v.type.dtype is DType.F32 for v in ends)
    taken = call.scratch.type.bytes if call and call.scratch else 0
    less = any(c.scratch < taken and not c.refused for c in call.candidates) if call else False
    ways = ["--io quantized"] * floats + ["--memory smallest"] * less + ["a board with more sram"]
    return "try " + " or ".join(ways)


def _node(call: Call) -> str:
    source = f" ({call.node.source})" if call.node.source else ""
    return f"{call.node.outs[0].name} = {call.node.op.label()}{source}"
