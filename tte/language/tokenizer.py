"""Text as tokens, and back: byte-pair encoding as llama2.c's tokenizer files say, as runtime_c/tte_tokenizer.h does it.

Source: github.com/karpathy/llama2.c, tokenizer.py and run.c. Floor 1.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from tte.errors import BadModel
from tte.types import Array, Bytes

BOS, EOS, BYTES = 1, 2, 3  # the tokens that begin and end a text, and the first of 256 that stand for a byte each
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

    @property
    def data(self) -> Bytes:
        """The bytes of its file."""
        rows = (struct.pack("<fi", s, len(p)) + p for s, p in zip(self.scores.tolist(), self.pieces, strict=True))
        return struct.pack("<i", self.longest) + b"".join(rows)

    @property
    def tables(self) -> dict[str, Array]:
        """What tte_tokenizer of runtime_c/tte_tokenizer.h points to."""
        starts = np.cumsum([0, *map(len, self.pieces)]).astype(np.int32)
        text = np.frombuffer(b"".join(self.pieces), np.uint8)
        return {"text": text, "starts": starts, "scores": self.scores, "order": self.order}

    @cached_property
    def _known(self) -> dict[Bytes, int]:
        return {self.pieces[i]: i for i in reversed(self.order.tolist())}

    def encode(self, text: Bytes) -> tuple[int, ...]:
        """BOS, then the tokens of the text with a space before it; an empty text has none."""
        found = [*self._characters(b" "), *self._characters(text)] if text else []
        scores = self.scores.tolist()

        def joined(first: int, last: int) -> list[int]:
            """What each of these tokens makes with the next one, up to `last`; -1 for nothing."""
            return [self._known.get(self.pieces[a] + self.pieces[b], -1) for a, b in pairwise(found[first : last + 1])]

        pairs = joined(0, len(found))
        while any(t >= 0 for t in pairs):
            best = max(
                (i for i, t in enumerate(pairs) if t >= 0), key=lambda i: scores[pairs[i]]
            )  # the first of equals
            found[best : best + 2] = [pairs.pop(best)]
            before = max(best - 1, 0)
            pairs[before : best + 1] = joined(before, best + 1)
        return (BOS, *found)

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


def read_tokenizer(path: Path) -> Tokenizer:
    """Read a file of llama2.c: the longest token (s32), then of each token its score (f32), length (s32) and bytes."""
    data, pieces, scores, at = path.read_bytes(), list[Bytes](), list[float](), 4
    while at < len(data):
        score, length = struct.unpack_from("<fi", data.ljust(at + 8, b"\xff"), at)
        at += 8
        if not 0 <= length <= len(data) - at or math.isnan(score):
            raise BadModel(str(path), f"token {len(pieces)} makes no sense", "give a tokenizer.bin of llama2.c")
        pieces.append(data[at : at + length])
        scores.append(score)
        at += length
    if len(pieces) < BYTES + 256:
        raise BadModel(str(path), f"holds {len(pieces)} tokens, too few", "give a tokenizer.bin of llama2.c")
    return Tokenizer(tuple(pieces), np.asarray(scores, np.float32))
