"""Loops over channels as C: what each call in one passes to its step. Floor 4."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from tte.program import Call, Inner, Slot
from tte.shapes.channels import cut
from tte.types import DType, TensorType, Value


@dataclass(frozen=True, slots=True)
class Stretch:
    """Neighbouring calls of a loop that end before the same channel, with their arguments."""

    until: int
    calls: tuple[tuple[Call, list[str]], ...]


@dataclass(frozen=True, slots=True)
class Round:
    """A loop: channels in all, and in one round."""

    count: int
    group: int
    stretches: tuple[Stretch, ...]


def rounds(call: Call, slots: Mapping[Value, Slot], symbols: Mapping[tuple[Call, str], str]) -> Round | None:
    """The loop of a call, where it has one."""
    loop = call.loop
    if loop is None:
        return None
    start = slots[call.scratch].offset if call.scratch else 0
    places = {v: start + at for v, at in loop.places.items()}
    stretches = (
        Stretch(until, tuple((i.call, list(_arguments(i, places, slots, symbols))) for i in inner))
        for until, inner in groupby(loop.calls, key=lambda i: i.until)
    )
    return Round(max(i.until for i in loop.calls), loop.group, tuple(stretches))


def _arguments(
    inner: Inner, places: Mapping[Value, int], slots: Mapping[Value, Slot], symbols: Mapping[tuple[Call, str], str]
) -> Iterator[str]:
    """Pointers to channel c of what is cut, in the order of the step's; of bits, to the whole."""
    call, op = inner.call, inner.call.node.op
    at = dict(zip(call.at, call.ins, strict=True))

    def place(v: Value, t: TensorType, axis: int | None) -> str:
        if v in places:
            return f"({t.dtype.c} *)(base + {places[v]})"
        return (f"({t.dtype.c} *)(base + {slots[v].offset})" if v in slots else v.name) + _channel(t, axis)

    for i, value in enumerate(call.node.ins):
        axis = inner.slices.ins[i]
        if i in at:
            yield place(at[i], value.type, axis)
        elif op.operand(i) in call.consts:
            yield symbols[call, op.operand(i)] + _channel(value.type, axis)
    operands = {op.operand(i) for i in range(len(call.node.ins))}
    yield from (symbols[call, k] for k in call.consts if k not in operands)
    for v, axis in zip(call.outs, inner.slices.outs, strict=True):
        yield place(v, v.type, axis)
    if call.scratch:
        yield f"(int8_t *)(base + {places[call.scratch]})"
    yield "c"


def _channel(t: TensorType, axis: int | None) -> str:
    """How far channel c is from the first, in C."""
    if axis is None or t.dtype is DType.U1:
        return ""
    inner = cut(t, axis).inner
    return " + c" if inner == 1 else f" + c * {inner}"
