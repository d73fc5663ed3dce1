"""Language models: what they say, in any chunks, and what is refused."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from commands import DIGITS, Call, refused
from conftest import usable
from hypothesis import given, settings
from hypothesis import strategies as st
from speakers import TINY, calls, checkpoint, initial, prefilled, said, step, tiny, tokenizer

from tte.driver import Options, compile_model
from tte.errors import TteError
from tte.frontend.llama2c import import_llama2c
from tte.ir import Module
from tte.language.generate import Request, generate
from tte.language.sampler import Sampler
from tte.language.speech import Speech, speech
from tte.language.splits import Choice, written
from tte.language.tokenizer import read_tokenizer
from tte.passes.npu.outlier import Split
from tte.passes.quantize.caches import Caches
from tte.running.device import EXPORT
from tte.running.emulate import Command, build, call, play
from tte.states import layout
from tte.target import load_board
from tte.types import Array, DType, TensorType

BEGIN = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park."
CHUNK = 32  # of the real model here


@dataclass(frozen=True)
class Built:
    """A model as compiled for the host."""

    module: Module
    speech: Speech
    elf: Path

    def prefill(self, tokens: list[int], chunk: int) -> tuple[Array, dict[str, Array]]:
        """Logits and states after a prompt: in chunks, or token by token where a chunk is 1."""
        name, lay = "prefill" if chunk > 1 else "decode", layout(self.module.states)
        room = TensorType((lay.bytes,), DType.U8)
        commands = []
        for part, at in calls(tokens, chunk):
            padded = np.full(chunk, at % 7, np.int32)
            padded[: len(part)] = part
            commands.append(call(self.module, name, (padded, np.asarray([at, len(part)], np.int32))))
        commands.append(Command(struct.pack("<I", EXPORT), (room,)))
        *answers, (block,) = play(self.elf, load_board("host"), commands)[0]
        return answers[-1][0], lay.unpack(block.tobytes())


def built(module: Module, folder: Path, words: Path | None = None) -> Built:
    host, known = usable("host"), read_tokenizer(words) if words else tokenizer()
    compile_model(module, host, Options(tokenizer=known)).write(folder)
    return Built(module, speech(module, known), build(folder, host))


@pytest.fixture(scope="module")
def stories(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    models = shared / "models"
    module = import_llama2c(models / "stories260K.bin", "stories", CHUNK)
    return built(module, tmp_path_factory.mktemp("stories"), models / "tok512.bin")


def same(a: tuple[Array, dict[str, Array]], b: tuple[Array, dict[str, Array]], rows: int) -> None:
    """Bit for bit the same logits and the same rows of every cache."""
    np.testing.assert_array_equal(a[0].view(np.uint32), b[0].view(np.uint32))
    for name in (n for n in a[1] if n.startswith(("keys", "values"))):
        np.testing.assert_array_equal(a[1][name][:rows].view(np.uint8), b[1][name][:rows].view(np.uint8))


def in_float64(path: Path, count: int) -> list[int]:
    """So many greedy tokens, from the formulas of the papers: a program that shares nothing with ours."""
    data = path.read_bytes()
    d, h, layers, heads, groups, vocab, _ = struct.unpack_from("<7i", data)
    floats, size = np.frombuffer(data, "<f4", offset=28).astype(np.float64), d // heads
    at = 0

    def take(*shape: int) -> Array:
        nonlocal at
        at += (n := int(np.prod(shape)))
        return floats[at - n : at].reshape(shape)

    e, n1 = take(vocab, d), take(layers, d)
    wq, wk, wv = take(layers, d, d), take(layers, groups * size, d), take(layers, groups * size, d)
    wo, n2, w1, w2, w3 = take(layers, d, d), take(layers, d), take(layers, h, d), take(layers, d, h), take(layers, h, d)
    n3 = take(d)

    def norm(x: Array, w: Array) -> Array:
        return x / np.sqrt(np.mean(x**2) + 1e-5) * w

    def turned(x: Array, position: int) -> Array:
        """Pairs of elements as complex numbers, which a rotation multiplies."""
        angles = position / 10000 ** (np.arange(0, size, 2) / size)
        z = x.reshape(-1, size).view(complex) * np.exp(1j * angles)
        return z.view(float)

    kept: list[tuple[list[Array], list[Array]]] = [([], []) for _ in range(layers)]
    tokens = [1]
    for position in range(count):
        x = e[tokens[-1]]
        for i, (keys, values) in enumerate(kept):
            y = norm(x, n1[i])
            q = turned(wq[i] @ y, position)
            keys.append(turned(wk[i] @ y, position).repeat(heads // groups, 0))
            values.append((wv[i] @ y).reshape(groups, size).repeat(heads // groups, 0))
            scores = np.einsum("hs,ths->ht", q, np.stack(keys)) / np.sqrt(size)
            shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
            x = x + wo[i] @ np.einsum("ht,ths->hs", shares, np.stack(values)).ravel()
            y = norm(x, n2[i])
            gate = w1[i] @ y
            x = x + w2[i] @ (gate / (1 + np.exp(-gate)) * (w3[i] @ y))
        tokens.append(int(np.argmax(e @ norm(x, n3))))
    return tokens


def test_what_stories_says(stories: Built, shared: Path) -> None:
    """200 greedy tokens: those of the formulas in float64."""
    pieces = [*generate(stories.elf, load_board("host"), stories.speech, Request(b"", 200, Sampler()))]
    tokens, words = in_float64(shared / "models" / "stories260K.bin", 200), stories.speech.tokenizer
    assert pieces == [words.decode(a, b) for a, b in pairwise(tokens)]
    assert len(pieces) == 200
    assert b"".join(pieces).decode().startswith(BEGIN)


def test_real_prompts_in_chunks(stories: Built) -> None:
    """One chunk or more, and one token more or less: bit for bit what token by token gives."""
    words = stories.speech.tokenizer
    text = list(words.encode(BEGIN.encode() * 3))
    for n in (1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK, 2 * CHUNK + 1, 3 * CHUNK + 1):
        assert len(text) >= n
        same(stories.prefill(text[:n], CHUNK), stories.prefill(text[:n], 1), n)


def kept(module: Module, bits: int | None) -> Module:
    """With caches of keys in 8 bits and values in so many, or both in f32."""
    return Caches(bits)(module, load_board("host")) if bits else module


@pytest.mark.parametrize(("chunk", "bits"), [(7, None), (TINY.seq, None), (7, 8), (7, 4)])
def test_chunks_in_c(chunk: int, bits: int | None, tmp_path: Path) -> None:
    """As the reference does token by token."""
    module = kept(tiny(chunk=chunk), bits)
    found = built(module, tmp_path)
    tokens = np.random.default_rng(1).integers(0, TINY.vocab, TINY.seq).tolist()
    alone, states = module.graph("decode"), initial(module)
    for i, token in enumerate(tokens):
        logits, states = step(alone, [token], i, states)
        if (i + 1) % chunk in (0, 1, chunk - 1) or i in (2, 9, 24):
            same(found.prefill(tokens[: i + 1], chunk), (logits, states), i + 1)


@settings(max_examples=20, deadline=None)
@given(
    st.integers(1, TINY.seq),
    st.integers(1, TINY.seq),
    st.integers(0, 9),
    st.sampled_from(["llama", "gpt"]),
    st.sampled_from([None, 8, 4]),
)
def test_chunks_in_the_reference(n: int, chunk: int, seed: int, kind: str, bits: int | None) -> None:
    """Any chunk against one chunk."""
    gpt = replace(TINY, norm="layer", activation="gelu", rope="halves", tied=False)
    config = TINY if kind == "llama" else gpt
    tokens = np.random.default_rng(seed).integers(0, TINY.vocab, n).tolist()
    one, many = (kept(tiny(config, c, seed, kind == "gpt"), bits) for c in (n, chunk))
    same(prefilled(one, tokens), prefilled(many, tokens), n)


@pytest.mark.parametrize("tied", [True, False])
def test_checkpoints(tied: bool, tmp_path: Path) -> None:
    """What a file holds is what the builder is given, whether the classifier is the embedding or follows it."""
    config, path = replace(TINY, tied=tied), tmp_path / "tiny.bin"
    path.write_bytes(checkpoint(config))
    found, want = import_llama2c(path, "tiny", 8), tiny(config)
    assert str(found) == str(want)
    for a, b in zip(found.states, want.states, strict=True):
        np.testing.assert_array_equal(a.init, b.init)


def test_checkpoints_that_make_no_sense(tmp_path: Path) -> None:
    path, good = tmp_path / "bad.bin", checkpoint()
    heads = struct.pack("<7i", 16, 20, 2, 3, 2, 278, 40)
    endless = struct.pack("<7i", 2, 2, 2**31 - 1, 1, 1, 2**31 - 1, 2**31 - 1)
    later = struct.pack("<i", 0x616B3432) + good[4:]
    holes = bytearray(good)
    holes[28:32] = struct.pack("<f", float("nan"))
    for data, words in (
        (b"", "holds 0 bytes"),
        (good[:20], "holds 20 bytes"),
        (good[:-1], "cut short"),
        (good + b"\0", "cut short"),
        (heads + good[28:], "heads divide dim"),
        (endless, "cut short"),
        (b"\xff" * 5000, "dim is -1"),
        (later, "later format"),
        (bytes(holes), "not finite"),
    ):
        path.write_bytes(data)
        with pytest.raises(TteError, match=words):
            import_llama2c(path, "bad")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "tiny.bin").write_bytes(checkpoint())
    (tmp_path / "words.bin").write_bytes(tokenizer().data)
    return tmp_path


def test_commands(tte: Call, files: Path) -> None:
    """Compile, report, generate; and one line where something cannot be."""
    code, out, err = tte("compile", "tiny.bin", "--tokenizer", "words.bin", "--chunk", "8", "-b", "host", "-o", "p")
    assert (code, err) == (0, "")
    assert "arena" in out
    code, out, err = tte("generate", "p", "banana", "--tokens", "9", "--temperature", "1", "--seed", "5")
    request = Request(b"banana", 9, Sampler(temperature=1.0, seed=5))
    assert (code, err) == (0, "")
    assert out == "banana" + said(tiny(), tokenizer(), request).decode(errors="replace") + "\n"
    code, out, _ = tte("report", "p")
    assert code == 0
    assert "prefill" in out
    assert "decode" in out
    refused(tte("generate", "p", "z" * 60), "62 tokens", "40")
    refused(tte("generate", "p", "--temperature", "-1"), "--temperature")
    refused(tte("generate", "p", "--top-p", "0"), "--top-p")
    refused(tte("run", "p"), "no graph 'infer'")


def test_what_is_refused(tte: Call, files: Path) -> None:
    compiled = ("compile", "tiny.bin", "--board", "host", "-o", "p", "--no-build")
    refused(tte(*compiled, "--tokenizer", "tiny.bin"), "tiny.bin", "tokenizer")
    refused(tte(*compiled, "--tokenizer", "none.bin"), "none.bin")
    refused(tte(*compiled, "--tokenizer", "words.bin", "--io", "caller"), "--io")
    refused(tte(*compiled, "--train"), "no graph 'infer'")
    refused(tte(*compiled, "--chunk", "0"), "--chunk")
    refused(tte(*compiled, "--chunks-in-flight", "0"), "--chunks-in-flight")
    refused(tte(*compiled, "--chunks-in-flight", "2"), "no prompts on two units of host")
    refused(tte("run", "tiny.bin"), "no graph 'infer'")
    refused(tte("compile", DIGITS, "-b", "host", "-o", "q", "--tokenizer", "words.bin"), "no language model")
    refused(tte("compile", DIGITS, "-b", "host", "-o", "q", "--chunk", "8"), "--chunk")
    assert not list(files.glob("[pq]"))
    assert tte(*compiled)[0] == 0
    refused(tte("generate", "p", "banana"), "no tokenizer")
    assert tte("compile", DIGITS, "-b", "host", "-o", "q", "--no-build")[0] == 0
    refused(tte("generate", "q"), "no language model")


def test_report(tte: Call, files: Path) -> None:
    """What a model's bytes are for: the kinds are all of its weights, and of what its shapes say; counts on a board."""
    (files / "s.toml").write_text(written(Choice((Split(("q0_w",), 0.05, (1, 3)),))))
    compiled = ("compile", "tiny.bin", "--chunk", "8", "--w8a8", "s.toml", "-o", "p", "--no-build", "--json")
    for board in ("host", "phone-host"):
        code, out, err = tte(*compiled, "-b", board)
        assert (code, err) == (0, "")
        found = json.loads(out)
        told, c = found["language"], TINY
        assert (told["chunk"], told["context"]) == (8, c.seq)
        assert told["cache_bytes"] == 4 * 2 * c.layers * c.seq * c.kv_dim
        assert sum(told["flash"].values()) == found["weights_bytes"]
        assert told["flash"]["embedding"] == 4 * c.vocab * c.dim
        assert told["flash"]["shadows"] == 2 * c.dim + 4 * 2
    out = tte(*compiled[:-1], "-b", "phone-host")[1]
    for row in ("prompt of 5 chunks, in order", "no order takes less than", "bytes from unit to unit"):
        assert row in out
    code, out, _ = tte("compile", "tiny.bin", "-b", "host", "-o", "q", "--no-build")
    assert code == 0
    for row in ("  embedding", "caches", "tokens of a chunk", "calls of decode"):
        assert row in out
    assert "shadows" not in out
    assert tte("compile", DIGITS, "-b", "host", "-o", "d", "--no-build", "--json")[1].count('"language": null') == 1
