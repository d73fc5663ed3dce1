"""Random networks, many per ELF: the passes keep their meaning, plans are checked, and C computes what numpy does."""

from __future__ import annotations

import re
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, combinations
from pathlib import Path

import pytest
from conftest import usable
from random_graphs import draw, has_residual, inputs

from tte.driver import SIMPLIFY, Compiled, Memory, Options, compile_model, run_passes
from tte.interp import interpret
from tte.ir import Module
from tte.op import Arrays
from tte.ops import all_ops
from tte.program import ALIGN
from tte.running.emulate import build, run_elf
from tte.target import Board
from tte.types import DType, Value

HOST = 5  # batches
GRAPHS = {"host": 100}  # in a batch; 50 on the other boards
BATCHES = [*(("host", k) for k in range(HOST)), *((b, HOST) for b in ("cortex-m4", "cortex-m55", "riscv32"))]
MEMORY: tuple[Memory, ...] = ("fast", "balanced", "smallest", "smallest", "smallest", "smallest", "smallest")
# Graphs that train are drawn by test_random_training.py.
TRAINING = re.compile("grad|update|momentum|adam|accumulate|tick|cross_entropy|squared_error|slice|crop")
LAYERS = {name: op for name, op in all_ops().items() if not TRAINING.search(name)}
OFTEN = 20  # times that every op occurs on the host
PART = {"residuals": 0.4, "cascades": 0.3, "overlaps": 0.3}  # of all graphs, at least
FENCE = 64  # bytes before and behind the arena that must stay as they are


@dataclass(frozen=True)
class Case:
    """A graph compiled, with inputs, and the outputs that the interpreter gives."""

    compiled: Compiled
    given: Arrays
    expected: Arrays


