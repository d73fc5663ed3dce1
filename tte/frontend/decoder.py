"""Decoder-only transformers: from a configuration and named weights to a module of `prefill` and `decode`. Floor 4."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from tte.errors import BadModel, Unsupported
from tte.ir import Builder, Graph, Module
from tte.op import Op
from tte.ops.add import Add
from tte.ops.attention import Attention
from tte.ops.cache_rows import CacheRows
from tte.ops.gather import Gather
from tte.ops.gelu import Gelu
from tte.ops.layer_norm import LayerNorm
from tte.ops.linear import Linear
from tte.ops.mul import Mul
from tte.ops.pick_row import PickRow
from tte.ops.rms_norm import RmsNorm
from tte.ops.rope import Rope
from tte.ops.silu import Silu
from tte.types import Array, DType, TensorType, Value

CHUNK = 256  # tokens that prefill takes at once, where nothing else is asked
SPAN = TensorType((2,), DType.S32)


@dataclass(frozen=True, slots=True)
class Config:
    """The shape of a transformer: `hidden` is the width between the two halves of a feed-forward layer.

    `rope` tells which elements of a head are turned together: neighbours (Llama's own order) or the two halves
    (Hugging Face's). With `tied` the embedding is also the classifier. A head has `head_dim` elements, dim / heads
    where that is 0.
    """

    dim: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    vocab: int
    seq: int
    eps: float = 1e-5
    rope: Literal["pairs", "halves"] = "pairs"
    theta: float = 10000.0
    norm: Literal["rms", "layer"] = "rms"
    activation: Literal["swiglu", "gelu"] = "swiglu"
    tied: bool = True
    head_dim: int = 0

    @property
    def head(self) -> int:
        """Elements of a head."""
        return self.head_dim or self.dim // self.heads

    @property
    def q_dim(self) -> int:
        """Elements of all queries of a position."""
        return self.heads * self.head

    @property
    def kv_dim(self) -> int:
        """Elements of all keys, or values, of a position."""
        return self.kv_heads * self.head

    @property
    def weights(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the weights that a model must have."""
        d, h, q, kv = self.dim, self.hidden, self.q_dim, self.kv_dim
        found: dict[str, tuple[int, ...]] = {"embedding": (self.vocab, d)}
        for i in range(self.layers):
            found |= {f"{i}.attention_norm": (d,), f"{i}.q": (q, d), f"{i}.k": (kv, d), f"{i}.v": (kv, d)}
            found |= {f"{i}.o": (d, q), f"{i}.ffn_norm": (d,), f"{i}.up": (h, d), f"{i}.down": (d, h)}
            found |= {f"{i}.gate": (h, d)} if self.activation == "swiglu" else {}
        return found | {"norm": (d,)} | ({} if self.tied else {"classifier": (self.vocab, d)})

    @property
    def biases(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of what may stand beside the weights."""
        return {f"{name}.bias": shape[:1] for name, shape in self.weights.items() if name != "embedding"}

    def check(self, where: str) -> None:
        """Raise BadModel unless the numbers fit each other."""
        for name in ("dim", "hidden", "layers", "heads", "kv_heads", "vocab", "seq"):
            if getattr(self, name) < 1:
                raise BadModel(where, f"{name} is {getattr(self, name)}, which must be at least 1")
        uneven = not self.head_dim and self.dim % self.heads
        if uneven or self.heads % self.kv_heads or self.head % 2 or self.head < 0:
            what = f"dim {self.dim} in {self.heads} heads that share {self.kv_heads} of keys is not possible"
            raise BadModel(where, what, "heads divide dim, kv_heads divide heads, and a head is even")


def decoder(
    name: str,
    config: Config,
    weights: Mapping[str, Array],
    chunk: int = CHUNK,
    called: Mapping[str, str] = MappingProxyType({}),
) -> Module:
    """The module of a model, whose weights (f32) are named and shaped as `Config.weights` and `Config.biases` say.

    Errors call a weight as `called` does, if it stands there.

    prefill(tokens s32[c], where s32[2]) and decode(token s32[1], where s32[2]) return logits f32[1,vocab], of the last
    of the tokens: `where` is (position of the first, how many count). `chunk` is c, at most as long as the context.
    Both graphs read and write the same caches of keys and values.
    """
    config.check(name)
    if chunk < 1:
        raise BadModel("--chunk", f"is {chunk}, which must be at least 1")
    states = Builder("states")
    values = dict(_constants(name, config, weights, states, called))
    cache = TensorType((config.seq, config.kv_dim), DType.F32)
    for i in range(config.layers):
        for kind in ("keys", "values"):
            values[f"{i}.{kind}"] = states.state(f"{kind}{i}", cache, np.zeros(cache.shape, np.float32))
    lengths = {"prefill": min(chunk, config.seq), "decode": 1}
    graphs = (_Writer(graph, n, config, values, states).graph() for graph, n in lengths.items())
    return Module(name, tuple(states.states), tuple(graphs))


def rotations(config: Config) -> Array:
    """The table of Rope, f32[seq, head / 2, 2]: cosine and sine of position * theta**(-2j / head), in float64."""
    turns = config.theta ** (-2.0 * np.arange(config.head // 2) / config.head)
    angles = np.arange(config.seq)[:, None] * turns
    return np.stack([np.cos(angles), np.sin(angles)], -1).astype(np.float32)


def _constants(
    name: str, config: Config, weights: Mapping[str, Array], into: Builder, called: Mapping[str, str]
) -> list[tuple[str, Value]]:
    """Weights, biases and rotations as states in flash, after their shapes were checked."""
    shapes = config.weights
    biases = config.biases
    if missing := shapes.keys() - weights.keys():
        raise BadModel(name, f"the weight {min(missing)} is missing")
    if unknown := weights.keys() - shapes.keys() - biases.keys():
        raise Unsupported(name, f"the weight {min(unknown)} has no place in this kind of model")
    arrays = {**weights, "rotations": rotations(config)}
    wanted: dict[str, tuple[int, ...]] = shapes | biases | {"rotations": arrays["rotations"].shape}
    found = []
    for key in (k for k in wanted if k in arrays):
        array, known = arrays[key], called.get(key, key)
        if array.shape != wanted[key] or array.dtype != np.float32:
            raise BadModel(name, f"{known} is {array.dtype}{list(array.shape)}, not float32{list(wanted[key])}")
        if not np.isfinite(array).all():
            raise BadModel(name, f"{known} holds numbers that are not finite")
        kind = "b" if key in biases else "w" if key in shapes else ""
        told = "_".join(filter(None, (_told(key.removesuffix(".bias")), kind)))
        found.append((key, into.constant(told, TensorType(array.shape, DType.F32), array)))
    return found


def _told(key: str) -> str:
    """The key of a weight as a name in C: `0.q` is q0."""
    layer, dot, part = key.partition(".")
    return part + layer if dot else key


class _Writer:
    """One of the two graphs, for `n` tokens."""

    def __init__(self, name: str, n: int, config: Config, values: Mapping[str, Value], states: Builder) -> None:
        self.config, self.values = config, values
        self.b = Builder(name, states.states)
        self.tokens = self.b.input("token" if n == 1 else "tokens", TensorType((n,), DType.S32))
        self.span = self.b.input("where", SPAN)
        self.updates: list[tuple[Value, Value]] = []

    def graph(self) -> Graph:
        """The whole model."""
        (x,) = self.b.emit(Gather(), self.values["embedding"], self.tokens, name="x")
        for i in range(self.config.layers):
            x = self.one(Add(), x, self.attention(i, self.norm(f"{i}.attention_norm", x)))
            x = self.one(Add(), x, self.feed_forward(i, self.norm(f"{i}.ffn_norm", x)))
        last = self.norm("norm", self.one(PickRow(), x, self.span))
        key = "embedding" if self.config.tied else "classifier"
        (logits,) = self.b.emit(Linear(), last, self.values[key], *self.bias("classifier"), name="logits")
        return self.b.finish(logits, updates=self.updates)

    def attention(self, i: int, x: Value) -> Value:
        """Layer i's attention, over all positions so far."""
        c = self.config
        q, k, v = (self.linear(f"{i}.{part}", x) for part in "qkv")
        rope, table = Rope(c.head, c.rope), self.values["rotations"]
        q, k = (self.one(rope, part, table, self.span) for part in (q, k))
        keys, values = self.cached(f"{i}.keys", k), self.cached(f"{i}.values", v)
        return self.linear(f"{i}.o", self.one(Attention(c.heads, c.kv_heads), q, keys, values, self.span))

    def cached(self, key: str, rows: Value) -> Value:
        """A cache after the rows of these tokens were put in."""
        new = self.one(CacheRows(), self.values[key], rows, self.span)
        self.updates.append((self.values[key], new))
        return new

    def feed_forward(self, i: int, x: Value) -> Value:
        """Layer i's two halves, and what is between them."""
        if self.config.activation == "gelu":
            return self.linear(f"{i}.down", self.one(Gelu(), self.linear(f"{i}.up", x)))
        gate = self.one(Silu(), self.linear(f"{i}.gate", x))
        return self.linear(f"{i}.down", self.one(Mul(), gate, self.linear(f"{i}.up", x)))

    def norm(self, key: str, x: Value) -> Value:
        """The normalisation of that name."""
        if self.config.norm == "rms":
            return self.one(RmsNorm(self.config.eps), x, self.values[key])
        return self.one(LayerNorm(self.config.eps), x, self.values[key], *self.bias(key))

    def linear(self, key: str, x: Value) -> Value:
        """x . w^T, and the bias where there is one."""
        (y,) = self.b.emit(Linear(), x, self.values[key], *self.bias(key), name=_told(key))
        return y

    def bias(self, key: str) -> tuple[Value, ...]:
        """The bias beside a weight, if the model has it."""
        found = self.values.get(f"{key}.bias")
        return () if found is None else (found,)

    def one(self, op: Op, *ins: Value) -> Value:
        """The result of an op that has one."""
        (y,) = self.b.emit(op, *ins)
        return y
