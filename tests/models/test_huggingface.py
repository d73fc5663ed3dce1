"""Language models in Hugging Face's layout, against their formulas in torch at double precision."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import Call, refused
from hugging import Asked, Speaker, exported, saved, sentencepiece_model, tokenizer_json
from speakers import initial, prefilled, said, step, tokenizer

from tte.errors import TteError
from tte.frontend.words import read_words
from tte.ir import Module
from tte.language.generate import Request
from tte.language.sampler import Sampler
from tte.language.tokenizer import BOS, read_tokenizer
from tte.load import Lengths, load_model
from tte.types import Array

LLAMA = Asked()
QWEN = Asked("qwen2", tie_word_embeddings=True, rms_norm_eps=1e-5)
KINDS = {
    "llama": LLAMA,
    "tied": replace(LLAMA, tie_word_embeddings=True, num_key_value_heads=4),
    "biased": replace(LLAMA, attention_bias=True, mlp_bias=True, num_key_value_heads=1),
    "wide heads": replace(LLAMA, head_dim=6),
    "mistral": replace(LLAMA, model_type="mistral", head_dim=2),
    "qwen2": QWEN,
}
# Relative to the largest logit. Sums in float32 have at most 24 terms here, over 2 layers: errors of a few hundred
# times 2^-24 or 6e-8. Anything wrong in a formula is off by far more.
CLOSE = 2e-5


def in_torch(speaker: Speaker, tokens: list[int]) -> Array:
    """Logits after each token: f64[n, vocab]."""
    with torch.no_grad():
        return speaker.double()(torch.tensor([tokens]))[0].numpy()


def agrees(module: Module, speaker: Speaker, tokens: list[int]) -> None:
    """Prefill of all tokens, and decode token by token, give the logits of torch."""
    want = in_torch(speaker, tokens)
    most = np.abs(want).max() * CLOSE
    np.testing.assert_allclose(prefilled(module, tokens)[0][0], want[-1], 0, most)
    alone, states = module.graph("decode"), initial(module)
    for i, token in enumerate(tokens):
        logits, states = step(alone, [token], i, states)
        np.testing.assert_allclose(logits[0], want[i], 0, most)


def text(asked: Asked, n: int = 21) -> list[int]:
    return np.random.default_rng(4).integers(0, asked.vocab_size, n).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(kind: str, tmp_path: Path) -> None:
    speaker = Speaker(KINDS[kind])
    module = load_model(saved(speaker, tmp_path / "m"), Lengths(8))
    agrees(module, speaker, text(KINDS[kind]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shards", [1, 3])
def test_files(dtype: torch.dtype, shards: int, tmp_path: Path) -> None:
    """Halves, in one file or several: the numbers that they hold."""
    speaker = Speaker(QWEN, 1, dtype)
    module = load_model(saved(speaker, tmp_path / "m", dtype, shards), Lengths(40))
    agrees(module, speaker, text(QWEN))


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs of torch.export, which take long to make."""
    folder = tmp_path_factory.mktemp("programs")
    other = replace(LLAMA, rope_theta=10000.0).json
    configs = {"llama.pt2": LLAMA.json, "other.pt2": other, "bare.pt2": ""}
    exported(Speaker(LLAMA), {folder / name: text for name, text in configs.items()})
    exported(Speaker(QWEN), {folder / "qwen2.pt2": QWEN.json})
    return folder


@pytest.mark.parametrize("asked", [LLAMA, QWEN])
def test_programs(asked: Asked, programs: Path) -> None:
    module = load_model(programs / f"{asked.model_type}.pt2", Lengths(8, 30))
    agrees(module, Speaker(asked), text(asked))


def test_commands(tte: Call, tmp_path: Path) -> None:
    """Compile a folder, and let it speak by its own tokenizer; without one, or with another kind, it is said."""
    speaker = Speaker(LLAMA)
    folder = saved(speaker, tmp_path / "Llama-0.1B")
    compiled = ("compile", folder.name, "-b", "host", "--chunk", "8", "--context", "30", "--no-build", "-o", "p")
    code, _, err = tte(*compiled)
    assert code == 0
    assert "no such file; no tokenizer in the project" in err
    refused(tte("generate", "p", "banana"), "no tokenizer")
    (folder / "tokenizer.json").write_text('{"model": {"type": "BPE", "vocab": {}, "merges": []}}')
    assert "not of byte-pair encoding" in tte(*compiled)[2]
    (folder / "tokenizer.json").write_text(tokenizer_json(tokenizer()))
    assert tte(*compiled)[::2] == (0, "")
    code, out, err = tte("generate", "p", "banana", "--tokens", "9", "--temperature", "1", "--seed", "5")
    request = Request(b"banana", 9, Sampler(temperature=1.0, seed=5))
    module, words = load_model(folder, Lengths(8, 30)), read_words(folder / "tokenizer.json")
    assert (code, err) == (0, "")
    assert out == "banana" + said(module, words, request).decode(errors="replace") + "\n"
    refused(tte("generate", "p", "z" * 60), "62 tokens", "30")


