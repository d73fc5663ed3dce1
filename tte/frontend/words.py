"""Tokenizers of other tools, as far as ours can say the same: byte-pair encoding with a token for each byte.

Source: github.com/huggingface/tokenizers, models/bpe; github.com/google/sentencepiece, bpe_model.cc. Floor 3.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

import numpy as np

from tte.errors import BadModel, Unsupported
from tte.tokenizer import BYTES, Tokenizer, read_tokenizer
from tte.types import Array, Bytes

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
    """A tokenizer: a file of llama2.c, or a tokenizer.json of Hugging Face."""
    return _from_json(path) if path.suffix.lower() == ".json" else read_tokenizer(path)


def _from_json(path: Path) -> Tokenizer:
    """Merges by rank become scores: exact where each token's merges stand together, and no possible one is missing."""
    if not path.is_file():
        raise BadModel(str(path), "there is no such file")
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
    pieces = [at[i] for i in range(len(at))]
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
