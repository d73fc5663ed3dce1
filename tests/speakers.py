"""A tiny language model with random weights and a tokenizer of its own, and what it should say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tte.frontend.decoder import Config, decoder
from tte.interp import interpret
from tte.ir import Graph, Module
from tte.language.generate import Request
from tte.language.speech import context
from tte.language.tokenizer import BOS, EOS, Tokenizer
from tte.types import Array

WORDS = (
    " ",
    "a",
    "b",
    "n",
    "an",
    "na",
    " b",
    "ban",
    "ana",
    "\n",
    "é",
    "ü",
    "日",
    "本",
    "日本",
    "",
    "an",
    "  ",
    " ban",
    "ana b",
)
TINY = Config(16, 20, 2, 4, 2, 259 + len(WORDS), 40)


def tokenizer() -> Tokenizer:
    """Words that overlap, one twice, one empty, scores that are equal."""
    pieces = [b"<unk>", b"\n<s>\n", b"\n</s>\n", *(b"<0x%02X>" % i for i in range(256)), *(w.encode() for w in WORDS)]
    scores = np.zeros(len(pieces), np.float32)
    scores[259:] = -np.asarray([i // 2 % 7 for i in range(len(WORDS))], np.float32)
    return Tokenizer(tuple(pieces), scores)


def tiny(config: Config = TINY, chunk: int = 8, seed: int = 0, biases: bool = False) -> Module:
    """Large weights, so that the tokens differ."""
    rng = np.random.default_rng(seed)
    shapes = config.weights
    if biases:
        shapes |= config.biases
    return decoder("tiny", config, {k: rng.standard_normal(s).astype(np.float32) for k, s in shapes.items()}, chunk)


def initial(module: Module) -> dict[str, Array]:
    return {s.value.name: s.init for s in module.states}


def step(
    graph: Graph, tokens: Sequence[int], start: int, states: dict[str, Array], fill: int = 0
) -> tuple[Array, dict[str, Array]]:
    """One call, in numpy: logits and states. What is no token is `fill`."""
    padded = np.full(graph.ins[0].type.size, fill, np.int32)
    padded[: len(tokens)] = tokens
    given = dict(zip((v.name for v in graph.ins), (padded, np.asarray([start, len(tokens)], np.int32)), strict=True))
    outs, states = interpret(graph, given, states)
    return outs["logits"], states


def calls(tokens: Sequence[int], chunk: int) -> Iterator[tuple[Sequence[int], int]]:
    """A prompt in chunks, each with the position of its first token."""
    return ((tokens[at : at + chunk], at) for at in range(0, len(tokens), chunk))


def prefilled(module: Module, tokens: Sequence[int]) -> tuple[Array, dict[str, Array]]:
    """Logits and states after a prompt, in numpy."""
    graph, states = module.graph("prefill"), initial(module)
    logits = np.zeros(0, np.float32)
    for part, at in calls(tokens, graph.ins[0].type.size):
        logits, states = step(graph, part, at, states, fill=at + 1)
    return logits, states


def said(module: Module, words: Tokenizer, request: Request) -> bytes:
    """What the model says to a prompt, in numpy."""
    tokens, seq = [*words.encode(request.prompt)], context(module).seq
    logits, states = prefilled(module, tokens)
    found, first = b"", len(tokens)
    while len(tokens) - first < request.tokens:
        token = request.sampler.sample(logits[0], len(tokens))
        if token in (BOS, EOS):
            break
        found += words.decode(tokens[-1], token)
        tokens.append(token)
        if len(tokens) > seq:
            break
        logits, states = step(module.graph("decode"), tokens[-1:], len(tokens) - 1, states)
    return found


def checkpoint(config: Config = TINY, seed: int = 0) -> bytes:
    """The weights of `tiny` as a file of llama2.c; an own classifier makes the number of tokens negative."""
    c, shapes = config, config.weights
    rng = np.random.default_rng(seed)
    arrays = {k: rng.standard_normal(s).astype(np.float32) for k, s in shapes.items()}
    layered = ("attention_norm", "q", "k", "v", "o", "ffn_norm", "gate", "down", "up")
    names = ["embedding", *(f"{i}.{part}" for part in layered for i in range(c.layers)), "norm"]
    vocab = c.vocab if c.tied else -c.vocab
    numbers = np.int32([c.dim, c.hidden, c.layers, c.heads, c.kv_heads, vocab, c.seq])
    tables = np.full(c.seq * c.head, np.nan, np.float32)  # must not be read
    last = [] if c.tied else [arrays["classifier"]]
    return b"".join(a.tobytes() for a in (numbers, *(arrays[n] for n in names), tables, *last))