TEXTS = {  # by the package tokenizers 0.23, with stories260K's tokenizer as tests/hugging.py writes it
    "Once upon a time, there was a little girl named Lily.": (
        403, 407, 261, 378, 432, 383, 286, 261, 376, 298, 315, 421, 395, 317, 426
    ),
    "  two  spaces\nand \xe9 \u65e5\u672c \U0001f600 end ": (
        410, 410, 259, 424, 414, 410, 262, 427, 412, 331, 419, 13, 412, 264, 410, 485, 410,
        233, 154, 168, 233, 159, 175, 410, 243, 162, 155, 131, 344, 264, 410,
    ),
}  # fmt: skip


@pytest.mark.parametrize("splitter", [False, True])
def test_tokenizers(splitter: bool, shared: Path, tmp_path: Path) -> None:
    own, path = read_tokenizer(shared / "models" / "tok512.bin"), tmp_path / "tokenizer.json"
    path.write_text(tokenizer_json(own, splitter))
    found = read_words(path)
    for text, ids in TEXTS.items():
        assert found.encode(text.encode()) == (BOS, *ids)
        assert found.text(ids) == text.encode()
    for text in ("", "once" * 50, "\n\n  ends"):
        assert found.encode(text.encode()) == own.encode(text.encode())


def test_sentencepiece(shared: Path, tmp_path: Path) -> None:
    """The same tokens and scores; what says something else, or is cut anywhere, is refused."""
    own, path = read_tokenizer(shared / "models" / "tok512.bin"), tmp_path / "tokenizer.model"
    data = sentencepiece_model(own)
    path.write_bytes(data)
    found = read_words(path)
    assert found.pieces[259:] == own.pieces[259:]
    np.testing.assert_array_equal(found.scores, own.scores)
    for text, ids in TEXTS.items():
        assert found.encode(text.encode()) == (BOS, *ids)
    for other, words in (
        (sentencepiece_model(own, kind=1), "byte-pair"),
        (sentencepiece_model(own, spaced=False), "space before"),
        (data.replace(b"<0x41>", b"<0x42>"), "its bytes"),
        (data[:5000], "cut short"),
        (data[: len(data) // 2], "cut short|byte-pair"),
        (b"\xff" * 100, "cut short"),
        (b"", "byte-pair"),
    ):
        path.write_bytes(other)
        with pytest.raises(TteError, match=words):
            read_words(path)


def changed(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """A file of JSON, a little different."""
    found = json.loads(path.read_text())
    change(found)
    path.write_text(json.dumps(found))


def test_tokenizers_that_say_something_else(tmp_path: Path) -> None:
    path, good = tmp_path / "tokenizer.json", tokenizer_json(tokenizer())
    for change, words in (
        (lambda t: t["model"].update(byte_fallback=False), "byte-pair"),
        (lambda t: t["model"].update(type="Unigram"), "byte-pair"),
        (lambda t: t["model"].update(ignore_merges=True), "way of its own"),
        (lambda t: t.update(normalizer=None), "space before"),
        (lambda t: t["added_tokens"].append({"id": 300}), "beside those of its text"),
        (lambda t: t["model"]["vocab"].update({"more": 999}), "from 0 on"),
        (lambda t: t["model"]["vocab"].update({"<0x00>": 4, "<0x01>": 3}), "its bytes"),
        (lambda t: t["model"]["merges"].pop(), "another rule"),
        (lambda t: t["model"]["merges"].sort(), "another rule"),
        (lambda t: t["model"]["merges"].append("alone"), "two pieces"),
    ):
        path.write_text(good)
        changed(path, change)
        with pytest.raises(TteError, match=words):
            read_words(path)
    for text in ("", "[", "[]", "[" * 100_000):
        path.write_text(text)
        with pytest.raises(TteError):
            read_words(path)


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "gpt2": (lambda c: c.update(model_type="gpt2"), "known: llama, mistral, qwen2"),
    "llama3": (lambda c: c.update(rope_scaling={"rope_type": "llama3", "factor": 8.0}), "RoPE is scaled by"),
    "new form": (lambda c: c.update(rope_parameters={"rope_type": "yarn"}), "RoPE is scaled by"),
    "rope": (lambda c: c.update(rope_scaling=3), "no object"),
    "window": (lambda c: c.update(sliding_window=39), "--context 39"),
    "endless": (lambda c: c.update(max_position_embeddings=2**40), "--context"),
    "wide": (lambda c: c.update(head_dim=2**40), "--context"),
    "gelu": (lambda c: c.update(hidden_act="gelu"), "hidden_act"),
    "quantised": (lambda c: c.update(quantization_config={"bits": 4}), "quantization_config"),
    "no width": (lambda c: c.pop("hidden_size"), "hidden_size is null"),
    "a word": (lambda c: c.update(num_hidden_layers="2"), "num_hidden_layers"),
    "an infinity": (lambda c: c.update(rms_norm_eps=float("inf")), "rms_norm_eps"),
    "a flag": (lambda c: c.update(tie_word_embeddings=1), "tie_word_embeddings"),
    "heads": (lambda c: c.update(num_attention_heads=3), "heads divide dim"),
    "no layers": (lambda c: c.update(num_hidden_layers=0), "layers is 0"),
    "many layers": (lambda c: c.update(num_hidden_layers=2**19), "too few"),
    "one more layer": (lambda c: c.update(num_hidden_layers=3), "model.layers.2.input_layernorm.weight is missing"),
    "one layer": (lambda c: c.update(num_hidden_layers=1), "model.layers.1.input_layernorm.weight has no place"),
    "wider": (lambda c: c.update(intermediate_size=24), "model.layers.0.mlp.up_proj.weight is float32[20, 16]"),
    "biased": (lambda c: c.update(attention_bias=True), "q_proj.bias is missing"),
    "tied": (lambda c: c.update(tie_word_embeddings=True), "not the embedding"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_settings_that_make_no_sense(case: str, tte: Call, tmp_path: Path) -> None:
    folder = saved(Speaker(LLAMA), tmp_path / "m")
    change, words = BROKEN[case]
    changed(folder / "config.json", change)
    refused(tte("compile", "m", "-b", "host", "-o", "p", "--no-build"), words)


def test_what_leaves_the_formulas_as_they_are(tmp_path: Path) -> None:
    """Settings of newer and older files that ask for nothing else."""
    folder = saved(Speaker(LLAMA), tmp_path / "m")
    want = str(load_model(folder))

    def change(c: dict[str, Any]) -> None:
        c["rope_parameters"] = {"rope_type": "default", "rope_theta": c.pop("rope_theta")}
        c.update(sliding_window=40, torch_dtype="bfloat16", eos_token_id=[1, 2], hidden_act="silu")

    changed(folder / "config.json", change)
    assert str(load_model(folder)) == want


def test_files_that_are_broken(tte: Call, tmp_path: Path) -> None:
    folder = saved(Speaker(LLAMA), tmp_path / "m")
    path = folder / "model.safetensors"
    good = path.read_bytes()
    length = int.from_bytes(good[:8], "little")
    header, rest = json.loads(good[8 : 8 + length]), good[8 + length :]

    def packed(change: Callable[[dict[str, Any]], None]) -> bytes:
        other = json.loads(json.dumps(header))
        change(other)
        text = json.dumps(other).encode()
        return len(text).to_bytes(8, "little") + text + rest

    holes = good[:-4] + np.float32(np.nan).tobytes()
    name = "model.norm.weight"
    for data, words in (
        (b"", "holds 0 bytes"),
        (good[:100], "cut short"),
        (good[:-1], "cut short"),
        (b"\xff" * 200, "cut short"),
        (good[:8] + b"x" * 4000, "no header" if length <= 4000 else "cut short"),
        ((2).to_bytes(8, "little") + b"[]", "no header"),
        (holes, "not finite"),
        (packed(lambda h: h.pop(name)), f"{name} is missing"),
        (packed(lambda h: h.update({name: 3})), f"entry of {name}"),
        (packed(lambda h: h[name].update(dtype="F8_E4M3")), "F8_E4M3"),
        (packed(lambda h: h[name].update(shape=[15])), "contradicts itself"),
        (packed(lambda h: h[name].update(shape=[-4, -4])), "contradicts itself"),
        (packed(lambda h: h[name].update(shape=[2, 8])), f"{name} is float32[2, 8]"),
    ):
        path.write_bytes(data)
        refused(tte("compile", "m", "-b", "host", "-o", "p", "--no-build"), words)
    path.unlink()
    refused(tte("compile", "m", "-b", "host", "-o", "p"), "holds no model.safetensors")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../m.safetensors"}}')
    refused(tte("compile", "m", "-b", "host", "-o", "p"), "../m.safetensors")
    (folder / "config.json").write_text("{")
    refused(tte("compile", "m", "-b", "host", "-o", "p"), "no JSON")
    (folder / "config.json").unlink()
    refused(tte("compile", "m", "-b", "host", "-o", "p"), "config.json")


def test_programs_that_are_refused(tte: Call, programs: Path, tmp_path: Path) -> None:
    """One without settings, one that computes something else than they say, one that is cut short."""
    (tmp_path / "cut.pt2").write_bytes((programs / "llama.pt2").read_bytes()[:-100])
    for path, words in (
        (programs / "bare.pt2", "extra_files"),
        (programs / "other.pt2", "something else than its config.json after 2 tokens"),
        (tmp_path / "cut.pt2", "no program of torch.export"),
    ):
        refused(tte("compile", str(path), "-b", "host", "-o", "p"), words)
