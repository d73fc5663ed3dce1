"""Language models as programs of torch.export (.pt2), which must carry their config.json.

What is compiled are the graphs of tte/frontend/decoder.py with the program's weights; that they compute what the
program does is not taken on trust: both read some tokens here, and must say the same. Floor 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tte.errors import BadModel, TteError, Unsupported
from tte.frontend.decoder import CHUNK
from tte.frontend.huggingface import CONFIG, named, plan
from tte.interp import interpret
from tte.ir import Module
from tte.types import Array

CARRY = 'torch.export.save(program, "m.pt2", extra_files={"config.json": text})'
READ = 8  # tokens that program and graphs are compared on
# Of the largest logit: sums in another order at single precision; half precision rounds every step to 8 bits, so that
# only coarse differences show.
CLOSE, CLOSE_IN_HALVES = 1e-3, 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """What a .pt2 holds: its config.json, tensors by name (f32), and its logits f32[n, vocab] for tokens s64[1, n]."""

    config: str
    tensors: dict[str, Array]
    tokens: Array
    logits: Array
    halves: bool


def import_exported(path: Path, name: str, chunk: int = CHUNK, context: int | None = None) -> Module:
    """Read a program whose one input are tokens [1, n], and whose first output are logits [1, n, vocab]."""
    program = _load(path)
    asked = plan(path / CONFIG, program.config, context)
    module = named(path, name, asked, program.tensors, chunk)
    _compare(path, module, program, min(READ, asked.config.seq))
    return module


def _load(path: Path) -> Program:
    try:
        import torch  # noqa: PLC0415 - an extra, and slow
    except ImportError as error:
        raise TteError(str(path), "is read by torch, which is not installed", "pip install 'tte[torch]'") from error
    extra = {CONFIG: ""}
    try:
        found = torch.export.load(path, extra_files=extra)
    except Exception as error:  # of all kinds, by what is broken
        raise BadModel(str(path), "is no program of torch.export that this torch can read") from error
    if not extra[CONFIG]:
        raise BadModel(str(path), f"carries no {CONFIG}", CARRY)
    args, kwargs = found.example_inputs or ((), {})
    given = [*args, *kwargs.values()]
    if len(given) != 1 or not isinstance(given[0], torch.Tensor) or given[0].dtype != torch.int64 or given[0].ndim != 2:
        raise Unsupported(str(path), "must take tokens [1, n] and nothing else", "export a module that returns logits")
    tensors = {k: v.detach() for k, v in found.state_dict.items()}
    size = next((len(v) for k, v in tensors.items() if k.endswith("embed_tokens.weight")), 1)
    tokens = torch.arange(given[0].numel()).reshape(given[0].shape) * 7919 % size
    try:
        with torch.no_grad():
            said = found.module()(*([tokens] if args else []), **dict.fromkeys(kwargs, tokens))
    except Exception as error:  # the program's own
        raise BadModel(str(path), "does not run on tokens of its own shape") from error
    while isinstance(said, tuple | list | dict):
        said = next(iter(said.values() if isinstance(said, dict) else said), None)
    if not isinstance(said, torch.Tensor) or said.ndim != 3:
        raise Unsupported(str(path), "does not give logits [1, n, vocab] first", "export a module that returns logits")
    halves = said.dtype != torch.float32
    return Program(
        extra[CONFIG],
        {k: v.float().numpy() for k, v in tensors.items()},
        tokens.numpy(),
        said[0].float().numpy(),
        halves,
    )


def _compare(path: Path, module: Module, program: Program, count: int) -> None:
    """Raise Unsupported unless the graphs and the program say the same after each of the first tokens."""
    graph, most = module.graph("decode"), CLOSE_IN_HALVES if program.halves else CLOSE
    states = {s.value.name: s.init for s in module.states}
    for i, token in enumerate(program.tokens[0, :count].tolist()):
        given = {"token": np.array([token], np.int32), "where": np.array([i, 1], np.int32)}
        outs, states = interpret(graph, given, states)
        want = program.logits[i]
        if want.shape != outs["logits"][0].shape or np.abs(outs["logits"][0] - want).max() > most * np.abs(want).max():
            what = f"says something else than its {CONFIG} after {i + 1} tokens"
            raise Unsupported(
                str(path), what, "its formulas are not those of its model_type, or its settings are wrong"
            )
