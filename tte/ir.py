"""The graph language: nodes, graphs, states and modules; how to build, check and print them. Floor 2."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from tte.errors import BadModel
from tte.op import Op, Types, Values
from tte.types import Array, TensorType, Value, origin


@dataclass(frozen=True, slots=True)
class Node:
    """One application of an op; `source` is the imported model's name for it."""

    op: Op
    ins: Values
    outs: Values
    source: str = field(default="", compare=False)

    @property
    def types(self) -> tuple[Types, Types]:
        """Types of the inputs and of the outputs."""
        return tuple(v.type for v in self.ins), tuple(v.type for v in self.outs)

    def __str__(self) -> str:
        outs, ins = ", ".join(map(str, self.outs)), ", ".join(v.name for v in self.ins)
        return f"{outs} = {self.op} {ins}{origin(self.source)}"


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """A tensor that outlives a call. Graphs read it through `value`; one in sram may be updated."""

    value: Value
    init: Array
    storage: Literal["flash", "sram"] = "flash"

    def __str__(self) -> str:
        return f"state {self.value} in {self.storage}"


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in the order in which they run. `updates` pairs each state that changes with its new value."""

    name: str
    ins: Values
    outs: Values
    nodes: tuple[Node, ...]
    updates: tuple[tuple[Value, Value], ...] = ()

    @property
    def results(self) -> Values:
        """All that must be computed: the outputs and the new values of states."""
        return self.outs + tuple(new for _, new in self.updates)

    def __str__(self) -> str:
        lines = [f"graph {self.name}({', '.join(map(str, self.ins))})"]
        lines += [f"  {node}" for node in self.nodes]
        lines += [f"  update {old.name} = {new.name}" for old, new in self.updates]
        return "\n".join([*lines, f"  return {', '.join(v.name for v in self.outs)}"])


@dataclass(frozen=True, slots=True)
class Module:
    """Named graphs over shared states.

    `host` graphs run beside the device, in numpy: "infer.before" turns the model's own inputs into those of the
    device's `infer`, "infer.after" turns its outputs into the model's own. Where one is absent there is nothing to do.
    """

    name: str
    states: tuple[State, ...]
    graphs: tuple[Graph, ...]
    host: tuple[Graph, ...] = ()

    def graph(self, name: str) -> Graph:
        """The graph of that name."""
        found = next((g for g in self.graphs if g.name == name), None)
        if found is None:
            raise BadModel(self.name, f"has no graph {name!r}", "graphs: " + ", ".join(g.name for g in self.graphs))
        return found

    def map(self, rewrite: Callable[[Graph], Graph]) -> Module:
        """The module with every graph rewritten."""
        return replace(self, graphs=tuple(rewrite(g) for g in self.graphs))

    def __str__(self) -> str:
        graphs = (*map(str, self.graphs), *(f"host {g}" for g in self.host))
        return "\n".join((f"module {self.name}", *map(str, self.states), *graphs)) + "\n"


# Words of C, names that generated functions use themselves, and a word that begins a line of the printed graph.
_WORDS = """auto break case char const continue default do double else enum extern float for goto if inline int long
register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while update
arena base bool c left made order i inline k main p r rows span step true false NULL
int8_t uint8_t int16_t uint16_t int32_t uint32_t int64_t uint64_t size_t ptrdiff_t uintptr_t"""
RESERVED = frozenset(_WORDS.split())
LONGEST = 32  # characters of a model's own name that C code uses; longer ones are shown as `source` only


class Builder:
    """Grows one graph; `emit` is also what gradient rules call."""

    def __init__(self, name: str, states: Iterable[State] = (), graph: Graph | None = None) -> None:
        self.name = name
        self.states: list[State] = list(states)
        self.ins: list[Value] = list(graph.ins) if graph else []
        self.nodes: list[Node] = list(graph.nodes) if graph else []
        self._taken = {s.value.name for s in self.states} | {v.name for v in self.ins} | RESERVED
        self._taken |= {v.name for n in self.nodes for v in n.outs}
        self._next: dict[str, int] = {}  # by name, the number to try first

    def input(self, name: str, type: TensorType) -> Value:
        """Add an argument of the graph; `name` may be any text."""
        self.ins.append(Value(self._fresh(name, "input"), type, name))
        return self.ins[-1]

    def constant(self, name: str, type: TensorType, value: Array) -> Value:
        """Add a state in flash; the caller puts `states` into the module."""
        self.states.append(State(Value(self._fresh(name, "constant"), type, name), value))
        return self.states[-1].value

    def state(self, name: str, type: TensorType, init: Array) -> Value:
        """Add a state in sram."""
        self.states.append(State(Value(self._fresh(name, "state"), type, name), init, "sram"))
        return self.states[-1].value

    def emit(self, op: Op, /, *ins: Value, name: str = "", source: str = "") -> Values:
        """Append a node; its results are called `name` (any text), or after the op. `source` is the model's name."""
        types = op.results(*(v.type for v in ins))
        outs = tuple(Value(self._fresh(name, op.label()), t, name) for t in types)
        self.nodes.append(Node(op, ins, outs, source))
        return outs

    def finish(self, *outs: Value, updates: Iterable[tuple[Value, Value]] = ()) -> Graph:
        """The graph that returns `outs`."""
        return Graph(self.name, tuple(self.ins), outs, tuple(self.nodes), tuple(updates))

    def _fresh(self, name: str, kind: str) -> str:
        """A name in C that is free: `name` itself where that is short enough to read, else what kind of thing it is."""
        base = identifier(name if 0 < len(name) <= LONGEST else kind)
        first = self._next.get(base, 0)
        number = next(i for i in range(first, len(self._taken) + 1) if f"{base}{i or ''}" not in self._taken)
        self._next[base] = number + 1
        self._taken.add(unique := f"{base}{number or ''}")
        return unique


