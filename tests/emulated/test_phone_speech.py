"""A language model whose matrix products are in s8 speaks on phones, the products on the npu, what it says in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import usable
from speakers import said, tiny, tokenizer

from tte.driver import Options, compile_model
from tte.interp import interpret
from tte.ir import Graph, Module, Node, State
from tte.language.generate import Request, generate
from tte.language.sampler import Sampler
from tte.language.speech import speech
from tte.language.tokenizer import read_tokenizer
from tte.load import Lengths, load_model
from tte.ops.linear import Linear
from tte.ops.quantize import Quantize
from tte.running.emulate import build
from tte.types import Array, DType, Quant, TensorType, Value

PHONES = ("phone-host", "phone-npu")


def in_s8(module: Module, tokens: Sequence[int]) -> Module:
    """Every product of floats as one of s8, with the scales that these tokens, not more than a chunk, give."""
    states, inits = {s.value.name: s for s in module.states}, {s.value.name: s.init for s in module.states}
    seen = largest(module.graph("prefill"), inits, tokens)
    graphs = []
    for g in module.graphs:
        nodes: list[Node] = []
        for node in g.nodes:
            if node.op != Linear():
                nodes.append(node)
                continue
            x, w = node.ins
            w8, b = weights(states[w.name])
            for s in (w8, b):
                states[s.value.name] = s
            q = Quant((max(seen[w.name], 1e-3) / 127,), 0)
            x8 = Value(f"{node.outs[0].name}_x", TensorType(x.type.shape, DType.S8, q))
            nodes.append(Node(Quantize(q), (x,), (x8,)))
            nodes.append(Node(Linear(), (x8, w8.value, b.value), node.outs, node.source))
        graphs.append(replace(g, nodes=tuple(nodes)))
    return replace(module, states=tuple(states.values()), graphs=tuple(graphs))


def weights(state: State) -> tuple[State, State]:
    """A matrix in s8 with a scale for each row, and a bias of zeros."""
    scale = np.abs(state.init).max(1) / np.float32(127)
    q = np.rint(state.init / scale[:, None]).astype(np.int8)
    name, n = state.value.name, len(q)
    w = Value(f"{name}_s8", TensorType(q.shape, DType.S8, Quant(tuple(scale.tolist()), 0, 0)))
    b = Value(f"{name}_none", TensorType((n,), DType.S32))
    return State(w, q), State(b, np.zeros(n, np.int32))


def largest(graph: Graph, inits: dict[str, Array], tokens: Sequence[int]) -> dict[str, float]:
    """By weight, the largest magnitude of what it is multiplied with."""
    products = [p for p in graph.nodes if p.op == Linear()]
    shown = replace(graph, outs=tuple(p.ins[0] for p in products), updates=())
    chunk, n = graph.ins[0].type.size, len(tokens)
    arrays = np.asarray([*tokens, *[0] * (chunk - n)], np.int32), np.asarray([0, n], np.int32)
    outs, _ = interpret(shown, dict(zip((v.name for v in graph.ins), arrays, strict=True)), inits)
    return {p.ins[1].name: float(np.abs(outs[p.ins[0].name])[:n].max()) for p in products}


@pytest.mark.parametrize("sanitize", [False, True])
@pytest.mark.parametrize("name", PHONES)
def test_what_is_said(name: str, sanitize: bool, tmp_path: Path) -> None:
    """Prompts of one chunk and of more, greedy and drawn."""
    board, module, words = usable(name), in_s8(tiny(), range(3, 59, 7)), tokenizer()
    compiled = compile_model(module, board, Options(tokenizer=words))
    compiled.write(tmp_path)
    for function in compiled.program.functions:
        labels = {c.unit: {d.node.op.label() for d in function.calls if d.unit == c.unit} for c in function.calls}
        assert labels["npu"] == {"linear"}
        assert "linear" not in labels["cpu"]
    elf, model = build(tmp_path, board, sanitize), speech(module, words)
    for prompt, tokens, sampler in (("banana 日本 z".encode(), 5, Sampler()), (b"ban", 12, Sampler(1.5, 0.95, 3))):
        request = Request(prompt, tokens, sampler)
        reply = b"".join(generate(elf, board, model, request))
        assert reply == said(module, words, request)
        assert reply


@pytest.mark.full
@pytest.mark.parametrize("name", PHONES)
def test_stories(name: str, shared: Path, tmp_path: Path) -> None:
    """stories260K with its products in s8."""
    board = usable(name)
    words = read_tokenizer(shared / "models" / "tok512.bin")
    text = words.encode(b"Once upon a time, there was a little girl named Lily.")
    module = in_s8(load_model(shared / "models" / "stories260K.bin", Lengths(32)), text[:32])
    compile_model(module, board, Options(tokenizer=words)).write(tmp_path)
    request = Request(b"", 40, Sampler())
    reply = b"".join(generate(build(tmp_path, board), board, speech(module, words), request))
    assert reply == said(module, words, request)
    assert reply.startswith(b"Once upon a time, there was a little")
