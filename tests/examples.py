"""All examples of all ops as one module, with every kernel that fits: one ELF per board holds them."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tte.driver import Compiled, Options, compile_model
from tte.ir import Builder, Graph, Module, Node, State
from tte.op import Example, Kernel
from tte.ops import all_ops
from tte.program import Candidate
from tte.running.emulate import run_elf
from tte.target import Board


@dataclass(frozen=True)
class Case:
    """One example with one kernel, which is graph number `index` of the module."""

    example: Example
    kernel: str
    graph: str


def fitting(board: Board, e: Example) -> list[Kernel]:
    """The kernels that can run an example where `select` places it."""
    outs = e.op.results(*e.ins)
    operands = [e.op.operand(i) for i in range(len(e.ins))]
    able = [k for k in e.op.kernels if k.fits(e.ins, outs, e.op.params(e.ins, outs))]
    able = [k for k in able if not k.objection(operands, [operands[i] for i in e.consts])]
    npu = board.npu
    if npu and npu.takes(e.op.label(), e.ins) and (found := [k for k in able if k.isa in npu.kernels]):
        return found
    return [k for k in able if k.isa in board.cpu.kernels]


def cases(board: Board, examples: Iterable[Example] = ()) -> tuple[Compiled, list[Case]]:
    """Compile every example (of every op, if none are given) with every kernel that the board can run."""
    found: list[Case] = []
    graphs: list[Graph] = []
    states: list[State] = []
    for e in tuple(examples) or tuple(e for op in all_ops().values() for e in op.examples()):
        for k in fitting(board, e):
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


def differing(compiled: Compiled, found: list[Case], elf: Path, board: Board) -> list[str]:
    """The cases that give other bits than the reference."""
    data = b""
    for i, case in enumerate(found):
        e = case.example
        given = [t.encode(a) for j, (t, a) in enumerate(zip(e.ins, e.args, strict=True)) if j not in e.consts]
        data += struct.pack("<I", i) + b"".join(given)
    said, at, wrong = run_elf(elf, board, data).data, 0, []
    for case, graph in zip(found, compiled.module.graphs, strict=True):
        assert said[at : at + 4] == bytes(4), case
        at += 4
        outs = tuple(v.type for v in graph.outs)
        for expected, t in zip(case.example.op.reference(case.example.args, case.example.ins, outs), outs, strict=True):
            got = t.decode(said[at : at + t.bytes])
            at += t.bytes
            if not np.allclose(got, expected, case.example.rtol, case.example.rtol):
                wrong.append(f"{case.kernel}: {case.example.op}: {(got != expected).sum()} of {t.size} differ")
    return wrong
