"""Choose a kernel for every node, and say why. Floor 5."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tte.errors import Unsupported
from tte.ir import Graph, Module, Node, State
from tte.op import Consts, Kernel, Params
from tte.program import Call, Candidate, Function, Program
from tte.shapes.channels import parameters
from tte.target import Board, Unit
from tte.types import NPU, DType, TensorType, Value

Prefer = Callable[[str, Node, tuple[Candidate, ...]], Candidate]  # given the name of the graph


def cheapest(graph: str, node: Node, candidates: tuple[Candidate, ...]) -> Candidate:
    """The candidate with the fewest modelled instructions; the first of equals."""
    return min(candidates, key=lambda c: c.cost)


def least_scratch(graph: str, node: Node, candidates: tuple[Candidate, ...]) -> Candidate:
    """The cheapest of those that ask for the fewest bytes; of what may go into a loop the cheapest, as there."""
    return min(candidates, key=lambda c: (0 if c.kernel.form == "channels" else c.scratch, c.cost))


def select(module: Module, board: Board, caller: bool = False, prefer: Prefer = cheapest) -> Program:
    """Lower the module to kernel calls. With `caller`, inputs and outputs are the caller's buffers."""
    constants = {s.value: s for s in module.states if s.storage == "flash"}
    functions = tuple(_Lowering(g, board, constants, prefer, caller).function() for g in module.graphs)
    return Program(module.name, module.states, functions)


class _Lowering:
    """One graph on its way to a function; `home` is where a view's bytes lie."""

    def __init__(
        self, graph: Graph, board: Board, constants: Mapping[Value, State], prefer: Prefer, caller: bool
    ) -> None:
        self.graph, self.board, self.constants, self.prefer = graph, board, constants, prefer
        self.caller = caller
        self.home: dict[Value, Value] = {}

    def function(self) -> Function:
        """A call per node that is not a view; a result that would be the caller's, or an input's, bytes is copied."""
        g, caller = self.graph, self.caller
        calls = []
        for node in g.nodes:
            root = self.home.get(node.ins[0], node.ins[0]) if node.ins else None
            copied = node.outs[0] in g.outs and (caller or root in g.ins)
            if node.op.view and root is not None and root not in self.constants and not copied:
                self.home[node.outs[0]] = root
            else:
                calls.append(self.call(node))
        outs = tuple(self.home.get(v, v) for v in g.outs)
        return Function(g.name, g.ins, outs, tuple(calls), g.updates, caller)

    def call(self, node: Node) -> Call:
        """The node with the kernel that `prefer` takes among those that fit, on the npu where that has any."""
        found = _params(node)
        name, candidates = self.place(node, found)
        fitting = tuple(c for c in candidates if not c.refused)
        if not fitting:
            reasons = "; ".join(f"{c.kernel.symbol}: {c.refused}" for c in candidates)
            raise Unsupported(str(node), f"no kernel for {self.board.name}", reasons)
        kernel = self.prefer(self.graph.name, node, fitting).kernel
        params = found[kernel.form == "channels"]
        consts = self.consts(node, kernel, params)
        scratch = kernel.scratch(*node.types, params)
        runtime = tuple(i for i, v in enumerate(node.ins) if v not in self.constants)
        return Call(
            node,
            kernel,
            {k: v for k, v in params.items() if isinstance(v, (int, float))},
            tuple(self.home.get(node.ins[i], node.ins[i]) for i in runtime),
            runtime,
            node.outs,
            consts,
            Value(f"{node.outs[0].name}_scratch", TensorType((scratch,), DType.S8)) if scratch else None,
            candidates,
            unit=name,
        )

    def place(self, node: Node, found: Mapping[bool, Params]) -> tuple[str, tuple[Candidate, ...]]:
        """Where the node runs, and the kernels that were looked at for that unit."""

        def looked(unit: Unit) -> tuple[Candidate, ...]:
            return tuple(self.candidate(node, k, found[k.form == "channels"], unit) for k in node.op.kernels)

        candidates = looked(self.board.npu) if self.board.npu and self.offered(node) else ()
        if all(c.refused for c in candidates):
            return "cpu", looked(self.board.cpu)
        return NPU, candidates

    def offered(self, node: Node) -> bool:
        """True if the npu names the op and its operands' types, and it would touch nothing but the window."""
        npu, theirs = self.board.npu, {*self.graph.ins, *self.graph.outs} if self.caller else set[Value]()
        touched = {self.home.get(v, v) for v in (*node.ins, *node.outs)}
        return npu is not None and npu.takes(node.op.label(), node.types[0]) and not touched & theirs

    def candidate(self, node: Node, kernel: Kernel, params: Params, unit: Unit) -> Candidate:
        """Whether the kernel can compute the node here."""
        ins, outs = node.types
        cost = kernel.cost(node.op.macs(ins, outs), outs)
        if kernel.isa not in unit.kernels:
            return Candidate(kernel, cost, f"needs {kernel.isa}" if kernel.isa else "has no use for the npu")
        if unit is self.board.npu and kernel.form != "whole":
            return Candidate(kernel, cost, "makes rows")
        if not kernel.fits(ins, outs, params):
            return Candidate(kernel, cost, f"computes {kernel.needs}" if kernel.needs else "other types")
        named = {node.op.operand(i): v for i, v in enumerate(node.ins)}
        objection = kernel.objection(tuple(named), [n for n, v in named.items() if v in self.constants])
        if objection:
            return Candidate(kernel, cost, objection)
        if kernel.pack:
            try:
                self.consts(node, kernel, params)
            except Unsupported as error:
                return Candidate(kernel, cost, str(error))
        return Candidate(kernel, cost, scratch=kernel.scratch(ins, outs, params))

    def consts(self, node: Node, kernel: Kernel, params: Params) -> Consts:
        """Arrays in flash, by operand and parameter, as the kernel wants them; `pack` also reads the scalars."""
        named = {node.op.operand(i): v for i, v in enumerate(node.ins)}
        found = {name: np.asarray(v) for name, v in params.items()}
        found |= {name: self.constants[v].init for name, v in named.items() if v in self.constants}
        packed = kernel.pack(found, *node.types) if kernel.pack else found
        return {name: v for name, v in packed.items() if v.ndim}


def _params(node: Node) -> dict[bool, Params]:
    """What structs and arrays are made of, of kernels of form "channels" and of all others."""
    slicing = {k.form == "channels" for k in node.op.kernels}
    return {c: parameters(node.op, *node.types) if c else node.op.params(*node.types) for c in slicing}