@pytest.mark.parametrize(("name", "batch"), BATCHES)
def test_random_graphs(name: str, batch: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    board, n = usable(name), GRAPHS.get(name, 50)
    cases = [case(board, seed) for seed in range(batch * n, (batch + 1) * n)]
    counts = Counter(what for c in cases for what in features(c.compiled))
    with capsys.disabled():
        print(f"\n{n} random graphs on {name}: {told(counts)}", file=sys.stderr)  # pytest-xdist drops stdout
    write(tmp_path, cases, board)
    data = b"".join(struct.pack("<I", i) + b"".join(a.tobytes() for a in c.given) for i, c in enumerate(cases))
    said, at, wrong = run_elf(build(tmp_path, board), board, data, count=False).data, 0, []
    for c in cases:
        assert said[at : at + 4] == bytes(4), f"status {said[at : at + 4].hex()}\n{c.compiled.module}"
        at += 4
        for v, a in zip(c.compiled.module.graph("infer").outs, c.expected, strict=True):
            if said[at : at + a.nbytes] != a.tobytes():
                wrong.append(f"{v.name} of\n{c.compiled.module}")
            at += a.nbytes
    assert not wrong, "\n".join(wrong)
    if name == "host":
        assert not [op for op in LAYERS if counts[op] < OFTEN / HOST]
        assert not [what for what, part in PART.items() if counts[what] < part * n]


def case(board: Board, seed: int) -> Case:
    """Every other graph is simplified first; the rest reaches the kernels as it was drawn."""
    ops = list(LAYERS.values())
    each = 1 + 8 * len(ops) // 100
    module = draw(seed, [ops[(seed * each + i) % len(ops)] for i in range(each)])
    given = inputs(module, seed)
    expected, simple = meaning(module, given), run_passes(module, board, SIMPLIFY)
    if exact(module):
        for ours, theirs in zip(meaning(simple, given), expected, strict=True):
            assert ours.tobytes() == theirs.tobytes(), f"passes change\n{module}to\n{simple}"
    module = simple if seed % 2 else module
    io = frozenset({"caller"} if seed % 9 == 4 else ())
    compiled = compile_model(module, board, Options(io, memory=MEMORY[seed % len(MEMORY)], simplify=()))
    assert compiled.plan.bound <= compiled.plan.arena
    return Case(compiled, given, meaning(module, given))


def meaning(module: Module, given: Arrays) -> Arrays:
    """What the interpreter makes of the module."""
    graph, states = module.graph("infer"), {s.value.name: s.init for s in module.states}
    outs, _ = interpret(graph, {v.name: a for v, a in zip(graph.ins, given, strict=True)}, states)
    return tuple(outs[v.name] for v in graph.outs)


def exact(module: Module) -> bool:
    """True if the passes must keep every bit: where all is integers, that is."""
    return not any(v.type.dtype is DType.F32 for n in module.graph("infer").nodes for v in (*n.ins, *n.outs))


def features(compiled: Compiled) -> Iterator[str]:
    """The ops that occur, and what else is counted."""
    graph, (function,) = compiled.module.graph("infer"), compiled.program.functions
    yield from (n.op.label() for n in graph.nodes)
    if has_residual(graph):
        yield "residuals"
    if any(c.stop - c.first > 1 for c in function.cascades):
        yield "cascades"
    slots = (s for s in compiled.plan.functions["infer"] if s.value.type.bytes)
    pairs = [(a, b) for a, b in combinations(slots, 2) if max(a.first, b.first) <= min(a.last, b.last)]
    over = [(a, b) for a, b in pairs if max(a.offset, b.offset) < min(a.end, b.end)]
    if any((a.offset, a.end) != (b.offset, b.end) for a, b in over):
        yield "overlaps"
    if any((a.offset, a.end) == (b.offset, b.end) for a, b in over):
        yield "in place"


def told(counts: Counter[str]) -> str:
    ops = sorted((what, n) for what, n in counts.items() if what in LAYERS)
    rest = sorted((what, n) for what, n in counts.items() if what not in LAYERS)
    return ", ".join(f"{what} {n}" for what, n in rest) + "; nodes: " + ", ".join(f"{what} {n}" for what, n in ops)


# One program of many projects: each in its folder, its C included by one file, so that a kernel is parsed once.

MAIN = """#include "board/port.h"
%(headers)s
static _Alignas(TTE_ALIGN) unsigned char memory[%(room)d], buffers[%(buffers)d];

static int32_t intact(size_t bytes)
{
    int32_t bad = 0;
    for (size_t i = 0; i < %(fence)d; i++) {
        bad += memory[i] != 0xA5u || memory[%(fence)d + bytes + i] != 0xA5u;
    }
    return bad;
}
%(functions)s
int main(void)
{
    static int32_t (*const functions[])(void) = { %(names)s };
    uint32_t number;
    int32_t status = 0;
    while (status == 0 && tte_port_read(&number, sizeof number) == sizeof number) {
        for (size_t i = 0; i < sizeof memory; i++) {
            memory[i] = 0xA5u;
        }
        status = functions[number]();
    }
    return (int)status;
}
"""
RUN = """
static int32_t run_%(name)s(void)
{
    unsigned char *const arena = memory + %(fence)d;
    int32_t status = (int32_t)%(name)s_init(arena, %(bytes)d);
%(read)s    status = status ? status : (int32_t)%(name)s_infer(arena%(passed)s);
    status = status ? status : intact(%(bytes)d);
    tte_port_write(&status, sizeof status);
%(write)s    return status;
}
"""


def write(folder: Path, cases: list[Case], board: Board) -> None:
    """One project that runs the graph whose number it reads; on the host unoptimised, which builds sooner."""
    functions, room, buffers = "", 0, 0
    for c in cases:
        text, used = runner(c.compiled)
        functions, buffers = functions + text, max(buffers, used)
        room = max(room, c.compiled.plan.arena)
        for path, data in c.compiled.files.items():
            own = path.startswith(("model.", "weights.c"))
            at = folder / c.compiled.module.name / path if own else folder / path
            at.parent.mkdir(parents=True, exist_ok=True)
            at.write_bytes(data.replace(b"step_", f"{c.compiled.module.name}_step_".encode()) if own else data)
    names = [c.compiled.module.name for c in cases]
    view = {"headers": includes(names, "model.h"), "functions": functions, "fence": FENCE, "buffers": max(buffers, 1)}
    view |= {"names": ", ".join(f"run_{n}" for n in names), "room": room + 2 * FENCE}
    (folder / "main.c").write_text(MAIN % view)
    (folder / "model.c").write_text(includes(names, "model.c"))
    (folder / "weights.c").write_text(includes(names, "weights.c"))
    if not board.cpu.linker:
        makefile = folder / "Makefile"
        makefile.write_text(makefile.read_text().replace("-O3", "-O0"))


def includes(names: list[str], file: str) -> str:
    return "".join(f'#include "{name}/{file}"\n' for name in names)


def runner(compiled: Compiled) -> tuple[str, int]:
    """A C function that reads the inputs, runs the graph and writes the outputs; the bytes of buffers it takes."""
    name, (function,) = compiled.module.name, compiled.program.functions
    given, returned = (compiled.module.graph("infer").ins, compiled.module.graph("infer").outs)
    sizes = [-(-v.type.bytes // ALIGN) * ALIGN for v in (*given, *returned)] if function.caller else []
    *places, used = accumulate(sizes, initial=0)

    def place(kind: str, i: int) -> str:
        k = i + len(given) * (kind == "output")
        return f"buffers + {places[k]}" if function.caller else f"{name}_{kind}(arena, {i})"

    def cast(v: Value, kind: str, i: int) -> str:
        return f", ({v.type.dtype.c} *)({place(kind, i)})"

    read = "".join(
        f"    status = status ? status : tte_port_read({place('input', i)}, {v.type.bytes}) != {v.type.bytes};\n"
        for i, v in enumerate(given)
    )
    written = "".join(f"    tte_port_write({place('output', i)}, {v.type.bytes});\n" for i, v in enumerate(returned))
    passed = [cast(v, "input", i) for i, v in enumerate(given)] + [cast(v, "output", i) for i, v in enumerate(returned)]
    view = {"name": name, "fence": FENCE, "bytes": max(compiled.plan.arena, 1), "read": read, "write": written}
    return RUN % (view | {"passed": "".join(passed) if function.caller else ""}), used
