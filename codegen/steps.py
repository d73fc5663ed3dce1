"""The functions of model.c: one per kernel and shape, shared by all calls that agree in both. Floor 4."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace

from tte.codegen.cfmt import CTYPES, number
from tte.op import Scalars, Window
from tte.program import Call, Function, MemoryPlan, Piece, Program, Slot
from tte.types import Array, TensorType, Value


@dataclass(frozen=True, slots=True)
class Step:
    """A C function that makes one kernel compute a layer or some rows of it: its parameters, `scalars` as C.

    With `loop` it makes rows r <= row < r + n of the result (an accumulation: takes those rows of input 0). Input 0 has
    `h` rows (0 if none outside is read) of `bytes` bytes, of which `ring` are there; a row of the result has `size`
    elements.
    """

    name: str
    call: Call
    scalars: tuple[tuple[str, str], ...]
    pointers: tuple[tuple[str, str], ...]  # (declaration, name)
    loop: bool
    window: Window | None
    h: int
    bytes: int
    size: int


def steps(program: Program, unit: str = "cpu") -> dict[Call | Piece, Step]:
    """The step of every call, or piece of one, of the unit; those of one kernel with the same parameters share one."""
    made: dict[tuple[object, ...], Step] = {}
    result: dict[Call | Piece, Step] = {}
    for function in program.functions:
        rowwise = {c for cascade in function.cascades for c in function.calls[cascade.first : cascade.stop]}
        for call in function.parts:
            if call.kernel.form == "arrival" or call.unit != unit:
                continue
            extent = _extent(call)
            pointers = _pointers(call)
            for one in call.pieces or (call,):
                params = row_params(call) if call in rowwise else one.params
                scalars = tuple((k, number(v)) for k, v in params.items())
                key = (call.kernel.symbol, scalars, extent, pointers)
                if key not in made:
                    made[key] = Step(f"step_{call.node.op.label()}_{len(made)}", call, scalars, pointers, *extent)
                result[one] = made[key]
    return result


def row_params(call: Call) -> Scalars:
    """The parameters with which a kernel makes one row."""
    if call.kernel.form != "flat":
        return call.params
    ins, outs = call.node.types
    cut = tuple(row(t) if i in call.at else t for i, t in enumerate(ins))
    found = call.node.op.params(cut, tuple(map(row, outs)))
    return {k: v for k, v in found.items() if isinstance(v, (int, float))}


def row(t: TensorType) -> TensorType:
    """One row of a map."""
    return replace(t, shape=(1, 1, *t.shape[2:]))


def _extent(call: Call) -> tuple[bool, Window | None, int, int, int]:
    """How a layer is made of rows, where the kernel makes one at a time."""
    ins, outs = call.node.types
    if call.kernel.form not in {"window", "accumulate"}:
        return False, None, 1, 0, 0
    x, y = ins[0], outs[0]
    window = call.node.op.window(ins, outs) if call.kernel.form == "window" else None
    h, oh = x.shape[1], y.shape[1]
    if window is None:
        return True, None, h, x.bytes // h, 0
    lowest = (oh - 1) * window.stride - window.pad + (window.size - 1) * window.dilation
    return True, window, h if window.pad or lowest >= h else 0, x.bytes // h, y.size // oh


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
    found += [("int8_t *scratch", "scratch")] if call.scratch else []
    return tuple(found + ([("int32_t c", "c")] if call.kernel.form == "channels" else []))


def names(program: Program) -> dict[Call, str]:
    """A name for each call's constants: that of its first result, made unique over all functions."""
    prefix = {f.name: f"{f.name}_" if len(program.functions) > 1 else "" for f in program.functions}
    return {c: prefix[f.name] + c.node.outs[0].name for f in program.functions for c in f.parts}


@dataclass(frozen=True, slots=True)
class Weights:
    """The arrays in flash, each once; the symbol of each (call, name), and of each initial state that is not all 0."""

    arrays: Mapping[str, Array]
    symbols: Mapping[tuple[Call, str], str]
    initial: Mapping[Value, str]


