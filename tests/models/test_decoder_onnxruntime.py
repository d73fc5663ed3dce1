"""A decoder in ONNX Runtime's own operators: the same logits as ours, so that the benchmark compares one model."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from conftest import installed
from speakers import TINY, prefilled, step, tiny

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))


def test_prompt_and_what_follows() -> None:
    """Within what other orders of sums bring."""
    for package in ("onnx", "onnxruntime"):
        installed(package)
    from decode_onnx import Call, opened  # noqa: PLC0415 - needs them

    module = tiny(replace(TINY, dim=32), seed=3)
    exported, session, caches = opened(module)
    tokens = np.random.default_rng(4).integers(0, TINY.vocab, 13).tolist()
    prompt, one = (Call(session, n, exported.vocab, caches) for n in (7, 1))
    prompt.tokens[0] = tokens[:7]
    prompt.run(0)
    found = [prompt.logits.copy()]
    for at in range(7, 13):
        one.tokens[0, 0] = tokens[at]
        one.run(at)
        found.append(one.logits.copy())
    logits, states = prefilled(module, tokens[:7])
    wanted = [logits]
    for at in range(7, 13):
        logits, states = step(module.graph("decode"), tokens[at : at + 1], at, states)
        wanted.append(logits)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a[0], b, rtol=0, atol=1e-5 * abs(b).max())
