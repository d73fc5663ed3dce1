"""What weights of four bits cost stories260K's perplexity on texts of its own; measured, in numpy.

    python benchmarks/four_bits.py [--models FOLDER] [--texts 64] [--group 32 ...]

Activations have 8 bits and a scale for each row. "float scales" rounds each group to 4 bits with a float scale and a
zero point; "integer steps" is what linear_groups computes. The exit code is 1 if the latter is worse by over 0.5% of
the perplexity in f32. Texts are drawn from the f32 model by seed 0.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from tte import progressive
from tte.frontend.decoder import Config
from tte.frontend.llama2c import HEADER, import_llama2c
from tte.types import Array

BAR = 0.5  # percent
Rounded = Callable[[Array], Array]


class Model:
    """The transformer, many texts at once, with its matrices rounded; `rows` says whether activations are as well."""

    def __init__(self, checkpoint: Path, rounded: Rounded, rows: bool, texts: int) -> None:
        dim, hidden, layers, heads, kv_heads, vocab, seq = HEADER.unpack_from(checkpoint.read_bytes())
        self.c, self.rows = Config(dim, hidden, layers, heads, kv_heads, vocab, seq), rows
        states = import_llama2c(checkpoint, "m").states
        self.w = {s.value.source.removesuffix("_w"): s.init for s in states if s.storage == "flash"}
        matrices = [k for k in self.w if k[:-1] in {"q", "k", "v", "o", "gate", "down", "up"}]
        self.w |= {k: rounded(self.w[k]) for k in matrices} | {"classifier": rounded(self.w["embedding"])}
        self.keys, self.values = (np.zeros((layers, texts, seq, kv_heads, self.c.head), np.float32) for _ in "kv")

    def linear(self, key: str, x: Array) -> Array:
        """x . w^T, after x was rounded row by row."""
        if self.rows:
            by = np.maximum(np.abs(x).max(-1, keepdims=True), 1e-30) / np.float32(127)
            x = np.rint(x / by) * by
        return np.asarray(x @ self.w[key].T)

    def norm(self, key: str, x: Array) -> Array:
        """Divided by the root mean square."""
        return np.asarray(x / np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(1e-5)) * self.w[key])

    def turned(self, x: Array, at: int) -> Array:
        """Neighbours as complex numbers, which a rotation multiplies: x[texts, n, heads, head]."""
        head = self.c.head
        angles = (at + np.arange(x.shape[1]))[:, None] * 10000.0 ** (-np.arange(0, head, 2) / head)
        z = np.ascontiguousarray(x).view(np.complex64) * np.exp(1j * angles).astype(np.complex64)[:, None]
        return np.asarray(z.view(np.float32))

    def attention(self, i: int, x: Array, at: int) -> Array:
        """Of rows x[texts, n, dim] from position `at` on."""
        c, (b, n, _) = self.c, x.shape
        q = self.turned(self.linear(f"q{i}", x).reshape(b, n, c.heads, c.head), at)
        keys, values = (self.linear(f"{p}{i}", x).reshape(b, n, c.kv_heads, c.head) for p in "kv")
        self.keys[i, :, at : at + n], self.values[i, :, at : at + n] = self.turned(keys, at), values
        seen = [a[i, :, : at + n].repeat(c.heads // c.kv_heads, 2) for a in (self.keys, self.values)]
        scores = np.einsum("bihd,bjhd->bhij", q, seen[0]) / np.float32(np.sqrt(c.head))
        scores += np.where(np.arange(at + n) > at + np.arange(n)[:, None], -np.float32(np.inf), np.float32(0))
        e = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = np.einsum("bhij,bjhd->bihd", e / e.sum(-1, keepdims=True), seen[1])
        return self.linear(f"o{i}", mixed.reshape(b, n, -1))

    def logits(self, tokens: Array, at: int) -> Array:
        """Of all tokens s32[texts, n], which stand from position `at` on."""
        x = self.w["embedding"][tokens]
        for i in range(self.c.layers):
            x = x + self.attention(i, self.norm(f"attention_norm{i}", x), at)
            y = self.norm(f"ffn_norm{i}", x)
            gate = self.linear(f"gate{i}", y)
            x = x + self.linear(f"down{i}", gate / (1 + np.exp(-gate)) * self.linear(f"up{i}", y))
        return self.linear("classifier", self.norm("norm", x))

    def drawn(self, texts: int, length: int) -> Array:
        """Texts of the model's own, which begin with token 1."""
        rng, tokens = np.random.default_rng(0), np.ones((texts, length), np.int32)
        for at in range(length - 1):
            logits = self.logits(tokens[:, at : at + 1], at)[:, 0]
            tokens[:, at + 1] = (logits + rng.gumbel(size=logits.shape)).argmax(-1)
        return tokens

    def perplexity(self, tokens: Array) -> float:
        """Of each token after the first."""
        logits = self.logits(tokens[:, :-1], 0).astype(np.float64)
        logits -= logits.max(-1, keepdims=True)
        found = np.take_along_axis(logits, tokens[:, 1:, None], -1)[..., 0] - np.log(np.exp(logits).sum(-1))
        return float(np.exp(-found.mean()))


def eight_bits(w: Array) -> Array:
    """A scale for each row."""
    by = np.abs(w).max(1, keepdims=True) / np.float32(127)
    return np.asarray(np.rint(w / by) * by)


def float_scales(w: Array, group: int) -> Array:
    """Four bits, a float scale and an integer zero point for each group."""
    n, k = w.shape
    groups = np.pad(w, ((0, 0), (0, -k % group))).reshape(n, -1, group)
    low, high = np.minimum(groups.min(2, keepdims=True), 0), np.maximum(groups.max(2, keepdims=True), 0)
    scale = np.maximum((high - low) / np.float32(15), np.float32(1e-30))
    zero = np.rint(-low / scale)
    back = (np.clip(np.rint(groups / scale) + zero, 0, 15) - zero) * scale
    return np.asarray(back.reshape(n, -1)[:, :k])


def integer_steps(w: Array, group: int) -> Array:
    """As linear_groups has them."""
    made = progressive.quantized(w, group)
    return np.asarray(made.bytes_in_s8.astype(np.float32) * made.by[:, None])


def main() -> None:
    """Print a line for each way of rounding."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=Path(__file__).parents[2] / "shared" / "models")
    parser.add_argument("--texts", type=int, default=64)
    parser.add_argument("--group", type=int, nargs="+", default=[16, 32, 64])
    given = parser.parse_args()
    path, n = given.models / "stories260K.bin", given.texts
    plain = Model(path, np.asarray, False, n)
    tokens = plain.drawn(n, 256)
    base = plain.perplexity(tokens)

    def rise(rounded: Rounded) -> float:
        return 100 * (Model(path, rounded, True, n).perplexity(tokens) / base - 1)

    print(f"perplexity in f32: {base:.4f} on {n} texts (measured); W8A8 with a scale per row: {rise(eight_bits):+.2f}%")
    worst = 0.0
    for group in given.group:
        floats = rise(partial(float_scales, group=group))
        steps = rise(partial(integer_steps, group=group))
        worst = max(worst, steps - floats)
        print(f"W4A8 in groups of {group:3}: float scales {floats:+.2f}%, integer steps {steps:+.2f}%")
    sys.exit(worst > BAR)


if __name__ == "__main__":
    main()
