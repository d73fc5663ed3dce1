"""Threads share large calls: the same bits for any number of them, and no races."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from commands import Call, refused
from conftest import usable
from speakers import TINY, checkpoint, said, tiny, tokenizer

from tte.driver import Options, compile_model
from tte.errors import TteError
from tte.language.generate import Request, generate
from tte.language.sampler import Sampler
from tte.language.speech import speech
from tte.passes.quantize.caches import Caches
from tte.passes.quantize.rows import Rows
from tte.passes.threads import Threads
from tte.running.emulate import build
from tte.target import load_board

REQUESTS = Request(b"banana ban", 6, Sampler()), Request("b日".encode(), 20, Sampler(1.5, 0.95, 3))
WIDE = replace(TINY, dim=32, hidden=60, heads=8, kv_heads=4)


@pytest.mark.parametrize(("rows", "caches"), [(None, None), (Rows(), Caches(8)), (Rows(8), Caches(4))])
def test_any_number_of_threads(rows: Rows | None, caches: Caches | None, tmp_path: Path) -> None:
    """Three pieces of everything, in one, two and three threads, and the last under ThreadSanitizer."""
    host, module, words = usable("host"), tiny(WIDE), tokenizer()
    options = Options(tokenizer=words, rows=rows, caches=caches, threads=Threads(3, least=0))
    compiled = compile_model(module, host, options)
    compiled.write(tmp_path)
    for function in compiled.program.functions:
        cut = {c.node.op.label() for c in function.calls if len(c.pieces) > 1}
        assert cut >= {"attention_codes" if caches else "attention", "linear_rows" if rows else "linear"}
    model, twin = speech(module, words), module
    for rewrite in filter(None, (caches, rows)):
        twin = rewrite(twin, host)
    wanted = [said(twin, words, r) for r in REQUESTS]
    for flags in (("-DTTE_THREADS=1",), ("-DTTE_THREADS=2",), ("-fsanitize=thread", "-g")):
        board = replace(host, units={"cpu": replace(host.cpu, sanitize=flags)})
        elf = build(tmp_path, board, sanitize=True)
        assert [b"".join(generate(elf, host, model, r)) for r in REQUESTS] == wanted


def test_what_is_small_stays_whole() -> None:
    program = compile_model(tiny(), load_board("host"), Options(threads=Threads(2))).program
    assert not any(c.pieces for f in program.functions for c in f.calls)


def test_options(tte: Call, tmp_path: Path) -> None:
    (tmp_path / "tiny.bin").write_bytes(checkpoint())
    compiled = ("compile", "tiny.bin", "--no-build", "-o", "p", "--threads")
    assert tte(*compiled, "2", "-b", "host")[0] == 0
    refused(tte(*compiled, "0", "-b", "host"), "--threads")
    refused(tte(*compiled, "2", "-b", "cortex-m7"), "--threads", "no threads")
    with pytest.raises(TteError, match="--threads"):
        compile_model(tiny(), load_board("host"), Options(threads=Threads(2), io=frozenset({"caller"})))
