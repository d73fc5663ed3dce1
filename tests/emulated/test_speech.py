"""A tiny language model speaks on every board what it says in numpy, from the prompt's text to the reply's."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import usable
from speakers import said, tiny, tokenizer

from tte.driver import Options, compile_model
from tte.errors import TteError
from tte.language.generate import Request, as_text, generate
from tte.language.sampler import Sampler
from tte.language.speech import speech
from tte.running.emulate import build
from tte.target import Board

PROMPT = "banana 日本 z".encode()


def test_what_is_said(board: Board, tmp_path: Path) -> None:
    """Prompts of one chunk and of more, greedy and drawn, to the end of the context; UBSan and ASan where there are."""
    module, words = tiny(), tokenizer()
    compile_model(module, board, Options(tokenizer=words)).write(tmp_path)
    elf, model = build(tmp_path, board, bool(board.cpu.sanitize)), speech(module, words)
    for prompt, tokens, sampler in (
        (PROMPT, 5, Sampler()),
        (b"banana", 100, Sampler(1.5, 0.95, 3)),
    ):
        request = Request(prompt, tokens, sampler)
        reply = b"".join(generate(elf, board, model, request))
        assert reply == said(module, words, request)
        assert reply


def test_prompts_that_are_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that fills the context is the longest, which gets one token more; the program refuses longer ones itself."""
    host, module, words = usable("host"), tiny(), tokenizer()
    compile_model(module, host, Options(tokenizer=words)).write(tmp_path)
    elf, model = build(tmp_path, host), speech(module, words)
    full = Request(b"z" * 38, 5, Sampler())
    assert len(words.encode(full.prompt)) == model.context.seq
    assert b"".join(generate(elf, host, model, full)) == said(module, words, full)
    with pytest.raises(TteError, match="41 tokens, the model's context holds 40"):
        generate(elf, host, model, Request(b"z" * 39, 5, Sampler()))
    monkeypatch.setattr(type(model.context), "seq", 1000)
    with pytest.raises(TteError, match="status 10"):
        list(generate(elf, host, model, Request(b"z" * 39, 5, Sampler())))


def test_text_comes_in_whole_characters() -> None:
    assert [*as_text(iter(["日".encode()[:1], "日".encode()[1:], b"a", b"\xff"]))] == ["", "日", "a", "\ufffd", ""]
