"""Products of integers with a scale for each row: what is said is what numpy says, and little is lost."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import Call, refused
from conftest import usable
from speakers import TINY, checkpoint, prefilled, said, tiny, tokenizer

from tte.codegen.steps import weights
from tte.driver import Options, compile_model
from tte.errors import TteError
from tte.frontend.llama2c import import_llama2c
from tte.language.generate import Request, generate
from tte.language.reading import loss, sample
from tte.language.sampler import Sampler
from tte.language.speech import speech
from tte.language.splits import Choice, written
from tte.language.tokenizer import read_tokenizer
from tte.passes.npu.outlier import Split
from tte.passes.quantize.rows import Rows
from tte.running.emulate import build
from tte.target import load_board

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from four_bits import BAR, compared, rise

HOST = load_board("host")
WAYS = Rows(), Rows(8)
BEGIN = b"Once upon a time, there was a little girl named Lily."


@pytest.mark.parametrize("rows", WAYS)
@pytest.mark.parametrize("name", ["host", "aarch64"])
def test_what_is_said(name: str, rows: Rows, tmp_path: Path) -> None:
    """Bit for bit what the reference computes, with prompts of one chunk and of more, under the sanitizers."""
    board, module, words = usable(name), tiny(), tokenizer()
    compile_model(module, board, Options(tokenizer=words, rows=rows)).write(tmp_path)
    elf, model, twin = build(tmp_path, board, sanitize=True), speech(module, words), rows(module, board)
    for prompt, tokens, sampler in ((b"banana ban", 5, Sampler()), (b"b", 20, Sampler(1.5, 0.95, 3))):
        request = Request(prompt, tokens, sampler)
        assert b"".join(generate(elf, board, model, request)) == said(twin, words, request)


@pytest.mark.parametrize("rows", WAYS)
def test_chunks(rows: Rows) -> None:
    """A row's scale is its own: any chunks give the same bits."""
    tokens = np.random.default_rng(1).integers(0, TINY.vocab, 17).tolist()
    (logits, _), *others = (prefilled(rows(tiny(chunk=c), HOST), tokens) for c in (40, 8, 1))
    for other, _ in others:
        np.testing.assert_array_equal(logits.view(np.uint32), other.view(np.uint32))


def test_products_share_rows_and_graphs_share_weights() -> None:
    module = tiny(biases=True, config=replace(TINY, norm="layer", activation="gelu", tied=False))
    found = compile_model(module, HOST, Options(rows=Rows(16))).module
    for graph in found.graphs:
        labels = Counter(n.op.label() for n in graph.nodes)
        assert (labels["quantize_rows"], labels["linear_groups"]) == (4 * TINY.layers + 1, 6 * TINY.layers)
        assert (labels["linear_rows"], labels["linear"]) == (1, 0)  # the classifier
    names = [s.value.name for s in found.states]
    assert names.count("q0_w_u4") == names.count("classifier_w_s8") == 1
    assert "q0_w" not in names


def test_what_stories_says(shared: Path, tmp_path: Path) -> None:
    """In C as in numpy, and still a story; the weights take less than half, and a third, of the bytes."""
    models, asked = shared / "models", Request(b"", 60, Sampler())
    module, words = import_llama2c(models / "stories260K.bin", "stories", 16), read_tokenizer(models / "tok512.bin")
    sizes = []
    for rows in (None, Rows(), Rows(32)):
        compiled = compile_model(module, HOST, Options(tokenizer=words, rows=rows))
        sizes.append(sum(a.nbytes for a in weights(compiled.program).arrays.values()))
        if rows:
            folder = tmp_path / str(rows.group)
            compiled.write(folder)
            text = b"".join(generate(build(folder, HOST), HOST, speech(module, words), asked))
            assert text.startswith(BEGIN)
            few = replace(asked, tokens=12)
            assert text.startswith(said(rows(module, HOST), words, few))
    assert sizes[1] < sizes[0] / 2 and sizes[2] < sizes[0] / 3


def test_what_stories_loses(shared: Path) -> None:
    """Hardly anything in 8 bits; in 4 no more than groups with float scales do. See benchmarks/four_bits.py."""
    module = import_llama2c(shared / "models" / "stories260K.bin", "stories", 8)
    tokens = sample(module, 24, 96, seed=1)
    base = loss(module, tokens)
    assert rise(base, loss(Rows()(module, HOST), tokens)) < BAR
    floats, steps = compared(module, tokens, base, 32)
    assert steps <= floats + BAR
    assert floats > 2  # it does cost something: the comparison is not empty


def test_options(tte: Call, tmp_path: Path) -> None:
    (tmp_path / "tiny.bin").write_bytes(checkpoint())
    (tmp_path / "words.bin").write_bytes(tokenizer().data)
    compiled = ("compile", "tiny.bin", "-b", "host", "-o", "p", "--tokenizer", "words.bin", "--no-build")
    for wrong, *words in (
        (("--bits", "5"), "--bits", "8 or 4"),
        (("--bits", "8", "--group", "32"), "--group", "--bits 4"),
        (("--group", "32"), "--group", "--bits 4"),
        (("--bits", "4", "--group", "12"), "--group", "multiple of 8"),
    ):
        refused(tte(*compiled, *wrong), *words)
    (tmp_path / "s.toml").write_text(written(Choice((Split(("q0_w",), 0.1),))))
    refused(tte(*compiled, "--bits", "8", "--w8a8", "s.toml"), "--bits", "--w8a8")
    assert tte(*compiled, "--bits", "4", "--group", "8")[0] == 0
    code, out, err = tte("generate", "p", "banana", "--tokens", "7")
    assert (code, err) == (0, "")
    want = said(Rows(8)(tiny(), HOST), tokenizer(), Request(b"banana", 7, Sampler())).decode(errors="replace")
    assert out == "banana" + want + "\n"


def test_what_has_no_products() -> None:
    module = tiny()
    with pytest.raises(TteError, match="no products"):
        Rows()(Rows()(module, HOST), HOST)
