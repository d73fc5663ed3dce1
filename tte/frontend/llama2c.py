"""Checkpoints of llama2.c in its legacy format: seven numbers, then float32 weights without names.

Source: github.com/karpathy/llama2.c, export.py (`legacy_export`). Floor 5.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np

from tte.errors import BadModel, Unsupported
from tte.frontend.decoder import CHUNK, Config, decoder
from tte.ir import Module
from tte.types import Array, Bytes

HEADER = struct.Struct("<7i")
MAGIC = 0x616B3432  # begins the later formats
PARTS = ("attention_norm", "q", "k", "v", "o", "ffn_norm", "gate", "down", "up")  # each of all layers


def import_llama2c(path: Path, name: str, chunk: int = CHUNK, context: int | None = None) -> Module:
    """Read a checkpoint; prefill takes `chunk` tokens at once. A negative vocabulary tells of an own classifier.

    A text has `context` positions where that is less than the checkpoint's own.
    """
    data = path.read_bytes()
    if len(data) < HEADER.size:
        raise BadModel(str(path), f"holds {len(data)} bytes, too few for a checkpoint of llama2.c")
    dim, hidden, layers, heads, kv_heads, vocab, seq = HEADER.unpack_from(data)
    if dim == MAGIC:
        raise Unsupported(str(path), "is of a later format of llama2.c", "export it with --version 0")
    config = Config(dim, hidden, layers, heads, kv_heads, abs(vocab), seq, tied=vocab > 0)
    config.check(f"{path} is no checkpoint of llama2.c")
    weights = _weights(path, data, config)
    return decoder(name, replace(config, seq=min(seq, context or seq)), weights, chunk)


def _weights(path: Path, data: Bytes, config: Config) -> dict[str, Array]:
    """The arrays by the names of `Config.weights`; the tables of RoPE before the classifier are skipped."""
    one = replace(config, layers=1).weights | {"rotations": (config.seq, config.head)}  # real ones may not fit memory
    asked = HEADER.size + 4 * sum(prod(s) * (config.layers if key[0] == "0" else 1) for key, s in one.items())
    if len(data) != asked:
        what = f"holds {len(data)} bytes, but its first numbers ask for {asked}"
        raise BadModel(str(path), what, "it is cut short, or no checkpoint of llama2.c")
    order = ["embedding", *(f"{i}.{part}" for part in PARTS for i in range(config.layers)), "norm", "rotations"]
    order += [] if config.tied else ["classifier"]
    shapes = config.weights | {"rotations": one["rotations"]}
    floats, found, at = np.frombuffer(data, "<f4", offset=HEADER.size).astype(np.float32), dict[str, Array](), 0
    for key in order:
        found[key] = floats[at : at + prod(shapes[key])].reshape(shapes[key])
        at += prod(shapes[key])
    del found["rotations"]
    return found
