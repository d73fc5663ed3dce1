"""`--io rows`: the input comes row by row, as a sensor delivers it. Floor 5."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from tte.errors import Unsupported
from tte.ir import Node
from tte.op import Kernel, Op
from tte.ops.transpose import Transpose
from tte.passes.memory.rows import rows
from tte.program import Call, Candidate, Function, Program
from tte.types import DType, Value


@dataclass(frozen=True, slots=True)
class Arrival(Op):
    """y is the model's input, a row at a time."""

    operands: ClassVar[tuple[str, ...]] = ()
    listed: ClassVar[bool] = False


def stream(program: Program) -> Program:
    """Let a call make the input of `infer`: planners need only know that it must be in the first cascade."""
    return replace(program, functions=tuple(_streamed(f) if f.name == "infer" else f for f in program.functions))


def _streamed(function: Function) -> Function:
    """The function without inputs; Unsupported if its input is not one map whose rows somebody reads."""
    if function.caller:
        raise Unsupported(function.name, "--io rows and caller do not go together", "outputs are read from the arena")
    if len(function.ins) != 1:
        raise Unsupported(function.name, f"has {len(function.ins)} inputs; --io rows takes one")
    (given,) = function.ins
    seen = {v.type for c in function.calls for v, of in _operands(c) if of == given}
    x = replace(given, type=seen.pop()) if len(seen) == 1 and rows(given.type) < 2 else given
    calls = tuple(replace(c, ins=tuple(x if v == given else v for v in c.ins)) for c in function.calls)
    hint = "--io quantized,rows" if x.type.dtype is DType.F32 else ""
    _check_rows(x, calls, hint)
    kernel = Kernel("arrival", "", (), (x.type.dtype,), form="arrival", per_mac=0, per_out=0)
    node = Node(Arrival(), (), (x,), x.source)
    arrival = Call(node, kernel, {}, (), (), (x,), {}, None, (Candidate(kernel, 0.0),))
    return replace(function, ins=(), calls=(arrival, *calls))


def _operands(call: Call) -> Iterator[tuple[Value, Value]]:
    """What the node of a call reads, and the value whose bytes that shows."""
    return ((call.node.ins[i], v) for i, v in zip(call.at, call.ins, strict=True))


def _check_rows(x: Value, calls: tuple[Call, ...], hint: str) -> None:
    """Refuse an input that is no map, or that has channels first: something then turns it around."""
    if rows(x.type) < 2 or all(x not in c.ins for c in calls):
        what = "is not a map [1, rows, columns, channels] that a layer reads, as --io rows asks"
        raise Unsupported(f"input {x}", what, hint)
    like = {x}
    for c in calls:
        if like & {*c.ins} and isinstance(c.node.op, Transpose):
            raise Unsupported(
                str(c.node), "turns the input around: its axis 1 is not its rows, as --io rows asks", hint
            )
        like |= {*c.outs} if like & {*c.ins} and c.kernel.form == "flat" else set()
