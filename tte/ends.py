"""The two ends of `infer`: the model's own inputs and outputs, and how they become the device's. Floor 5."""

from __future__ import annotations

from tte.interp import interpret
from tte.ir import Graph, Module
from tte.op import Arrays, Values


def own_inputs(module: Module) -> Values:
    """The inputs of the model as it was imported."""
    return (_host(module, "infer.before") or module.graph("infer")).ins


def own_outputs(module: Module) -> Values:
    """The outputs of the model as it was imported."""
    return (_host(module, "infer.after") or module.graph("infer")).outs


def before(module: Module, arrays: Arrays) -> Arrays:
    """The device's inputs, from the model's own."""
    return _through(module, "infer.before", arrays)


def after(module: Module, arrays: Arrays) -> Arrays:
    """The model's own outputs, from the device's."""
    return _through(module, "infer.after", arrays)


def _host(module: Module, name: str) -> Graph | None:
    return next((g for g in module.host if g.name == name), None)


def _through(module: Module, name: str, arrays: Arrays) -> Arrays:
    graph = _host(module, name)
    if graph is None:
        return arrays
    inputs = {v.name: a for v, a in zip(graph.ins, arrays, strict=True)}
    outputs, _ = interpret(graph, inputs, {s.value.name: s.init for s in module.states})
    return tuple(outputs[v.name] for v in graph.outs)
