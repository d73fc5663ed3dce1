"""Caches of keys and values in few bits: how far off they are, what they cost a model that speaks, what is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import Call, refused
from hypothesis import given, settings
from hypothesis import strategies as st
from speakers import TINY, checkpoint, tiny, tokenizer

from tte.arith import codes
from tte.errors import Unsupported
from tte.frontend.llama2c import import_llama2c
from tte.language.calibration import CACHES, try_caches
from tte.language.reading import sample
from tte.language.splits import read_splits, written
from tte.passes.quantize.caches import Caches
from tte.passes.simplify.dce import dce
from tte.target import load_board

HOST = load_board("host")


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 99), st.integers(1, 4), st.sampled_from([2, 6, 16]), st.sampled_from([8, 4]))
def test_no_real_is_off_by_more_than_half_a_step(seed: int, heads: int, depth: int, bits: int) -> None:
    """In float64, but for what float32 adds to the steps."""
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal((5, heads, depth)) * 10.0 ** rng.integers(-6, 6, (5, heads, 1))).astype(np.float32)
    each = x.astype(np.float64)
    step = abs(each).max(-1) / 127 if bits == 8 else (each.max(-1) - each.min(-1)) / 15
    found = codes.reals(*codes.coded(x.reshape(5, -1), heads, bits), heads).reshape(x.shape)
    off = abs(found - each) - step[..., None] / 2
    assert (off <= 1e-5 * abs(each).max(-1, keepdims=True)).all()


def test_real_caches(shared: Path) -> None:
    """Of stories260K: smaller by more than half, for less than half a percent of perplexity."""
    module = import_llama2c(shared / "models" / "stories260K.bin", "stories", 8)
    trials, chosen = try_caches(module, HOST, sample(module, 16, 96, 1))
    assert chosen.values in (8, 4)
    assert 2 * chosen.bytes < trials[0].bytes
    assert 0 < math.expm1(chosen.loss - trials[0].loss) < math.expm1(CACHES)


def test_what_a_graph_becomes() -> None:
    """No float cache is left, and both graphs share what there is."""
    module = dce(Caches(4)(tiny(), HOST), HOST)
    assert {s.value.type.dtype.c for s in module.states if s.storage == "sram" and "scales" not in s.value.name} == {
        "int8_t",
        "uint8_t",
    }
    assert len([s for s in module.states if s.storage == "sram"]) == 4 * TINY.layers
    assert all(len(g.updates) == 4 * TINY.layers for g in module.graphs)
    with pytest.raises(Unsupported, match="no caches"):
        Caches()(module, HOST)


def test_options(tte: Call, tmp_path: Path) -> None:
    """quantize writes what compile reads; --kv says it by hand."""
    (tmp_path / "tiny.bin").write_bytes(checkpoint())
    (tmp_path / "words.bin").write_bytes(tokenizer().data)
    assert tte("quantize", "tiny.bin", "-o", "s.toml", "--texts", "3", "--tokens", "12")[0] == 0
    splits = read_splits(tmp_path / "s.toml")
    (tmp_path / "s.toml").write_text(written(replace(splits, caches=Caches(4))))
    assert read_splits(tmp_path / "s.toml").caches == Caches(4)
    compiled = ("compile", "tiny.bin", "-b", "host", "-o", "p", "--tokenizer", "words.bin")
    for option in ("--kv", "kv8"), ("--kv", "k8v4"), ("--w8a8", "s.toml"):
        assert tte(*compiled, *option)[0] == 0
        assert tte("generate", "p", "banana", "--tokens", "3")[0] == 0
    refused(tte(*compiled, "--kv", "4"), "--kv")
