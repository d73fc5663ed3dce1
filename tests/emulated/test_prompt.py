"""Prompts of several chunks on two units: in any legal order the bits are those of token by token."""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from conftest import usable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from speakers import TINY, initial, step, tiny, tokenizer

from tte.checker.replay import check_plan
from tte.codegen.page import page
from tte.driver import Options, compile_model
from tte.errors import InternalError
from tte.ir import Module
from tte.language.prompt import Prompt
from tte.passes.npu.outlier import Outlier, Split
from tte.passes.npu.prompts import prompt, tasks
from tte.passes.npu.schedule import schedule
from tte.passes.threads import Threads
from tte.program import ALIGN
from tte.record import read_record
from tte.running.device import EXPORT, PROMPT
from tte.running.emulate import Command, Fault, build, play
from tte.states import layout
from tte.target import Board, load_board
from tte.types import NPU, Array, DType, TensorType

CHUNK = 8
TEXT = np.random.default_rng(2).integers(3, TINY.vocab, TINY.seq).tolist()
LENGTHS = (1, 7, 8, 9, 16, 19, 24, 31, 32)  # of 1 to 4 chunks
NAMES = re.findall(r"X\((\w+),", (Path(__file__).parents[2] / "runtime_c" / "tte.h").read_text())
BY_TABLE = """
/** The prompt by a table that is read: the numbers of its tasks, and the tasks. */
static tte_status by_table(const int32_t *tokens, const int32_t *asked)
{
    static uint16_t tasks[2][1000];
    uint32_t counts[2];
    if (!read_all(counts, sizeof counts) || !read_all(tasks[0], 2u * counts[0])
        || !read_all(tasks[1], 2u * counts[1])) {
        return TTE_ERR_NULL;
    }
    const tte_table table = {{tasks[0], counts[0]}, {tasks[1], counts[1]}};
    return tiny_prompt_by(arena, tokens, asked[0], asked[1], &table);
}
"""


def model(chunk: int = CHUNK) -> Module:
    """Its layers' products in s8, with shadows for some of what the clamp takes off."""
    parts = ("q", "k", "v"), ("o",), ("gate", "up"), ("down",)
    splits = (
        Split(tuple(f"{p}{i}_w" for p in group), scale, (1, 5, 8))
        for i in range(TINY.layers)
        for group, scale in zip(parts, (0.01, 0.03, 0.02, 0.2), strict=True)
    )
    return Outlier(tuple(splits))(tiny(chunk=chunk), load_board("host"))


@dataclass(frozen=True)
class Speaker:
    """A project on a board, and how it takes prompts."""

    board: Board
    module: Module
    prompt: Prompt
    folder: Path

    def elf(self, sanitize: bool = False, **made: int) -> Path:
        """Its program, with variables of the Makefile."""
        makefile = self.folder / "Makefile"
        text = makefile.read_text()
        for name, value in made.items():
            text, n = re.subn(rf"^{name} = \d+$", f"{name} = {value}", text, flags=re.M)
            assert n == 1
        makefile.write_text(text)
        return build(self.folder, self.board, sanitize)

    def asked(self, n: int, tables: bytes = b"", start: int = 0) -> Command:
        """The first tokens of the text as one prompt."""
        sent = struct.pack("<Iii", PROMPT, n - start, start) + np.asarray(TEXT[start:n], np.int32).tobytes()
        return Command(sent + tables, (self.module.graph("prefill").outs[0].type,))

    def answers(self, elf: Path, *commands: Command) -> list[tuple[Array, dict[str, Array]]]:
        """Logits and states after each."""
        lay = layout(self.module.states)
        exported = Command(struct.pack("<I", EXPORT), (TensorType((lay.bytes,), DType.U8),))
        found, _ = play(elf, self.board, [c for command in commands for c in (command, exported)])
        return [(found[i][0], lay.unpack(found[i + 1][0].tobytes())) for i in range(0, len(found), 2)]

    def check(self, elf: Path, lengths: tuple[int, ...] = LENGTHS) -> None:
        """The table that is compiled in."""
        answers = self.answers(elf, *map(self.asked, lengths))
        for n, answer in zip(lengths, answers, strict=True):
            same(answer, n)


def speaker(
    folder: Path, name: str, in_flight: int | None = None, chunk: int = CHUNK, threads: Threads | None = None
) -> Speaker:
    module, board = model(chunk), usable(name)
    compiled = compile_model(module, board, Options(tokenizer=tokenizer(), in_flight=in_flight, threads=threads))
    compiled.write(folder)
    found = prompt(compiled.module, compiled.program, board, in_flight)
    assert found
    return Speaker(board, module, found, folder)


