"""`--io rows`: the input comes row by row, as a sensor delivers it. Floor 4."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from tte.errors import Unsupported
from tte.ir import Node
from tte.op import Kernel, Op
from tte.passes.memory.rows import rows
from tte.program import Call, Candidate, Function, Program


@dataclass(frozen=True, slots=True)
class Arrival(Op):
    """y is the model's input, a row at a time."""

    operands: ClassVar[tuple[str, ...]] = ()
    listed: ClassVar[bool] = False


def stream(program: Program) -> Program:
    """Let a call make the input of `infer`: planners need only know that it must be in the first cascade."""
    return replace(program, functions=tuple(_streamed(f) if f.name == "infer" else f for f in program.functions))


def _streamed(function: Function) -> Function:
    """The function without inputs; Unsupported if its input is not one map that somebody reads."""
    if function.caller:
        raise Unsupported(function.name, "--io rows and caller do not go together", "outputs are read from the arena")
    if len(function.ins) != 1:
        raise Unsupported(function.name, f"has {len(function.ins)} inputs; --io rows takes one")
    (x,) = function.ins
    if rows(x.type) < 2 or all(x not in c.ins for c in function.calls):
        raise Unsupported(f"input {x}", "has no rows: --io rows takes a map [1, rows, columns, channels] that is read")
    kernel = Kernel("arrival", "", (), (x.type.dtype,), form="arrival", per_mac=0, per_out=0)
    arrival = Call(Node(Arrival(), (), (x,), x.source), kernel, {}, (), (), (x,), {}, None, (Candidate(kernel, 0.0),))
    return replace(function, ins=(), calls=(arrival, *function.calls))
