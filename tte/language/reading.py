"""Many texts read at once by a language model, in numpy: what it expects at every position, and what its layers see.

Rows of all texts lie side by side, position after position: what treats rows alone sees [n * texts, d], and what looks
along a text sees more heads, [n, texts * d]. So every op runs by its own reference, but for two that take most of the
time: products of matrices are BLAS's, whose sums are exact in integers but in another order in floats, and so is
attention. Floor 5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np

from tte.arith import codes
from tte.arith.random import bits, key
from tte.errors import Unsupported
from tte.ir import Module, Node
from tte.language.tokenizer import BOS
from tte.op import Arrays
from tte.ops.attention import Attention, AttentionCodes
from tte.ops.cache_codes import CacheCodes
from tte.ops.cache_rows import CacheRows
from tte.ops.gather import Gather
from tte.ops.linear import Linear
from tte.ops.pick_row import PickRow
from tte.ops.rope import Rope
from tte.types import Array, DType, TensorType

AT_ONCE = 16  # texts
CACHED = 2**17  # scores of attention that are in work at once
EXACT = 2**24 // 2**14  # columns whose s8 products add up exactly in f32
Watch: TypeAlias = Callable[[Node, Array], None]  # given the input f32[rows, k] of a Linear in f32


def ignore(node: Node, x: Array) -> None:
    """Watches nothing."""


class Reader:
    """So many texts of at most `seq` tokens, which start empty."""

    def __init__(self, module: Module, texts: int, seq: int, watch: Watch = ignore) -> None:
        self.graph, self.texts, self.watch = module.graph("decode"), texts, watch
        changed = {old for old, _ in self.graph.updates}
        self.env = {s.value: s.init for s in module.states if s.value not in changed}
        self.floats = {s.value: s.init.astype(np.float32) for s in module.states if s.value.type.dtype is DType.S8}
        widths = {v: v.type.shape[1] * (2 if v.type.dtype is DType.U8 else 1) for v in changed}
        self.caches = {v: np.zeros((seq, texts * width), np.float32) for v, width in widths.items()}  # of reals
        self.position = 0

    def read(self, tokens: Array) -> Array:
        """The logits f32[texts, n, vocab] after each of the next tokens s32[texts, n]."""
        texts, n = tokens.shape
        env = {**self.env, **self.caches, self.graph.ins[0]: np.ascontiguousarray(tokens.T).reshape(-1)}
        span = np.asarray([self.position, n], np.int32)
        for node in self.graph.nodes:
            args = tuple(span if v == self.graph.ins[1] else env[v] for v in node.ins)
            env.update(zip(node.outs, self._run(node, args, n), strict=True))
        self.position += n
        return env[self.graph.outs[0]].reshape(n, texts, -1).swapaxes(0, 1)

    def _run(self, node: Node, args: Arrays, n: int) -> Arrays:
        """The results of a node, row by row or along the texts."""
        match node.op:
            case PickRow():
                y = args[0]
            case Gather():
                y = args[0][args[1]]
            case Linear():
                y = self._product(node, args)
            case CacheRows():
                y = self._cached(args[0], args[1], n)
            case CacheCodes(heads):
                bits = 8 if node.types[0][0].dtype is DType.S8 else 4
                rounded = codes.reals(*codes.coded(args[2], heads, bits), heads)
                return self._cached(args[0], rounded, n), args[1]  # scales that nobody reads
            case Attention(heads, kv_heads) | AttentionCodes(heads, kv_heads):
                q, k, v = args[0], args[1], args[-3 if isinstance(node.op, AttentionCodes) else -2]
                wide = q.reshape(n, -1)
                y = attention(wide, k, v, heads * self.texts, kv_heads * self.texts, self.position).reshape(q.shape)
            case Rope():
                y = _reference(node, (args[0].reshape(n, -1), *args[1:]))[0].reshape(args[0].shape)
            case _:
                return _reference(node, args)
        return (y,)

    def _cached(self, cache: Array, rows: Array, n: int) -> Array:
        """All rows of a cache up to now, into which the rows of n more positions were put."""
        y = cache[: self.position + n]
        y[self.position :] = rows.reshape(n, -1)
        return y

    def _product(self, node: Node, args: Arrays) -> Array:
        x, w, *b = args
        y: Array
        if node.op == Linear():
            self.watch(node, x)
            y = x @ w.T
        elif node.op == Linear(sums=True) and not node.types[0][0].scaling.zero:
            wide = np.float32 if x.shape[1] <= EXACT else np.float64
            y = (x.astype(wide) @ self.floats[node.ins[1]].T.astype(wide)).astype(np.int32)
        else:
            raise Unsupported(str(node), "is no product of a language model")
        return y + b[0] if b else y


def attention(q: Array, k: Array, v: Array, heads: int, kv_heads: int, start: int) -> Array:
    """As Attention, but in BLAS's order: q[n, heads * hd], k and v [start + n, kv_heads * hd] give y like q."""
    s, group, hd = len(k), heads // kv_heads, k.shape[1] // kv_heads
    n = s - start
    queries = q.reshape(n, kv_heads, group, hd).transpose(1, 2, 0, 3).reshape(kv_heads, group * n, hd)
    queries = queries * np.float32(hd**-0.5)
    keys = np.ascontiguousarray(k.reshape(s, kv_heads, hd).transpose(1, 2, 0))
    values = np.ascontiguousarray(v.reshape(s, kv_heads, hd).transpose(1, 0, 2))
    unseen = np.tile(np.arange(s) > start + np.arange(n)[:, None], (group, 1))
    y = np.empty_like(queries)
    step = max(1, CACHED // (group * n * s))
    for i in range(0, kv_heads, step):
        part = slice(i, i + step)
        scores = queries[part] @ keys[part]
        scores[:, unseen] = -np.inf
        scores -= scores.max(-1, keepdims=True)
        np.exp(scores, out=scores)
        y[part] = (scores @ values[part]) / scores.sum(-1, keepdims=True)
    back: Array = y.reshape(kv_heads, group, n, hd).transpose(2, 0, 1, 3).reshape(n, -1)
    return back


def _reference(node: Node, args: Arrays) -> Arrays:
    """The op's own, for as many rows as there are."""
    ins = tuple(TensorType(a.shape, v.type.dtype, v.type.quant) for a, v in zip(args, node.ins, strict=True))
    return node.op.reference(args, ins, node.op.results(*ins))


def loss(module: Module, tokens: Array, watch: Watch = ignore) -> float:
    """The mean of -log(probability) of each token s32[texts, n] after the first; e to this power is the perplexity."""
    total = 0.0
    for some in _some(tokens):
        logits = Reader(module, len(some), some.shape[1] - 1, watch).read(some[:, :-1])
        logits = logits - logits.max(-1, keepdims=True)
        right = np.take_along_axis(logits, some[:, 1:, None], -1)[..., 0]
        total += float((np.log(np.exp(logits).sum(-1)) - right).sum(dtype=np.float64))
    return total / tokens[:, 1:].size


def _some(tokens: Array) -> Iterator[Array]:
    return (tokens[i : i + AT_ONCE] for i in range(0, len(tokens), AT_ONCE))


def sample(module: Module, texts: int, length: int, seed: int) -> Array:
    """What the model says by itself at temperature 1: s32[texts, length], each from BOS on."""
    reader = Reader(module, texts, length)
    tokens = np.full((texts, length), BOS, np.int32)
    for i in range(1, length):
        logits = reader.read(tokens[:, i - 1 : i])[:, 0].astype(np.float64)
        sums = np.cumsum(np.exp(logits - logits.max(1, keepdims=True)), 1)
        wanted = bits(key(i, seed, 0), texts) / 2.0**32 * sums[:, -1]
        tokens[:, i] = (sums <= wanted[:, None]).sum(1)
    return tokens
