"""What a language model is to those who let it speak: the sizes of its text, its tokenizer. Floor 4."""

from __future__ import annotations

from dataclasses import dataclass

from tte.errors import BadModel
from tte.ir import Module
from tte.language.tokenizer import Tokenizer
from tte.ops.cache_codes import CacheCodes
from tte.ops.cache_rows import CacheRows

TOKENS = "tokenizer.bin"  # in a project


@dataclass(frozen=True, slots=True)
class Context:
    """Tokens that `prefill` takes at once, that a text may have in all, and that the model knows."""

    chunk: int
    seq: int
    vocab: int


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """A language model and its tokenizer."""

    context: Context
    tokenizer: Tokenizer

    @property
    def most_bytes(self) -> int:
        """Bytes beyond which no text fits the context."""
        return self.context.seq * self.tokenizer.longest


def speech(module: Module, tokenizer: Tokenizer) -> Speech:
    """The model with a tokenizer, which must know the same number of tokens."""
    found, known = context(module), len(tokenizer.pieces)
    if found.vocab != known:
        raise BadModel("the tokenizer", f"holds {known} tokens, the model knows {found.vocab}", "give the model's own")
    return Speech(found, tokenizer)


def context(module: Module) -> Context:
    """The sizes of a module with `prefill` and `decode` (tte/frontend/decoder.py); BadModel if it is no such."""
    if not speaks(module):
        raise BadModel(module.name, "is no language model: it has no graph prefill with a cache")
    graph = module.graph("prefill")
    cache = next(n.types[0][0] for n in graph.nodes if isinstance(n.op, CacheRows | CacheCodes))
    return Context(graph.ins[0].type.size, cache.shape[0], graph.outs[0].type.shape[-1])


def speaks(module: Module) -> bool:
    """True if it is a language model."""
    return any(isinstance(n.op, CacheRows | CacheCodes) for g in module.graphs if g.name == "prefill" for n in g.nodes)
