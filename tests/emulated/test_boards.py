"""Boards without a model: the port, the counter, the fence and the limits, each proved with a small C program."""

from __future__ import annotations

import shlex
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import usable

from tte.errors import BadModel, DoesNotFit, TteError
from tte.running.elf import object_text, sizes
from tte.running.emulate import Fault, Raw, build, run_elf
from tte.target import Board, board_files, board_sources, boards, link_flags, load_board, memory_ld, parse_board

MAIN = Path(__file__).parent / "board_main.c"
STRICT = "-std=c11 -O2 -ffp-contract=off -ffunction-sections -fdata-sections -fno-strict-aliasing -Wall -Wextra \
-Wconversion -Wdouble-promotion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror -I."
MAKEFILE = """
CC = {cc}
ELF = model.elf
$(ELF): main.c
	$(CC) {flags} $(EXTRA) main.c {sources} {link} -o $@
"""


def write_project(folder: Path, board: Board, *defines: str) -> Path:
    (folder / "board").mkdir(parents=True)
    for name, source in board_files(board).items():
        (folder / "board" / name).write_bytes(source.read_bytes())
    (folder / "board" / "memory.ld").write_text(memory_ld(board))
    (folder / "main.c").write_bytes(MAIN.read_bytes())
    parts = {
        "cc": " ".join(board.cpu.cc),
        "flags": " ".join((STRICT, *defines)),
        "sources": " ".join(board_sources(board.cpu.sources)),
        "link": " ".join(link_flags(board)),
    }
    (folder / "Makefile").write_text(MAKEFILE.format(**parts))
    return folder


@pytest.fixture(scope="module", params=boards())
def board(request: pytest.FixtureRequest) -> Board:
    return usable(request.param)


fenced = pytest.mark.parametrize("board", [b for b in boards() if load_board(b).sram], indirect=True, scope="module")