def one_by_one() -> list[tuple[Array, dict[str, Array]]]:
    """Logits and states after each token, in numpy."""
    module, found = model(), []
    states = initial(module)
    for i, token in enumerate(TEXT):
        found.append(step(module.graph("decode"), [token], i, states))
        states = found[-1][1]
    return found


WANTED = one_by_one()


def same(answer: tuple[Array, dict[str, Array]], n: int) -> None:
    """Bit for bit the logits, and the rows of every cache."""
    logits, states = WANTED[n - 1]
    np.testing.assert_array_equal(answer[0].view(np.uint32), logits.view(np.uint32))
    caches = [name for name in states if name.startswith(("keys", "values"))]
    assert len(caches) == 2 * TINY.layers
    for name in caches:
        np.testing.assert_array_equal(answer[1][name][:n].view(np.uint32), states[name][:n].view(np.uint32))


def legal(prompt: Prompt, chunks: int, rng: random.Random) -> bytes:
    """A table at random: any order in which a task comes after those that it waits for, cut by units."""
    todo = tasks(prompt, chunks)
    left, done = list(range(len(todo))), set[int]()
    order: dict[str, list[int]] = {"cpu": [], NPU: []}
    while left:
        i = rng.choice([i for i in left if done.issuperset(todo[i].after)])
        left.remove(i)
        done.add(i)
        order[todo[i].unit].append(todo[i].chunk * len(prompt.stages) + todo[i].position)
    return packed(order["cpu"], order[NPU])


def packed(cpu: list[int], npu: list[int]) -> bytes:
    return struct.pack(f"<II{len(cpu)}H{len(npu)}H", len(cpu), len(npu), *cpu, *npu)


@pytest.mark.parametrize("in_flight", [1, 2, None])
def test_the_table_that_is_compiled_in(in_flight: int, tmp_path: Path) -> None:
    """More and more chunks under way; nobody writes around the arena, and the order is checked."""
    found = speaker(tmp_path, "phone-host", in_flight)
    assert found.prompt.windows == (in_flight or 4)
    found.check(found.elf(GUARD=64, CHECK=1))


def test_a_prompt_that_follows_another(tmp_path: Path) -> None:
    """It begins where a chunk has no boundary, and after the text was decoded further."""
    found = speaker(tmp_path, "phone-host")
    first, second = found.answers(found.elf(), found.asked(13), found.asked(37, start=13))
    same(first, 13)
    same(second, 37)


def test_more_chunks_than_a_table_has(tmp_path: Path) -> None:
    """14, so that two tables follow each other."""
    found = speaker(tmp_path, "phone-host", 3, chunk=3)
    found.check(found.elf(CHECK=1), (24, 25, 40))


@pytest.mark.parametrize("threads", [None, Threads(2, least=0)])
def test_two_processes(threads: Threads | None, tmp_path: Path) -> None:
    """Also where threads of the cpu share calls."""
    found = speaker(tmp_path, "phone-npu", threads=threads)
    found.check(found.elf(CHECK=1), (8, 31))


def by_table(found: Speaker) -> Speaker:
    """Its program reads tables."""
    main = found.folder / "main.c"
    text = main.read_text().replace("tiny_prompt(arena, tokens, asked[0], asked[1])", "by_table(tokens, asked)")
    main.write_text(text.replace("\n/** A prompt as a whole", BY_TABLE + "\n/** A prompt as a whole"))
    return found


@pytest.fixture(scope="module")
def any_order(tmp_path_factory: pytest.TempPathFactory) -> tuple[Speaker, Path]:
    found = by_table(speaker(tmp_path_factory.mktemp("any"), "phone-host", 3))
    return found, found.elf(CHECK=1)


