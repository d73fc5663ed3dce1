"""LiteRT as an oracle: the reference kernels, and the same model through our importer and interpreter."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tte.frontend.tflite import import_tflite
from tte.interp import interpret
from tte.types import Array

Draw = Callable[[tuple[int, ...], np.dtype[np.generic]], Array]


def run_litert(model: bytes, draw: Draw) -> tuple[list[Array], list[Array]] | None:
    """Inputs drawn, and the outputs; None if LiteRT refuses the model."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType  # noqa: PLC0415

    try:
        interpreter = Interpreter(
            model_content=model,
            experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
            experimental_preserve_all_tensors=True,
        )
        interpreter.allocate_tensors()
        inputs = []
        for detail in interpreter.get_input_details():
            inputs.append(draw(tuple(int(n) for n in detail["shape"]), np.dtype(detail["dtype"])))
            interpreter.set_tensor(detail["index"], inputs[-1])
        interpreter.invoke()
    except (RuntimeError, ValueError):
        return None
    return inputs, [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]


def interpret_tte(model: bytes, inputs: Sequence[Array]) -> list[Array]:
    """The outputs of our reference."""
    module = import_tflite(model, "model")
    graph = module.graph("infer")
    states = {s.value.name: s.init for s in module.states}
    outs, _ = interpret(graph, {v.name: a for v, a in zip(graph.ins, inputs, strict=True)}, states)
    return [outs[v.name] for v in graph.outs]