@pytest.fixture(scope="module")
def elf(board: Board, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(write_project(tmp_path_factory.mktemp(board.name) / "project", board), board)


def ask(elf: Path, board: Board, letter: str, argument: int = 0) -> Raw:
    return run_elf(elf, board, letter.encode() + struct.pack("<I", argument))


def test_echo(elf: Path, board: Board) -> None:
    data = bytes(i * 7 & 255 for i in range(70_001))
    raw = run_elf(elf, board, b"e" + data)
    assert (raw.data, raw.exit_code) == (data, 7)
    assert run_elf(elf, board, b"e").data == b""


def test_data_and_bss_start_as_c_says(elf: Path, board: Board) -> None:
    assert ask(elf, board, "d").data == struct.pack("<I", 0x12345678)


@pytest.mark.parametrize("n", [1, 1000, 3_000_000])
def test_count_is_exact_and_repeatable(elf: Path, board: Board, n: int) -> None:
    first = ask(elf, board, "m", n)
    assert first == ask(elf, board, "m", n)
    if not board.cpu.counts:
        assert first.marks == ()
        return
    names, counts = zip(*first.marks, strict=True)
    assert names == ("tte_mark", "step_a", "step_b", "step_c", "tte_mark")
    assert [counts[2] - counts[1], counts[3] - counts[2]] == [2, 1 + 2 * n]
    assert counts[1] - counts[0] <= 8  # mark's return, and main's way to the step
    assert counts[4] - counts[3] <= 8


def test_arithmetic_is_ieee_and_keeps_subnormals(elf: Path, board: Board) -> None:
    rng = np.random.default_rng(5)
    a, b = rng.integers(0, 2**31, (2, 64)).astype("<u4")
    a[:20] >>= 9  # subnormal
    a[20:28], b[20:28] = np.float32(1e-30).view("<u4"), np.float32(1e-9).view("<u4")
    c, d = rng.integers(-(2**63), 2**63, (2, 64), dtype=np.int64)
    d[::2] >>= 40
    e, f = rng.integers(0, 2**62, (2, 64)).astype("<u8")
    e[:8] >>= 12
    x, y = a.view("<f4"), b.view("<f4")
    data = run_elf(elf, board, b"a" + b"".join(v.tobytes() for v in (a, b, c, d, e, f))).data
    with np.errstate(all="ignore"):
        for got, want in zip(
            np.frombuffer(data, "<f4", 192).reshape(3, 64), (x / y, np.sqrt(x), x * y + y), strict=True
        ):
            np.testing.assert_array_equal(got, want)
        np.testing.assert_array_equal(np.frombuffer(data, "<f8", 64, 768 + 512), e.view("<f8") / f.view("<f8"))
    low = [(int(p), int(q) | 1) for p, q in zip(c.astype(np.int32), d.astype(np.int32), strict=True)]
    pairs = zip(((int(p), int(q)) for p, q in zip(c, d, strict=True)), low, strict=True)
    integers = [quotient(*p) ^ (p[0] - quotient(*p) * p[1]) ^ quotient(*q) for p, q in pairs]
    assert np.frombuffer(data, "<i8", 64, 768).tolist() == integers


def quotient(a: int, b: int) -> int:
    """Rounded towards zero, as C does."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def test_a_program_that_does_not_end_is_ended(elf: Path, board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tte.running.emulate.RUN_SECONDS", 0.5)
    with pytest.raises(TteError, match="did not end within"):
        run_elf(elf, board, b"l" + bytes(4), count=False)


def test_stack_high_water(elf: Path, board: Board) -> None:
    depth, used = struct.unpack("<2I", ask(elf, board, "s", 4).data)
    assert depth == 5
    if board.cpu.stack:
        assert 5 * 512 < used < 5 * 512 + 512
        assert struct.unpack("<2I", ask(elf, board, "s", 0).data)[1] < 1024 + 128
    else:
        assert used == 0


@fenced
def test_stack_overflow_faults(elf: Path, board: Board) -> None:
    with pytest.raises(Fault, match="stack overflow"):
        ask(elf, board, "s", 1000)


@fenced
@pytest.mark.parametrize("letter", ["r", "w", "x"])
@pytest.mark.parametrize("place", ["past sram", "below sram", "past flash", "flash", "sram"])
def test_fence(elf: Path, board: Board, letter: str, place: str) -> None:
    sram, flash = board.memories["sram"], board.memories["flash"]
    address = {
        "past sram": sram.origin + sram.size,
        "below sram": sram.origin - 4,
        "past flash": flash.origin + flash.size,
        "flash": flash.origin,
        "sram": sram.origin + sram.size - 4,
    }[place]
    if (letter, place) == ("x", "flash"):
        return  # this is where programs run
    if (letter, place) in {("r", "flash"), ("r", "sram"), ("w", "sram")}:
        assert ask(elf, board, letter, address).exit_code == 0
        return
    with pytest.raises(Fault, match="memory fault"):
        ask(elf, board, letter, address | (letter == "x" and board.cpu.cc[0].startswith("arm")))


def test_other_exceptions_are_told_from_memory_faults(elf: Path, board: Board) -> None:
    with pytest.raises(Fault) as caught:
        ask(elf, board, "u")
    assert "memory fault" not in str(caught.value)


@fenced
def test_link_fails_when_sram_overflows(elf: Path, board: Board, tmp_path: Path) -> None:
    room = board.sram
    assert room is not None
    left = room - board.cpu.stack - sizes(elf, board).ram
    with pytest.raises(DoesNotFit, match="8 bytes too large for sram"):
        build(write_project(tmp_path / "over", board, f"-DBIG={left + 8}"), board)
    full = build(write_project(tmp_path / "under", board, f"-DBIG={left}"), board)
    assert room - 16 < sizes(full, board).ram + board.cpu.stack <= room


@fenced
@pytest.mark.parametrize(("size", "fence"), [(0x20000, 0x20000), (100_000, 0x20000)])
def test_a_limit_of_sram_is_linked_and_fenced(board: Board, tmp_path: Path, size: int, fence: int) -> None:
    """The linker knows it exactly, the fence to the next of the sizes that it can have."""
    small = board.limited(size)
    assert small.sram == size
    elf, origin = build(write_project(tmp_path / "p", small), small), board.memories["sram"].origin
    left = size - board.cpu.stack - sizes(elf, small).ram
    with pytest.raises(DoesNotFit, match="8 bytes too large for sram"):
        build(write_project(tmp_path / "over", small, f"-DBIG={left + 8}"), small)
    assert ask(elf, small, "w", origin + size - 4).exit_code == 0
    with pytest.raises(Fault, match="memory fault"):
        ask(elf, small, "w", origin + fence)


def test_a_wrong_limit_of_sram_is_an_error_in_words() -> None:
    board = load_board("cortex-m4")
    assert board.limited(None) == board.limited(board.sram) == board
    for size in (0, board.cpu.stack, 1 << 20):
        with pytest.raises(BadModel, match=f"--sram: {size} bytes"):
            board.limited(size)
    with pytest.raises(BadModel, match="host has no limit"):
        load_board("host").limited(4096)


def test_sizes(elf: Path, board: Board, tmp_path: Path) -> None:
    found = sizes(elf, board)
    assert 0 < found.code < found.flash
    assert found.stack == board.cpu.stack
    if board.sram:
        assert found.ram <= 4096 + 512
        assert found.flash < 16384
    obj = tmp_path / "main.o"
    subprocess.run([*board.cpu.cc, *shlex.split(STRICT), "-c", "main.c", "-o", obj], cwd=elf.parent, check=True)
    assert 0 < object_text(obj) < found.code


def test_sanitize_builds_another_program(elf: Path, board: Board) -> None:
    other = build(elf.parent, board, sanitize=True)
    assert other != elf
    assert ask(other, board, "d").data == struct.pack("<I", 0x12345678)


TOML = 'summary = "x"\n[units.cpu]\ncc = ["cc"]\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TOML + "speed = 1\n", "unknown key 'speed'"),
        ("colour = 1\n" + TOML, "unknown key 'colour'"),
        (TOML + "stack = '4K'\n", "'stack' must be int"),
        (TOML + "isa = [1]\n", "'isa' must be a list of strings"),
        (TOML + "[memories.sram]\norigin = 0\n", "needs the key 'size'"),
        ('summary = "x"\nunits = {}\n', "no \\[units.cpu\\]"),
        ("summary", "board.toml"),
    ],
)
def test_a_wrong_board_is_an_error_in_words(text: str, words: str) -> None:
    with pytest.raises(BadModel, match=words):
        parse_board("mine", text)


def test_an_unknown_board_is_an_error() -> None:
    with pytest.raises(BadModel, match="cortex-m4"):
        load_board("cortex-m99")


@pytest.mark.parametrize("name", boards())
def test_every_board_loads_and_its_files_exist(name: str) -> None:
    board = load_board(name)
    assert all(path.is_file() for path in board_files(board, beside=True).values())
    assert board.packages
