"""One call that holds a loop over channels. Floor 4."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from tte.ir import Node
from tte.op import Kernel, Op, Slices
from tte.passes.memory.offsets import Buffer, Pair, arrange
from tte.program import Call, Candidate, Inner, Loop, padded
from tte.shapes.channels import WHOLE, parameters, parts
from tte.target import Board
from tte.types import DType, TensorType, Value


@dataclass(frozen=True, slots=True)
class Chain(Op):
    """Several calls, `group` channels at a time."""

    calls: int
    channels: int
    group: int

    operands: ClassVar[tuple[str, ...]] = ()
    listed: ClassVar[bool] = False


def fitting(call: Call, board: Board, slices: Slices = WHOLE, n: int = 0) -> tuple[Kernel, ...]:
    """The kernels that can make a call, or `n` channels of it: those that read its constants as they lie."""
    op, (ins, outs) = call.node.op, call.node.types
    same = (k for k in op.kernels if k.form == "channels" and k.pack == call.kernel.pack)
    able = [k for k in same if k.isa in ("", *board.cpu.isa)]
    if not able:
        return ()
    params = parameters(op, ins, outs, slices, n)
    if slices is not WHOLE:
        ins, outs = parts(ins, slices.ins, n), parts(outs, slices.outs, n)
    return tuple(k for k in able if k.fits(ins, outs, params))


def compose(calls: Sequence[tuple[Call, Slices, int]], n: int, rings: Mapping[Value, int], board: Board) -> Call:
    """Calls with how they are cut and their number of channels, `n` at a time; `rings` are bytes of inner values."""
    inner = [Inner(_sliced(call, slices, n, rings, board), slices, until) for call, slices, until in calls]
    made = [v for i in inner for v in i.call.outs]
    ins = tuple(dict.fromkeys(v for i in inner for v in i.call.ins if v not in made))
    outs = tuple(v for v in made if v not in rings)
    places, size = _places([i.call for i in inner], rings)
    scratch = Value(f"{made[0].name}_rings", TensorType((size,), DType.S8)) if size else None
    kernel = Kernel("chain", "", (), ())
    op = Chain(len(inner), max(i.until for i in inner), n)
    cost = sum(_modelled(i.call.kernel, i.call, i.slices, n) * (i.until // n) for i in inner)
    loop = Loop(tuple(inner), n, places)
    found = (Candidate(kernel, cost, scratch=size),)
    layers = ", ".join(dict.fromkeys(i.call.node.source for i in inner if i.call.node.source))
    node = Node(op, ins, outs, layers)
    return Call(node, kernel, {}, ins, tuple(range(len(ins))), outs, {}, scratch, found, loop)


def _sliced(call: Call, slices: Slices, n: int, rings: Mapping[Value, int], board: Board) -> Call:
    """A call for `n` channels, with the cheapest kernel."""
    op, (ins, outs) = call.node.op, call.node.types
    near = {op.operand(k) for k, v in zip(call.at, call.ins, strict=True) if v in rings}
    near |= {f"y{o or ''}" for o, v in enumerate(call.outs) if v in rings}
    params = parameters(op, ins, outs, slices, n, near)
    kernel = min(fitting(call, board, slices, n), key=lambda k: _modelled(k, call, slices, n))
    size = kernel.scratch(parts(ins, slices.ins, n), parts(outs, slices.outs, n), params)
    scratch = Value(f"{call.outs[0].name}_scratch", TensorType((size,), DType.S8)) if size else None
    scalars = {k: v for k, v in params.items() if isinstance(v, (int, float))}
    return Call(call.node, kernel, scalars, call.ins, call.at, call.outs, call.consts, scratch, call.candidates)


def _modelled(kernel: Kernel, call: Call, slices: Slices, n: int) -> float:
    """Instructions of one round."""
    ins, outs = call.node.types
    made = parts(outs, slices.outs, n)
    return kernel.cost(call.node.op.macs(parts(ins, slices.ins, n), made), made)


def _places(calls: Sequence[Call], rings: Mapping[Value, int]) -> tuple[dict[Value, int], int]:
    """Offsets of what exists only within a round, the calls being its times; and the bytes that hold it."""
    lives: dict[Value, tuple[int, int, int]] = {}
    for i, call in enumerate(calls):
        for v in (*call.outs, *call.ins):
            if v in rings:
                lives[v] = rings[v], lives.get(v, (0, i, i))[1], i
        if call.scratch:
            lives[call.scratch] = padded(call.scratch.type.bytes), i, i
    index = {v: k for k, v in enumerate(lives)}
    pairs = tuple(Pair(index[x], index[y]) for x, y in _inplace(calls, rings, lives))
    found = arrange([Buffer(*life) for life in lives.values()], pairs)
    return dict(zip(lives, found.offsets, strict=True)), found.end


def _inplace(
    calls: Sequence[Call], rings: Mapping[Value, int], lives: Mapping[Value, tuple[int, int, int]]
) -> Iterator[tuple[Value, Value]]:
    """Inner values that die where results of the same bytes come to life, which may replace them."""
    for i, call in enumerate(calls):
        for x, y in call.inplace(call.kernel):
            if x in rings and y in rings and lives[x][2] == i and rings[x] == rings[y]:
                yield x, y
