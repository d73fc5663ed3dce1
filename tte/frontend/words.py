"""Tokenizers of other tools, as far as ours can say the same: byte-pair encoding with a token for each byte.

Source: github.com/huggingface/tokenizers, models/bpe; github.com/google/sentencepiece, bpe_model.cc and
sentencepiece_model.proto. Floor 3.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

import numpy as np

from tte.errors import BadModel, Unsupported
from tte.language.tokenizer import BYTES, Tokenizer, read_tokenizer
from tte.types import Array, Bytes

Field: TypeAlias = int | Bytes
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6  # kinds of pieces in sentencepiece
BPE = 2  # a kind of its models
SPACE = "\u2581"  # what a space is in their pieces
FIRST = BYTES + 256  # the first token that is neither special nor of a byte
BYTE_PIECES = [f"<0x{i:02X}>" for i in range(256)]
# A space before the text, and each space as SPACE: by a normalizer, or by what splits the text but doesn't here.
PREPENDED = {
    "type": "Sequence",
    "normalizers": [
        {"type": "Prepend", "prepend": SPACE},
        {"type": "Replace", "pattern": {"String": " "}, "content": SPACE},
    ],
}
SPLITTERS = [
    {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": False}
    for scheme in ("first", "always")
]


def read_words(path: Path) -> Tokenizer:
    """A tokenizer: a file of llama2.c, a tokenizer.json of Hugging Face, or a .model of sentencepiece."""
    if not path.is_file():
        raise BadModel(str(path), "there is no such file")
    read = {".json": _from_json, ".model": _from_sentencepiece}.get(path.suffix.lower(), read_tokenizer)
    return read(path)


def _from_json(path: Path) -> Tokenizer:
    """Merges by rank become scores: exact where each token's merges stand together, and no possible one is missing."""
    try:
        found: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadModel(str(path), "is no tokenizer.json") from error
    match found:
        case {
            "model": {"type": "BPE", "byte_fallback": True, "vocab": dict(vocab), "merges": list(merges), **rest},
            **whole,
        }:
            pass
        case _:
            raise Unsupported(str(path), "is not of byte-pair encoding with a token for each byte that is no character")
    if any(rest.get(key) for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "ignore_merges")):
        raise Unsupported(str(path), "encodes in a way of its own")
    normalizer, splitter = whole.get("normalizer"), whole.get("pre_tokenizer")
    if not ((normalizer == PREPENDED and splitter is None) or (normalizer is None and splitter in SPLITTERS)):
        raise Unsupported(str(path), "does not put one space before the text and keep the others")
    added = whole.get("added_tokens", [])
    pieces = _ordered(path, vocab)
    if not isinstance(added, list) or any(
        not isinstance(one, dict) or one.get("id") not in range(BYTES) for one in added
    ):
        raise Unsupported(str(path), "has tokens beside those of its text")
    return Tokenizer(tuple(_texts(pieces)), _scores(path, pieces, [_pair(path, one) for one in merges]))


def _ordered(path: Path, vocab: dict[str, object]) -> list[str]:
    """The pieces by their tokens, which must be all from 0 on, special ones and bytes where ours are."""
    at = {i: piece for piece, i in vocab.items() if type(i) is int}
    if at.keys() != set(range(len(vocab))):
        raise BadModel(str(path), "does not number its tokens from 0 on")
    return _placed(path, [at[i] for i in range(len(at))])


def _placed(path: Path, pieces: list[str]) -> list[str]:
    """The pieces, if those of bytes are where ours are."""
    if pieces[BYTES:FIRST] != BYTE_PIECES:
        raise Unsupported(str(path), f"does not have its bytes as tokens {BYTES} to {FIRST - 1}")
    return pieces


def _texts(pieces: list[str]) -> Iterable[Bytes]:
    """What each token says; special ones such that no text becomes them."""
    for i, piece in enumerate(pieces):
        yield (f"\n{piece}\n" if i < BYTES else piece.replace(SPACE, " ")).encode(errors="replace")


def _pair(path: Path, merge: object) -> tuple[str, str]:
    """Of a merge, which is "a b" or ["a", "b"]."""
    match merge.split(" ") if isinstance(merge, str) else merge:
        case [str(a), str(b)]:
            return a, b
    raise BadModel(str(path), "has a merge that is not of two pieces")


def _scores(path: Path, pieces: list[str], merges: list[tuple[str, str]]) -> Array:
    """The better, the sooner a token is merged."""
    known = {piece: i for i, piece in enumerate(pieces) if i >= FIRST}
    ranked = [known[a + b] for a, b in merges if a + b in known]
    blocks = [token for token, _ in groupby(ranked)]
    possible = {
        (piece[:k], piece[k:])
        for piece in known
        for k in range(1, len(piece))
        if {piece[:k], piece[k:]} <= known.keys()
    }
    if len(blocks) != len(set(blocks)) or possible != {(a, b) for a, b in merges if a + b in known}:
        raise Unsupported(str(path), "merges pieces by another rule than how good the result is")
    scores = np.full(len(pieces), -len(blocks), np.float32)
    scores[blocks] = -np.arange(len(blocks), dtype=np.float32)
    return scores


def _from_sentencepiece(path: Path) -> Tokenizer:
    """Scores as they are: ours joins what theirs does."""
    pieces, scores, kinds = list[str](), list[float](), list[int]()
    settings: dict[tuple[int, int], Field] = {}
    for number, part in _fields(path, path.read_bytes()):
        held = dict(_fields(path, part)) if isinstance(part, bytes) else {}
        if number == 1:
            text, score = held.get(1, b""), held.get(2, b"\0\0\0\0")
            if not isinstance(text, bytes) or not isinstance(score, bytes) or len(score) != 4:
                raise _broken(path)
            pieces.append(text.decode(errors="replace"))
            scores.append(struct.unpack("<f", score)[0])
            kinds.append(_number(held.get(3, 1)))
        else:
            settings |= {(number, key): value for key, value in held.items()}
    if _number(settings.get((2, 3), 1)) != BPE or not settings.get((2, 35)):
        raise Unsupported(str(path), "is not of byte-pair encoding with a token for each byte that is no character")
    if not settings.get((3, 3), 1) or settings.get((3, 4), 1) or settings.get((3, 2)):
        raise Unsupported(str(path), "does not put one space before the text and keep the others")
    if kinds != [UNKNOWN, CONTROL, CONTROL, *[BYTE] * 256, *[NORMAL] * (len(kinds) - FIRST)]:
        raise Unsupported(str(path), "has tokens beside those of its text")
    if any(map(math.isnan, scores)):
        raise _broken(path)
    return Tokenizer(tuple(_texts(_placed(path, pieces))), np.asarray(scores, np.float32))


def _fields(path: Path, data: Bytes) -> Iterator[tuple[int, Field]]:
    """The numbered fields of a message of protobuf; numbers, or bytes."""
    at = 0

    def number() -> int:
        nonlocal at
        found = shift = 0
        while shift < 70:
            if at >= len(data):
                raise _broken(path)
            found |= (data[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if data[at - 1] < 0x80:
                return found
        raise _broken(path)

    while at < len(data):
        key, kind = divmod(number(), 8)
        if kind == 0:
            yield key, number()
            continue
        size = number() if kind == 2 else {1: 8, 5: 4}.get(kind, len(data))
        if size > len(data) - at:
            raise _broken(path)
        yield key, data[at : at + size]
        at += size


def _number(field: Field) -> int:
    return field if isinstance(field, int) else -1


def _broken(path: Path) -> BadModel:
    return BadModel(str(path), "is no model of sentencepiece, or cut short")