def weights(program: Program, unit: str = "cpu") -> Weights:
    """Collect all constants that the unit reads, for the cpu with the initial states.

    Equal bytes share an array, whose elements are the largest that a reader takes it for.
    """
    sram = [s for s in program.states if s.storage == "sram" and s.init.any() and unit == "cpu"]
    calls = [c for f in program.functions for c in f.parts if c.unit == unit]
    widest: dict[bytes, Array] = {}
    for value in (*(v for c in calls for v in c.consts.values()), *(s.init for s in sram)):
        if value.itemsize > widest.setdefault(value.tobytes(), value).itemsize:
            widest[value.tobytes()] = value
    arrays: dict[str, Array] = {}
    known: dict[bytes, str] = {}

    def named(name: str, value: Array) -> str:
        symbol, shared = known.setdefault(value.tobytes(), name), widest[value.tobytes()]
        arrays[symbol] = shared
        return symbol if value.dtype == shared.dtype else f"(const {CTYPES[value.dtype]} *){symbol}"

    label, prefix = names(program), program.name if unit == "cpu" else f"{program.name}_{unit}"
    symbols = {(c, k): named(f"{prefix}_{label[c]}_{k}", v) for c in calls for k, v in c.consts.items()}
    initial = {s.value: named(f"{program.name}_{s.value.name}_initial", s.init) for s in sram}
    return Weights(arrays, symbols, initial)


def arguments(
    call: Call,
    slots: Mapping[Value, Slot],
    symbols: Mapping[tuple[Call, str], str],
    rowwise: bool = False,
    own: Container[Value] = (),
) -> list[str]:
    """What a call passes to its step: places in the arena, the caller's pointers, and arrays in flash.

    `rowwise` it makes its row r; otherwise all rows. What is in `own` lies in the window that begins at `at`.
    """
    places = dict(zip(call.at, call.ins, strict=True))
    op = call.node.op
    passed: list[str] = []
    loop = call.kernel.form in {"window", "accumulate"}

    def base(v: Value) -> str:
        return "at" if v in own else "base"

    def place(v: Value, c: str, at_row: bool = False) -> str:
        start = f"({c} *)({base(v)} + {slots[v].offset})" if v in slots else v.name
        rows = v.type.shape[1] if at_row and len(v.type.shape) == 4 else 1
        if rows == 1:
            return start
        kept = (slots[v].rows if v in slots else 0) or rows
        which = (
            ""
            if kept == 1
            else f" + r * {v.type.size // rows}"
            if kept == rows
            else f" + r % {kept} * {v.type.size // rows}"
        )
        return start + which

    for i, value in enumerate(call.node.ins):
        if i in places:
            passed.append(place(places[i], value.type.dtype.c, rowwise and not loop))
        elif (call, op.operand(i)) in symbols:
            passed.append(symbols[call, op.operand(i)])
        if i == 0 and loop:
            v = places[0]
            h = call.node.ins[0].type.shape[1]
            kept = (slots[v].rows if v in slots else 0) or h
            steps = h if call.kernel.form == "accumulate" else call.node.outs[0].type.shape[1]
            passed += [str(kept), "r", "1"] if rowwise else [str(kept), "0", str(steps)]
    operands = {op.operand(i) for i in range(len(call.node.ins))}
    passed += [symbols[call, k] for k in call.consts if k not in operands]
    passed += [place(v, v.type.dtype.c, rowwise and call.kernel.form != "accumulate") for v in call.outs]
    passed += [f"(int8_t *)({base(call.scratch)} + {slots[call.scratch].offset})"] if call.scratch else []
    return passed + (["0"] if call.kernel.form == "channels" else [])


@dataclass(frozen=True, slots=True)
class Shared:
    """A call that threads share: the name of what makes one piece, and the arguments of each."""

    call: Call
    name: str
    pieces: tuple[tuple[Piece, list[str]], ...]


def slots_of(plan: MemoryPlan, function: Function) -> dict[Value, Slot]:
    """Where a function's values lie."""
    return {s.value: s for s in (*plan.states, *plan.functions[function.name])}


def shared(plan: MemoryPlan, symbols: Mapping[tuple[Call, str], str], function: Function) -> Iterator[Shared]:
    """The calls that threads share."""
    slots = slots_of(plan, function)
    for call in function.calls:
        if call.pieces:
            yield pieces(call, f"part_{function.name}", arguments(call, slots, symbols))


def pieces(call: Call, prefix: str, args: list[str]) -> Shared:
    """A call's pieces, where the whole call passes `args`."""
    cut = ((p, [f"{a} + {n}" if n else a for a, n in zip(args, p.later, strict=True)]) for p in call.pieces)
    return Shared(call, f"{prefix}_{call.node.outs[0].name}", tuple(cut))


@dataclass(frozen=True, slots=True)
class Staged:
    """A call of a stage: what it passes, and its pieces, if threads share it."""

    call: Call
    args: list[str]
    shared: Shared | None


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a chunk, which is not empty."""

    number: int
    calls: tuple[Staged, ...]
