"""Reads the printed form of a module back. Floor 4."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import TypeVar, get_args, get_type_hints

import numpy as np

from tte.errors import BadModel
from tte.ir import Graph, Module, Node, State
from tte.op import Op, Values
from tte.ops import all_ops
from tte.types import Array, DType, Quant, TensorType, Value

T = TypeVar("T")
WHERE = "module.txt"
_TOKEN = re.compile(
    r"""\s*(?: (?P<string>"(?:[^"\\]|\\.)*") | (?P<number>-?(?:inf|nan|\d+(?:\.\d*)?(?:e[+-]?\d+)?)\b\.?)
         | (?P<name>[A-Za-z_][\w.]*) | (?P<mark>[][(){}:,=@]) )""",
    re.VERBOSE,
)
_DTYPES = {d.label: d for d in DType}
_MAX_DEPTH = 8  # of nested attributes


def parse(text: str, constants: Mapping[str, Array]) -> Module:
    """The module whose printed form is `text`; what is not printed is in `constants`, see store.py."""
    lines = [_Line(number, line, constants) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    lines.reverse()
    if not lines:
        raise BadModel(WHERE, "is empty")
    first = lines.pop()
    first.word("module")
    name = first.end(first.name)
    states: list[State] = []
    while lines and lines[-1].peek("state"):
        states.append(_state(lines.pop()))
    shared = {s.value.name: s.value for s in states}
    graphs: dict[bool, list[Graph]] = {False: [], True: []}
    while lines:
        host = lines[-1].take("host")
        graphs[host].append(_graph(lines, shared))
    return Module(name, tuple(states), tuple(graphs[False]), tuple(graphs[True]))


class _Line:
    """The tokens of one line, taken from the left."""

    def __init__(self, number: int, text: str, constants: Mapping[str, Array]) -> None:
        self.where, self.constants = f"{WHERE}, line {number}", constants
        self.tokens: list[tuple[str, str]] = []
        text, at = text.rstrip(), 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise BadModel(self.where, f"cannot read {text[at : at + 20]!r}")
            self.tokens.append((str(found.lastgroup), found[0].strip()))
            at = found.end()
        self.tokens.reverse()

    def peek(self, text: str) -> bool:
        return bool(self.tokens) and self.tokens[-1][1] == text

    def take(self, text: str) -> bool:
        """True if `text` came next; it is passed over."""
        return self.peek(text) and bool(self.tokens.pop())

    def word(self, text: str) -> None:
        if not self.take(text):
            raise BadModel(self.where, f"expected {text!r}", f"found {self.tokens[-1][1]!r}" if self.tokens else "")

    def kind(self, kind: str) -> str:
        if not self.tokens or self.tokens[-1][0] != kind:
            raise BadModel(self.where, f"expected a {kind}", f"found {self.tokens[-1][1]!r}" if self.tokens else "")
        return self.tokens.pop()[1]

    def name(self) -> str:
        return self.kind("name")

    def integer(self) -> int:
        text = self.kind("number")
        if not re.fullmatch(r"-?\d+", text):
            raise BadModel(self.where, f"{text} is not an integer")
        return int(text)

    def list(self, item: Callable[[], T], close: str) -> tuple[T, ...]:
        """Items with commas between, up to `close`."""
        found = []
        while not self.take(close):
            found.append(item())
            if not self.peek(close):
                self.word(",")
        return tuple(found)

    def end(self, item: Callable[[], T]) -> T:
        """An item that ends the line."""
        found = item()
        if self.tokens:
            raise BadModel(self.where, f"does not end where it should: {self.tokens[-1][1]!r}")
        return found

    def origin(self) -> str:
        return str(json.loads(self.kind("string"))) if self.take("@") else ""

    def value(self) -> Value:
        name = self.name()
        self.word(":")
        return Value(name, self.type(), self.origin() or name)

    def type(self) -> TensorType:
        label = self.name()
        if label not in _DTYPES:
            raise BadModel(self.where, f"there is no element type {label!r}")
        self.word("[")
        shape = self.list(self.integer, "]")
        return TensorType(shape, _DTYPES[label], self.quant() if self.take("{") else None)

    def quant(self) -> Quant:
        """What follows the opening brace."""
        if self.take("scales"):
            name = self.name()
            scale = tuple(_constant(self, name).tolist())
        else:
            scale = self.list(self.scale, ")") if self.take("(") else (self.scale(),)
        self.word(",")
        self.word("zero")
        zero, axis = self.integer(), None
        if self.take(","):
            self.word("axis")
            axis = self.integer()
        self.word("}")
        return Quant(scale, zero, axis)

    def scale(self) -> float:
        return float(np.float32(self.kind("number")))

    def attribute(self, hint: object, depth: int = 0) -> object:
        """A value of a field that is annotated with `hint`, which tells enumerations from other words."""
        if depth > _MAX_DEPTH:
            raise BadModel(self.where, "attributes are nested too deeply")
        if self.take("("):
            return self.list(lambda: self.attribute(hint, depth + 1), ")")
        if self.take("{"):
            return self.quant()
        kind, text = self.tokens.pop() if self.tokens else ("", "")
        match kind:
            case "string":
                return json.loads(text)
            case "number":
                return int(text) if re.fullmatch(r"-?\d+", text) else float(text)
            case "name":
                return _word(self, text, hint)
            case _:
                raise BadModel(self.where, "an attribute has no value")


def _constant(line: _Line, name: str) -> Array:
    if name not in line.constants:
        raise BadModel(line.where, f"{name} is not among the constants")
    return line.constants[name]


def _word(line: _Line, text: str, hint: object) -> object:
    """None, a truth value, or a member of an enumeration in `hint`."""
    known: dict[str, object] = {"None": None, "True": True, "False": False}
    todo = [hint]
    while todo:
        one = todo.pop()
        todo += get_args(one)
        if isinstance(one, type) and issubclass(one, Enum):
            known |= {str(member): member for member in one}
    if text not in known:
        raise BadModel(line.where, f"cannot read {text!r}")
    return known[text]


def _state(line: _Line) -> State:
    line.word("state")
    value = line.value()
    line.word("in")
    storage = line.end(line.name)
    if storage not in ("flash", "sram"):
        raise BadModel(line.where, f"there is no storage {storage!r}")
    return State(value, _constant(line, value.name), "flash" if storage == "flash" else "sram")


def _graph(lines: list[_Line], shared: Mapping[str, Value]) -> Graph:
    """From its first line to its `return`; lines are taken from the end of the list."""
    head = lines.pop()
    head.word("graph")
    name = head.name()
    head.word("(")
    ins = head.end(lambda: head.list(head.value, ")"))
    known = {**shared, **{v.name: v for v in ins}}
    nodes: list[Node] = []
    updates: list[tuple[Value, Value]] = []
    while lines:
        line = lines.pop()
        if line.take("return"):
            return Graph(name, ins, _names(line, known), tuple(nodes), tuple(updates))
        if line.take("update"):
            old = _known(line, known)
            line.word("=")
            updates.append((old, _known(line, known)))
            line.end(line.origin)
        else:
            nodes.append(_node(line, known))
            known |= {v.name: v for v in nodes[-1].outs}
    raise BadModel(head.where, f"graph {name} has no return")


def _node(line: _Line, known: Mapping[str, Value]) -> Node:
    outs = [line.value()]
    while line.take(","):
        outs.append(line.value())
    line.word("=")
    op = _op(line)
    ins = _names(line, known) if line.tokens and not line.peek("@") else ()
    return Node(op, ins, tuple(outs), line.end(line.origin))


def _op(line: _Line) -> Op:
    label = line.name()
    if label not in all_ops():
        raise BadModel(line.where, f"there is no op {label!r}")
    cls, given = all_ops()[label], {}
    if line.take("("):
        hints = _hints(cls)
        for name, value in line.list(lambda: _pair(line, hints), ")"):
            given[name] = value
    try:
        return cls(**given)
    except TypeError as error:
        raise BadModel(line.where, f"{label} lacks an attribute", str(error)) from error


def _hints(cls: type[Op]) -> dict[str, object]:
    return get_type_hints(cls)


def _pair(line: _Line, hints: Mapping[str, object]) -> tuple[str, object]:
    name = line.name()
    if name not in hints:
        raise BadModel(line.where, f"there is no attribute {name!r}")
    line.word("=")
    return name, line.attribute(hints[name])


def _names(line: _Line, known: Mapping[str, Value]) -> Values:
    """The rest of a line's names."""
    found = [_known(line, known)]
    while line.take(","):
        found.append(_known(line, known))
    return tuple(found)


def _known(line: _Line, known: Mapping[str, Value]) -> Value:
    name = line.name()
    if name not in known:
        raise BadModel(line.where, f"{name!r} is not defined")
    return known[name]
