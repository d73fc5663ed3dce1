"""All examples of all ops as one module, with every kernel that fits: one ELF per board holds them."""

from __future__ import annotations

from dataclasses import dataclass

from tte.driver import Compiled, Options, compile_model
from tte.ir import Builder, Module, Node
from tte.op import Example
from tte.ops import all_ops
from tte.program import Candidate
from tte.target import Board


@dataclass(frozen=True)
class Case:
    """One example with one kernel, which is graph number `index` of the module."""

    example: Example
    kernel: str
    graph: str


def cases(board: Board) -> tuple[Compiled, list[Case]]:
    """Compile every example with every kernel that the board can run."""
    found: list[Case] = []
    graphs, states = [], []
    for op in all_ops().values():
        for e in op.examples():
            outs = e.op.results(*e.ins)
            for k in op.kernels:
                if not k.fits(e.ins, outs, e.op.params(e.ins, outs)) or (k.isa and k.isa not in board.cpu.isa):
                    continue
                operands = [e.op.operand(i) for i in range(len(e.ins))]
                if k.objection(operands, [operands[i] for i in e.consts]):
                    continue
                name = f"e{len(found)}"
                b = Builder(name, states)
                values = [
                    b.constant(f"{name}_{i}", t, a) if i in e.consts else b.input(f"in{i}", t)
                    for i, (t, a) in enumerate(zip(e.ins, e.args, strict=True))
                ]
                graphs.append(b.finish(*b.emit(e.op, *values, name=f"out{len(found)}")))
                states = b.states
                found.append(Case(e, k.symbol, name))

    def forced(graph: str, node: Node, candidates: tuple[Candidate, ...]) -> Candidate:
        wanted = found[int(node.outs[0].name.split("_")[0].removeprefix("out"))].kernel
        return next(c for c in candidates if c.kernel.symbol == wanted and not c.refused)

    return compile_model(Module("ops", tuple(states), tuple(graphs)), board, Options(prefer=forced, simplify=())), found
