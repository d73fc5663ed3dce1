"""Tokenizer and sampler in C against those in Python, bit for bit, as a library of this machine."""

from __future__ import annotations

import ctypes
import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import usable
from hypothesis import example, given, settings
from hypothesis import strategies as st
from speakers import WORDS, tiny, tokenizer

from tte.driver import Options, compile_model
from tte.language.sampler import Sampler
from tte.language.tokenizer import BOS, BYTES, Tokenizer, read_tokenizer
from tte.types import Array

SHIM = """
#include "tokenizer.h"
int32_t encode(const uint8_t *text, size_t bytes, int32_t *tokens)
{
    return tte_encode(&tiny_tokenizer, text, bytes, tokens);
}
size_t decode(int32_t before, int32_t token, uint8_t *to)
{
    uint8_t byte;
    const tte_text found = tte_decode(&tiny_tokenizer, before, token, &byte);
    __builtin_memcpy(to, found.at, found.bytes);
    return found.bytes;
}
int32_t sample(float temperature, float top_p, int32_t seed, const float *logits, int32_t n, int32_t position,
               float *weights, int32_t *heap)
{
    const tte_sampler s = {temperature, top_p, seed};
    return tte_sample(&s, logits, n, position, weights, heap);
}
"""
FLAGS = ("-std=c11", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Wconversion", "-Wdouble-promotion", "-Wshadow")
TRAPS = ("-Werror", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error", "-shared", "-fPIC", "-I.")
GUARD = -77


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder, host = tmp_path_factory.mktemp("speech"), usable("host")
    compile_model(tiny(), host, Options(tokenizer=tokenizer())).write(folder)
    (folder / "shim.c").write_text(SHIM)
    argv = [*host.cpu.cc, *FLAGS, *TRAPS, "shim.c", "tokenizer.c", "-o", "speech.so"]
    subprocess.run(argv, cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "speech.so"))


def pointer(array: Array) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def encoded(library: ctypes.CDLL, text: bytes) -> tuple[int, ...]:
    room = np.full(len(text) + 3, GUARD, np.int32)
    n = library.encode(text, ctypes.c_size_t(len(text)), pointer(room))
    assert room[-1] == GUARD
    return tuple(room[:n].tolist())


def decoded(library: ctypes.CDLL, before: int, token: int) -> bytes:
    room = np.zeros(64, np.uint8)
    return room[: library.decode(before, token, pointer(room))].tobytes()


TEXTS = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=30).map(str.encode),
    st.lists(st.sampled_from(WORDS), max_size=20).map("".join).map(str.encode),
    st.text("abn é日本\n\0", max_size=40).map(str.encode),
)


@settings(max_examples=150, deadline=None)
@given(TEXTS)
@example(b"")
@example(b"\x80\x80")
@example("日".encode()[:2] + b"a")
@example(b"banana bananana")
def test_encoding(library: ctypes.CDLL, text: bytes) -> None:
    words = tokenizer()
    found = words.encode(text)
    assert encoded(library, text) == found
    assert found[0] == BOS
    assert words.text(found[1:]) == text  # nothing is lost
    for before, token in pairwise(found):
        assert decoded(library, before, token) == words.decode(before, token)


def test_joins_the_best_first() -> None:
    """Of the scores 0, -1, .. the higher wins; among equals the first place does."""
    words = tokenizer()

    def names(text: str) -> list[bytes]:
        return [words.pieces[t] for t in words.encode(text.encode())[1:]]

    assert names("ana") == [b" ", b"ana"]
    assert names("日本") == [b" ", "日本".encode()]
    assert words.encode(b"z") == (BOS, 259, BYTES + ord("z"))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.floats(-40, 40, width=32) | st.sampled_from([0.0, -0.0, 1.0]), min_size=1, max_size=40),
    st.sampled_from([0.0, 1e-30, 0.1, 0.7, 1.0, 5.0, 1e30]),
    st.sampled_from([1e-6, 0.1, 0.5, 0.9, 0.999999, 1.0]),
    st.integers(0, 2**31 - 1),
    st.integers(0, 4000),
)
def test_sampling(
    library: ctypes.CDLL, logits: list[float], temperature: float, top_p: float, seed: int, position: int
) -> None:
    given = np.asarray(logits, np.float32)
    weights, heap = np.zeros_like(given), np.zeros(given.size, np.int32)
    ours = library.sample(
        ctypes.c_float(temperature),
        ctypes.c_float(top_p),
        ctypes.c_int32(seed),
        pointer(given),
        given.size,
        position,
        pointer(weights),
        pointer(heap),
    )
    assert ours == Sampler(temperature, top_p, seed).sample(given, position)


def test_tokens_come_as_often_as_they_should() -> None:
    """By the formula in float64: the shares of 2,000 draws within five standard deviations; none beyond top_p."""
    logits = np.float32([1.0, 3.0, 2.5, -1.0, 3.0, 0.0])
    n, top_p, temperature = 2_000, 0.9, 2.0
    drawn = np.bincount([Sampler(temperature, top_p, 7).sample(logits, i) for i in range(n)], minlength=6) / n
    p = np.exp(logits.astype(np.float64) / temperature)
    p /= p.sum()
    order = np.argsort(-p, kind="stable")
    kept = order[: int(np.searchsorted(np.cumsum(p[order]), top_p)) + 1]
    want = np.zeros(6)
    want[kept] = p[kept] / p[kept].sum()
    assert not drawn[want == 0].any()
    assert (abs(drawn - want) <= 5 * np.sqrt(want * (1 - want) / n)).all()


@pytest.fixture
def stories(shared: Path) -> Tokenizer:
    return read_tokenizer(shared / "models" / "tok512.bin")


def test_a_real_tokenizer(stories: Tokenizer, shared: Path) -> None:
    assert stories.encode(b"Once upon a time") == (1, 403, 407, 261, 378)
    assert stories.data == (shared / "models" / "tok512.bin").read_bytes()
