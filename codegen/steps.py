"""The functions of model.c: one per kernel and shape, shared by all calls that agree in both. Floor 4."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tte.codegen.cfmt import CTYPES, number
from tte.op import Window
from tte.program import Call, Program, Slot
from tte.types import Array, Value


@dataclass(frozen=True, slots=True)
class Step:
    """A C function that makes one kernel compute one layer: its parameters, `scalars` as C, and the loop over rows."""

    name: str
    call: Call
    scalars: tuple[tuple[str, str], ...]
    pointers: tuple[tuple[str, str], ...]  # (declaration, name)
    window: Window | None
    rows: int  # of the result
    h: int  # rows of input 0
    row_bytes: int  # of input 0
    row_size: int  # elements of a row of the result


def steps(program: Program) -> dict[Call, Step]:
    """The step of every call; calls of one kernel with the same parameters share one."""
    made: dict[tuple[object, ...], Step] = {}
    result = {}
    for function in program.functions:
        for call in function.calls:
            scalars = tuple((k, number(v)) for k, v in call.params.items())
            extent = _extent(call)
            pointers = _pointers(call)
            key = (call.kernel.symbol, scalars, extent, pointers)
            if key not in made:
                made[key] = Step(f"step_{call.node.op.label()}_{len(made)}", call, scalars, pointers, *extent)
            result[call] = made[key]
    return result


def _extent(call: Call) -> tuple[Window | None, int, int, int, int]:
    """How a layer is made of rows, for a "window" kernel."""
    if call.kernel.form != "window":
        return None, 1, 1, 0, 0
    ins, outs = call.node.types
    x, y = ins[0], outs[0]
    rows, h = y.shape[1], x.shape[1]
    return call.node.op.window(ins, outs), rows, h, x.bytes // h, y.size // rows


def _pointers(call: Call) -> tuple[tuple[str, str], ...]:
    """Declarations of the step's arguments, in the order of the kernel's."""
    op, found = call.node.op, []
    for i, value in enumerate(call.node.ins):
        name = op.operand(i)
        if i in call.at:
            found.append((f"const {value.type.dtype.c} *{name}", name))
        elif name in call.consts:
            found.append((f"const {CTYPES[call.consts[name].dtype]} *{name}", name))
    operands = {op.operand(i) for i in range(len(call.node.ins))}
    extra = [(k, v) for k, v in call.consts.items() if k not in operands]
    found += [(f"const {CTYPES[v.dtype]} *{k}", k) for k, v in extra]
    found += [(f"{v.type.dtype.c} *y{o or ''}", f"y{o or ''}") for o, v in enumerate(call.node.outs)]
    return tuple(found + ([("int8_t *scratch", "scratch")] if call.scratch else []))


def names(program: Program) -> dict[Call, str]:
    """A name for each call's constants: that of its first result, made unique over all functions."""
    prefix = {f.name: f"{f.name}_" if len(program.functions) > 1 else "" for f in program.functions}
    return {c: prefix[f.name] + c.node.outs[0].name for f in program.functions for c in f.calls}


@dataclass(frozen=True, slots=True)
class Weights:
    """The arrays in flash, each once, and the symbol of each (call, name)."""

    arrays: Mapping[str, Array]
    symbols: Mapping[tuple[Call, str], str]


def weights(program: Program) -> Weights:
    """Collect all constants; equal bytes share an array."""
    arrays: dict[str, Array] = {}
    symbols: dict[tuple[Call, str], str] = {}
    known: dict[tuple[object, bytes], str] = {}
    label = names(program)
    for function in program.functions:
        for call in function.calls:
            for name, value in call.consts.items():
                key = (value.dtype, value.tobytes())
                if key not in known:
                    known[key] = f"{program.name}_{label[call]}_{name}"
                    arrays[known[key]] = value
                symbols[call, name] = known[key]
    return Weights(arrays, symbols)


def arguments(call: Call, slots: Mapping[Value, Slot], symbols: Mapping[tuple[Call, str], str]) -> list[str]:
    """What a call passes to its step: places in the arena, the caller's pointers, and arrays in flash."""
    places = dict(zip(call.at, call.ins, strict=True))
    op = call.node.op
    passed: list[str] = []

    def place(v: Value, c: str) -> str:
        return f"({c} *)(base + {slots[v].offset})" if v in slots else v.name

    for i, value in enumerate(call.node.ins):
        if i in places:
            passed.append(place(places[i], value.type.dtype.c))
        elif (call, op.operand(i)) in symbols:
            passed.append(symbols[call, op.operand(i)])
    operands = {op.operand(i) for i in range(len(call.node.ins))}
    passed += [symbols[call, k] for k in call.consts if k not in operands]
    passed += [place(v, v.type.dtype.c) for v in (*call.outs, *([call.scratch] if call.scratch else []))]
    return passed
