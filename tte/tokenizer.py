"""Text as tokens, and back: byte-pair encoding as llama2.c's tokenizer files say, as runtime_c/tte_tokenizer.h does it.

Source: github.com/karpathy/llama2.c, tokenizer.py and run.c. Floor 1.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from tte.errors import BadModel
from tte.types import Array, Bytes

BOS, BYTES = 1, 3  # the token that begins a text, and the first of 256 that stand for a byte each
MOST_CONTINUED = 3  # bytes that may follow the first one of a character


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """The text of each token, and its score: of two neighbours, those are joined that make the best one."""

    pieces: tuple[Bytes, ...]
    scores: Array  # f32[number of pieces]

    @cached_property
    def order(self) -> Array:
        """All tokens sorted by their text, the first of equals first: s32."""
        return np.asarray(sorted(range(len(self.pieces)), key=lambda i: (self.pieces[i], i)), np.int32)

    @cached_property
    def longest(self) -> int:
        """Bytes of the longest token."""
        return max(map(len, self.pieces))

    @cached_property
    def _known(self) -> dict[Bytes, int]:
        return {self.pieces[i]: i for i in reversed(self.order.tolist())}

    def encode(self, text: Bytes) -> tuple[int, ...]:
        """BOS, then the tokens of the text with a space before it; an empty text has none."""
        found = [*self._characters(b" "), *self._characters(text)] if text else []
        while True:
            joined = (self._known.get(self.pieces[a] + self.pieces[b], -1) for a, b in pairwise(found))
            best = max(((self.scores[t], -i, t) for i, t in enumerate(joined) if t >= 0), default=None)
            if best is None:
                return (BOS, *found)
            found[-best[1] : 2 - best[1]] = [best[2]]

    def decode(self, before: int, token: int) -> Bytes:
        """The text that a token adds after another; the space that begins a text is none of it."""
        if BYTES <= token < BYTES + 256:
            return bytes([token - BYTES])
        piece = self.pieces[token]
        return piece[1:] if before == BOS and piece[:1] == b" " else piece

    def text(self, tokens: Sequence[int]) -> Bytes:
        """What tokens after BOS say."""
        return b"".join(self.decode(a, b) for a, b in zip((BOS, *tokens), tokens, strict=False))

    def _characters(self, text: Bytes) -> list[int]:
        """A token for each character of UTF-8, or where there is none, for each of its bytes."""
        found: list[int] = []
        at = 0
        while at < len(text):
            end = at + 1
            while end < len(text) and end - at <= MOST_CONTINUED and text[end] & 0xC0 == 0x80:
                end += 1
            whole = self._known.get(text[at:end])
            found += [BYTES + byte for byte in text[at:end]] if whole is None else [whole]
            at = end
        return found


def read_tokenizer(path: Path, vocab: int) -> Tokenizer:
    """Read a file of llama2.c: the longest token (s32), then of each token its score (f32), length (s32) and bytes."""
    return parse_tokenizer(str(path), path.read_bytes(), vocab)


def parse_tokenizer(where: str, data: Bytes, vocab: int) -> Tokenizer:
    """The tokenizer in the bytes of a file, for a model that knows so many tokens."""
    pieces, scores, at = list[Bytes](), list[float](), 4
    while at < len(data) and len(pieces) <= vocab:
        score, length = struct.unpack_from("<fi", data.ljust(at + 8, b"\xff"), at)
        at += 8
        if not 0 <= length <= len(data) - at or score != score:
            raise BadModel(where, f"token {len(pieces)} is cut short", "give a tokenizer.bin of llama2.c")
        pieces.append(data[at : at + length])
        scores.append(score)
        at += length
    if len(pieces) != vocab or vocab < BYTES + 256:
        known = f"more than {vocab}" if len(pieces) > vocab else f"{len(pieces)}"
        raise BadModel(where, f"holds {known} tokens, the model knows {vocab}", "give the tokenizer of this model")
    return Tokenizer(tuple(pieces), np.asarray(scores, np.float32))