def orders(found: Speaker, rng: random.Random) -> Iterator[tuple[int, Command]]:
    """Prompts of 2 to 5 chunks with tables at random."""
    for n in (16, 19, 32, 40):
        yield n, found.asked(n, legal(found.prompt, -(-n // CHUNK), rng))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False))
def test_any_legal_order(any_order: tuple[Speaker, Path], rng: random.Random) -> None:
    found, elf = any_order
    asked = [*orders(found, rng)]
    for (n, _), answer in zip(asked, found.answers(elf, *(c for _, c in asked)), strict=True):
        same(answer, n)


@pytest.mark.parametrize("threads", [None, Threads(3, least=0)])
def test_any_legal_order_without_races(threads: Threads | None, tmp_path: Path) -> None:
    """Under the sanitizer of threads."""
    found, rng = by_table(speaker(tmp_path, "phone-host", threads=threads)), random.Random(1)
    asked = [c for _ in range(3) for c in orders(found, rng)]
    for (n, _), answer in zip(asked, found.answers(found.elf(sanitize=True), *(c for _, c in asked)), strict=True):
        same(answer, n)


def test_counters_without_order_are_seen(tmp_path: Path) -> None:
    """The check for races can fail."""
    found = speaker(tmp_path, "phone-host")
    header = tmp_path / "tte" / "tte_prompt.h"
    header.write_text(header.read_text().replace("__ATOMIC_ACQUIRE", "__ATOMIC_RELAXED"))
    with pytest.raises(Fault, match="data race"):
        found.answers(found.elf(sanitize=True), found.asked(32))


def swapped(order: list[int], a: int, b: int) -> list[int]:
    return [order[{a: b, b: a}.get(i, i)] for i in range(len(order))]


def test_what_breaks_the_order_is_refused(any_order: tuple[Speaker, Path]) -> None:
    """Stages of a chunk, or attention of two, the other way round; tasks lost, twice, or the other unit's."""
    found, elf = any_order
    cpu, npu = map(list, found.prompt.tables[1])
    broken = int(NAMES.index("TTE_ERR_TABLE"))
    count = len(found.prompt.stages)
    waits = next(j for j, n in enumerate(found.prompt.after) if n)
    late = [i for i in cpu if i != count + waits]
    late.insert(late.index(waits), count + waits)
    for tables in (
        (swapped(cpu, 0, cpu.index(2)), npu),
        (late, npu),
        (cpu, swapped(npu, 0, npu.index(3))),
        (cpu[:-1], npu),
        (cpu, npu[:-1]),
        ([*cpu, 0], npu),
        (cpu[1:], [0, *npu][: len(npu)]),
        ([*cpu, npu[-1]], npu[:-1]),
        (cpu, [*npu[:-1], 2000]),
        (cpu, npu * 9),
    ):
        with pytest.raises(InternalError, match=f"status {broken}, "):
            found.answers(elf, found.asked(16, packed(*tables)))
    same(found.answers(elf, found.asked(16, packed(cpu, npu)))[0], 16)


def test_the_report_shows_both_orders(tmp_path: Path) -> None:
    """In the tasks' own numbers, also when it is made anew."""
    found = speaker(tmp_path, "phone-host")
    record, best = read_record(tmp_path), found.prompt.runs[-1]
    assert (tmp_path / "report.html").read_text() == page(record)
    timing = record.timing
    assert timing
    assert timing.runs == ("in order", schedule(best.tasks).rule)
    assert tuple(bar.starts[1] for bar in timing.tasks) == best.starts
    assert timing.bound <= best.length < max(bar.starts[0] + bar.ticks for bar in timing.tasks)
    assert "<h2>Prompts</h2>" in page(record)
    assert "<h2>Prompts</h2>" not in page(replace(record, timing=None))
    assert timing.tasks[0].crossing == CHUNK * TINY.dim, "what q, k and v read"


def test_windows_are_checked() -> None:
    """They hold all of a chunk, and end before the queue."""
    compiled = compile_model(model(), load_board("phone-host"), Options(tokenizer=tokenizer()))
    windows = compiled.plan.windows
    assert windows
    assert compiled.plan.arena == TINY.layers * 2 * 40 * 8 * 4 + 4 * windows.bytes + compiled.plan.queue
    one = compile_model(model(), load_board("phone-host"), Options(in_flight=1)).plan
    assert compiled.plan.bound - one.bound == 3 * (one.bound - one.queue - 2 * TINY.layers * 40 * 8 * 4)
    for wrong, words in (
        (replace(windows, bytes=windows.bytes - ALIGN), "windows overlap"),
        (replace(windows, bytes=windows.bytes + 4), "windows overlap"),
        (replace(windows, count=5), "lies outside the arena"),
    ):
        with pytest.raises(InternalError, match=words):
            check_plan(compiled.program, replace(compiled.plan, windows=wrong))


def test_who_does_not_wait_is_found(tmp_path: Path) -> None:
    """The check doubts the run time too."""
    found = speaker(tmp_path, "phone-host")
    header = tmp_path / "tte" / "tte_prompt.h"
    header.write_text(header.read_text().replace("while (!tte_prompt_ready(", "while (0 && !tte_prompt_ready("))
    with pytest.raises(InternalError, match=f"status {NAMES.index('TTE_ERR_TABLE')}, "):
        found.answers(found.elf(CHECK=1), found.asked(32))