def identifier(name: str) -> str:
    """`name` as a C identifier: other characters become underscores, and it starts with a letter, not as ours do."""
    text = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
    return text if text[:1].isalpha() and not text.startswith(("tte_", "step_")) else f"v{text}"


def verify(module: Module) -> None:
    """Raise BadModel unless the module is well formed. Runs after every pass."""
    values = [s.value for s in module.states]
    for g in (*module.graphs, *module.host):
        values += [*g.ins, *(v for n in g.nodes for v in n.outs)]
    for v in values:
        _require(_scaled(v.type), v, "it needs scales above 0, one or as many as its axis has elements")
    for state in module.states:
        _require(state.value.type.accepts(state.init), state, "its initial value has another shape or element type")
    states = {s.value: s for s in module.states}
    for graph in module.graphs:
        _verify_graph(graph, states, {v for n in graph.nodes for v in n.outs})
    for graph in module.host:
        _verify_graph(graph, states, {*graph.ins, *(v for n in graph.nodes for v in n.outs)})
        name, _, side = graph.name.partition(".")
        device = module.graph(name)
        meets = {"before": graph.outs == device.ins, "after": graph.ins == device.outs}
        _require(meets.get(side, False), graph.name, f"does not meet the inputs or outputs of {name}")


def _scaled(t: TensorType) -> bool:
    """True if there is no quantisation, or it makes sense for the shape."""
    if t.quant is None:
        return True
    n, axis = len(t.quant.scale), t.quant.axis
    matches = n == 1 if axis is None else 0 <= axis < len(t.shape) and n == t.shape[axis]
    return matches and all(0 < s < math.inf for s in t.quant.scale)


def _verify_graph(graph: Graph, states: dict[Value, State], made: set[Value]) -> None:
    """`made` are the values that may be results."""
    renewed = {new: old for old, new in graph.updates}
    defined = set(graph.ins) | set(states)
    names = {v.name for v in defined}
    stale: set[Value] = set()
    for node in graph.nodes:
        for v in node.ins:
            _require(v in defined, node, f"{v} is used before it is defined")
            _require(v not in stale, node, f"{v.name} is read after its update")
        _require(node.op.results(*node.types[0]) == node.types[1], node, "its results have other types than it infers")
        for v in node.outs:
            _require(v.name.isidentifier() and v.name not in names, node, f"the name {v.name!r} is taken or not in C")
            names.add(v.name)
        defined.update(node.outs)
        stale.update(renewed[v] for v in node.outs if v in renewed)
    for v in graph.outs:
        _require(v in made and v not in renewed, graph.name, f"output {v.name} is not computed, or is a state")
    for old, new in graph.updates:
        sram = old in states and states[old].storage == "sram"
        _require(sram and new in made and old.type == new.type, graph.name, f"cannot update {old} with {new}")


def _require(condition: bool, where: object, what: str) -> None:
    if not condition:
        raise BadModel(str(where), what)
