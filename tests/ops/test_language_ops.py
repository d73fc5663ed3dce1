"""Ops of language models: against torch in float64, and rows whose bits don't depend on how a prompt is cut."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from conftest import usable
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from tte.driver import Options, compile_model
from tte.errors import BadModel, Unsupported
from tte.interp import interpret
from tte.ir import Builder, Graph, Module, State, verify
from tte.op import Op
from tte.ops.attention import Attention
from tte.ops.cache_rows import CacheRows
from tte.ops.gather import Gather
from tte.ops.gelu import Gelu
from tte.ops.layer_norm import LayerNorm
from tte.ops.linear import Linear
from tte.ops.pick_row import PickRow
from tte.ops.rms_norm import RmsNorm
from tte.ops.rope import Rope
from tte.ops.silu import Silu
from tte.running.emulate import build, run_elf
from tte.shapes.chunk import SPAN
from tte.types import Array, Bytes, DType, Quant, TensorType

F32, S32 = DType.F32, DType.S32
HEAD, HEADS, KV, LONGEST = 6, 4, 2, 23  # elements of a head, heads, those of keys and values, positions of a cache
D, WIDTH = HEAD * HEADS, HEAD * KV


def f32(*shape: int) -> TensorType:
    return TensorType(shape, F32)


def of(op: Op, *args: Array) -> Array:
    """The result, in the precision of the arguments."""
    types = tuple(TensorType(a.shape, S32 if a.dtype.kind == "i" else F32) for a in args)
    return op.reference(args, types, op.results(*types))[0]


def close(ours: Array, theirs: torch.Tensor, tolerance: float = 1e-12) -> None:
    """In f64 all is exact but rounding; by our exp, tanh and erf as exact as f32."""
    assert ours.dtype == np.float64
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=tolerance, atol=tolerance)


def span(start: int, count: int) -> Array:
    return np.array([start, count], np.int32)


def table(s: int, head: int = HEAD) -> Array:
    """(cos, sin) of position * 10000**(-2j / head)."""
    angles = np.outer(np.arange(s), 10000.0 ** (-np.arange(0, head, 2) / head))
    return np.stack([np.cos(angles), np.sin(angles)], -1)


RNG = np.random.default_rng(0)
X = RNG.standard_normal((5, D)) * 3
W, B = RNG.standard_normal((2, D))
T = torch.from_numpy


def test_norms_are_those_of_torch() -> None:
    close(of(RmsNorm(), X, W), functional.rms_norm(T(X), (D,), T(W), float(np.float32(1e-5))))
    close(of(LayerNorm(1e-3), X, W, B), functional.layer_norm(T(X), (D,), T(W), T(B), float(np.float32(1e-3))))


def test_activations_are_those_of_torch() -> None:
    x = np.concatenate([X.ravel(), np.linspace(-30, 30, 1001)])
    close(of(Silu(), x), functional.silu(T(x)), 1e-6)
    forms: tuple[Literal["none", "tanh"], ...] = ("none", "tanh")
    for form in forms:
        close(of(Gelu(form), x), functional.gelu(T(x), approximate=form), 1e-6)


def test_a_layer_without_a_bias_is_that_of_torch() -> None:
    w = RNG.standard_normal((7, D))
    close(of(Linear(), X, w), functional.linear(T(X), T(w)))
    close(of(Linear(low=-1.0), X, w), functional.linear(T(X), T(w)).clamp(min=-1))
    assert of(Linear(), *(a.astype(np.float32) for a in (X, w))).tobytes() == (
        of(Linear(), *(a.astype(np.float32) for a in (X, w, np.zeros(7)))).tobytes()
    )


def test_rows_are_taken_as_torch_does() -> None:
    ids = np.array([4, 0, 0, 3], np.int32)
    close(of(Gather(), X, ids), functional.embedding(T(ids), T(X)), 0)
    close(of(PickRow(), X, span(7, 3)), T(X)[2:3], 0)


def test_pairs_turn_as_complex_numbers() -> None:
    """llama2.c's pairs; Hugging Face's halves are the same pairs in another order."""
    by, at = table(LONGEST), span(9, 5)
    turn = torch.view_as_complex(T(by[9:14].copy()))[:, None]
    turned = torch.view_as_real(torch.view_as_complex(T(X).reshape(5, HEADS, HEAD // 2, 2)) * turn)
    close(of(Rope(HEAD), X, by, at), turned.reshape(5, D))
    halves = T(X).reshape(5, HEADS, HEAD // 2, 2).transpose(2, 3).reshape(5, D).numpy()
    close(of(Rope(HEAD, "halves"), halves, by, at), turned.transpose(2, 3).reshape(5, D))


@pytest.mark.parametrize("start", [0, 4, LONGEST - 5])
@pytest.mark.parametrize(("heads", "kv"), [(4, 2), (4, 4), (6, 1)])
def test_attention_is_that_of_torch(heads: int, kv: int, start: int) -> None:
    rng, hd = np.random.default_rng(heads), 7
    q, k, v = (rng.standard_normal((n, h * hd)) for n, h in ((5, heads), (LONGEST, kv), (LONGEST, kv)))
    seen = np.arange(LONGEST) <= start + np.arange(5)[:, None]
    hq, hk, hv = (T(a).reshape(len(a), -1, hd).transpose(0, 1) for a in (q, k, v))
    scale = float(np.float32(hd**-0.5))
    want = functional.scaled_dot_product_attention(hq, hk, hv, T(seen), scale=scale, enable_gqa=True)
    close(of(Attention(heads, kv), q, k, v, span(start, 5)), want.transpose(0, 1).reshape(5, -1), 1e-6)


def test_what_a_row_does_not_see_changes_nothing() -> None:
    q, k, v = (np.float32(a) for a in (X, *RNG.standard_normal((2, LONGEST, WIDTH))))
    before = of(Attention(HEADS, KV), q, k, v, span(3, 5))
    k[8:], v[8:] = np.nan, np.inf
    np.testing.assert_array_equal(of(Attention(HEADS, KV), q, k, v, span(3, 5)), before)


def block(name: str, c: int, states: Sequence[State] = ()) -> tuple[Graph, tuple[State, ...]]:
    """c rows through a norm, rotation, the caches and attention; weights and caches are shared by all graphs."""
    b, rng = Builder(name, states), np.random.default_rng(1)
    x, at = b.input("x", f32(c, D)), b.input("span", SPAN)
    if not states:
        shapes = {"gain": (D,), "wq": (D, D), "wk": (WIDTH, D), "wv": (WIDTH, D), "wo": (D, D)}
        for k, shape in shapes.items():
            b.constant(k, f32(*shape), rng.standard_normal(shape).astype(np.float32))
        b.constant("turns", f32(LONGEST, HEAD // 2, 2), table(LONGEST).astype(np.float32))
        for k in ("keys", "values"):
            b.state(k, f32(LONGEST, WIDTH), np.zeros((LONGEST, WIDTH), np.float32))
    s = {state.value.name: state.value for state in b.states}
    (n,) = b.emit(RmsNorm(), x, s["gain"])
    q, k, v = (b.emit(Linear(), n, s[w])[0] for w in ("wq", "wk", "wv"))
    q, k = (b.emit(Rope(HEAD, "halves"), a, s["turns"], at)[0] for a in (q, k))
    keys, values = (b.emit(CacheRows(), s[c], a, at)[0] for c, a in (("keys", k), ("values", v)))
    (y,) = b.emit(Attention(HEADS, KV), q, keys, values, at)
    (y,) = b.emit(Silu(), b.emit(Linear(), y, s["wo"])[0])
    (last,) = b.emit(PickRow(), y, at)
    return b.finish(y, last, updates=((s["keys"], keys), (s["values"], values))), tuple(b.states)


def chunks(x: Array, c: int, rng: np.random.Generator) -> list[tuple[Array, Array]]:
    """The prompt in chunks of c rows; what fills the last one is anything."""
    found = []
    for start in range(0, len(x), c):
        rows = rng.standard_normal((c, D)).astype(np.float32) * 1e3
        rows[: len(x) - start] = x[start : start + c]
        found.append((rows, span(start, min(c, len(x) - start))))
    return found


def rows_of(outs: Sequence[tuple[Array, Array]], cut: Sequence[tuple[Array, Array]]) -> Bytes:
    """All rows that count, and for each chunk the last of them."""
    for (y, last), (_, at) in zip(outs, cut, strict=True):
        assert last.tobytes() == y[at[1] - 1].tobytes()
    return b"".join(y[: at[1]].tobytes() for (y, _), (_, at) in zip(outs, cut, strict=True))


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, LONGEST), c=st.integers(1, LONGEST + 2), seed=st.integers(0, 99))
def test_chunks_of_any_size_give_the_same_bits(n: int, c: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, D)).astype(np.float32)

    def meaning(c: int) -> tuple[Bytes, dict[str, Array]]:
        graph, states = block("prefill", c)
        held, cut, outs = {s.value.name: s.init for s in states}, chunks(x, c, rng), []
        for rows, at in cut:
            found, held = interpret(graph, dict(zip((v.name for v in graph.ins), (rows, at), strict=True)), held)
            outs.append((found[graph.outs[0].name], found[graph.outs[1].name]))
        return rows_of(outs, cut), held

    (some, held), (one, kept) = meaning(c), meaning(1)
    assert some == one
    assert all(held[k].tobytes() == kept[k].tobytes() for k in ("keys", "values"))


@pytest.mark.parametrize("c", [2, 5, 8])
def test_c_gives_them_too_and_copies_no_cache(c: int, tmp_path: Path) -> None:
    """The prompt token by token, then in chunks; of 10 tokens, so that 8 leaves a ragged chunk."""
    board, rng = usable("host"), np.random.default_rng(c)
    prefill, states = block("prefill", c)
    decode, states = block("decode", 1, states)
    module = Module("m", states, (prefill, decode))
    verify(module)
    compiled = compile_model(module, board, Options())
    at = {s.value: s.offset for s in compiled.plan.states}
    for graph in module.graphs:
        slots = {s.value: s.offset for s in compiled.plan.functions[graph.name]}
        assert all(slots[new] == at[old] for old, new in graph.updates)
        own = {new for _, new in graph.updates}
        assert max(v.type.bytes for v in slots if v not in own) <= 4 * D * c < min(new.type.bytes for new in own)
    compiled.write(tmp_path)
    elf, x = build(tmp_path, board), rng.standard_normal((10, D)).astype(np.float32)
    got = []
    for graph, size in ((1, 1), (0, c)):
        cut = chunks(x, size, rng)
        data = b"".join(struct.pack("<I", graph) + rows.tobytes() + at.tobytes() for rows, at in cut)
        said, outs, row = run_elf(elf, board, data).data, [], 4 * D
        for i in range(len(cut)):
            one = said[i * (4 + row * (size + 1)) :][: 4 + row * (size + 1)]
            assert one[:4] == bytes(4)
            floats = np.frombuffer(one[4:], np.float32).reshape(size + 1, D)
            outs.append((floats[:size], floats[size:]))
        got.append(rows_of(outs, cut))
    held, want = {s.value.name: s.init for s in states}, b""
    for i in range(len(x)):
        fed = dict(zip((v.name for v in decode.ins), (x[i : i + 1], span(i, 1)), strict=True))
        found, held = interpret(decode, fed, held)
        want += found[decode.outs[0].name].tobytes()
    assert got == [want, want]


WRONG: list[tuple[Callable[[], Op], tuple[TensorType, ...], str]] = [
    (lambda: Rope(5), (f32(2, 10), f32(4, 2, 2), SPAN), "not of pairs"),
    (lambda: Rope(4), (f32(2, 10), f32(4, 2, 2), SPAN), "no heads of 4"),
    (lambda: Rope(4), (f32(2, 8), f32(4, 3, 2), SPAN), "the table must be"),
    (lambda: Attention(3, 2), (f32(2, 6), f32(4, 4), f32(4, 4), SPAN), "evenly"),
    (lambda: Attention(4, 2), (f32(2, 8), f32(4, 8), f32(4, 8), SPAN), "must have 4 columns"),
    (lambda: Attention(4, 2), (f32(2, 8), f32(4, 4), f32(5, 4), SPAN), "differ"),
    (CacheRows, (f32(4, 3), f32(2, 4), SPAN), "other rows"),
    (CacheRows, (f32(4, 3), f32(2, 3), TensorType((3,), S32)), "the span must be"),
    (Gather, (f32(4, 3), f32(2)), "ids must be"),
    (RmsNorm, (f32(4, 3), f32(4)), "w must be a vector of 3"),
    (lambda: LayerNorm(-1.0), (f32(4, 3), f32(3), f32(3)), "eps"),
    (PickRow, (f32(3), SPAN), "must be a matrix"),
]


@pytest.mark.parametrize(("op", "types", "what"), WRONG)
def test_what_does_not_fit_is_refused(op: Callable[[], Op], types: tuple[TensorType, ...], what: str) -> None:
    with pytest.raises(BadModel, match=what):
        op().results(*types)


def test_s8_layers_need_a_bias() -> None:
    x, w = (TensorType(s, DType.S8, Quant((0.1,))) for s in ((1, 4), (3, 4)))
    with pytest.raises(BadModel, match="in s8 it needs b"):
        Linear().results(x, w)


@pytest.mark.parametrize("op", [Silu(), Gelu(), RmsNorm(), Attention(1, 1), Rope(2), CacheRows(), Gather(), PickRow()])
def test_there_are_no_gradients_yet(op: Op) -> None:
    b = Builder("g")
    x = b.input("x", f32(2, 2))
    with pytest.raises(Unsupported, match="has no gradient"):
        op.vjp(b, (x,), (x,), (x,))
