"""Random networks over maps, planned row by row: checked, run in C, compared with the interpreter. Many to an ELF."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import usable
from maps import network

from tte.checker.replay import check_plan
from tte.codegen.project import render
from tte.driver import Memory, Options, lower
from tte.interp import interpret
from tte.ir import Graph, Module, State
from tte.program import Function, MemoryPlan, Program
from tte.running.emulate import build, run_elf
from tte.store import files
from tte.target import Board
from tte.types import Value


def renamed(module: Module, name: str) -> Module:
    """The module with names of its own, so that many fit into one program."""
    (graph,) = module.graphs
    values = {*graph.ins, *(v for n in graph.nodes for v in n.outs), *(s.value for s in module.states)}
    new = {v: replace(v, name=f"{name}_{v.name}") for v in values}

    def all_of(found: tuple[Value, ...]) -> tuple[Value, ...]:
        return tuple(new[v] for v in found)

    nodes = tuple(replace(n, ins=all_of(n.ins), outs=all_of(n.outs)) for n in graph.nodes)
    states = tuple(State(new[s.value], s.init, s.storage) for s in module.states)
    return Module(name, states, (Graph(name, all_of(graph.ins), all_of(graph.outs), nodes),))


def overlapping(function: Function, plan: MemoryPlan) -> bool:
    """True if a result of a cascade lies over an input of it, but not at its place."""
    slots = {s.value: s for s in plan.functions[function.name]}
    for c in function.cascades:
        calls = function.calls[c.first : c.stop]
        made = [slots[v] for call in calls for v in call.outs if v not in c.rings]
        read = [slots[v] for call in calls for v in call.ins if v not in {u for k in calls for u in k.outs}]
        if any(a.offset < b.end and b.offset < a.end for a in made for b in read):
            return True
    return False


def compiled(board: Board, seeds: range, folder: Path, seen: Counter[str]) -> list[Module]:
    """One project of many networks, each planned for itself."""
    modules, functions, plans = [], list[Function](), list[MemoryPlan]()
    for seed in seeds:
        module, residuals = network(seed)
        module = renamed(module, f"g{seed}")
        memory: Memory = "smallest" if seed % 3 else "balanced"
        program, plan = lower(module, board, Options(memory=memory))
        check_plan(program, plan)
        assert plan.bound <= plan.arena
        (function,) = program.functions
        modules.append(module)
        functions.append(function)
        plans.append(plan)
        seen.update(n.op.label() for n in module.graphs[0].nodes)
        seen.update(["networks", *["residuals"] * (residuals > 0), *["cascaded"] * (function.cascades != ())])
        seen.update(["overlap"] * overlapping(function, plan))
        seen.update(["backward"] * any(c.backward for c in function.cascades))
        seen.update(["homes"] * any(c.homes for c in function.cascades))
    states = tuple(s for m in modules for s in m.states)
    program = Program("all", states, tuple(functions))
    places = {f.name: p.functions[f.name] for f, p in zip(functions, plans, strict=True)}
    plan = MemoryPlan(max(p.arena for p in plans), max(p.bound for p in plans), (), places)
    check_plan(program, plan)
    whole = Module("all", states, tuple(m.graphs[0] for m in modules))
    for path, data in render(program, plan, board, files(whole)).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return modules


def agree(board: Board, seeds: range, folder: Path) -> Counter[str]:
    """Run them all on random inputs; what was seen on the way."""
    seen = Counter[str]()
    modules = compiled(board, seeds, folder, seen)
    rng, data, wanted = np.random.default_rng(seeds.start), b"", list[np.ndarray]()
    for i, module in enumerate(modules):
        (graph,) = module.graphs
        given = {v.name: rng.integers(-128, 128, v.type.shape, np.int8) for v in graph.ins}
        outs, _ = interpret(graph, given, {s.value.name: s.init for s in module.states})
        data += struct.pack("<I", i) + b"".join(a.tobytes() for a in given.values())
        wanted.append(np.concatenate([outs[v.name].ravel() for v in graph.outs]))
    said, at = run_elf(build(folder, board), board, data).data, 0
    for module, expected in zip(modules, wanted, strict=True):
        assert said[at : at + 4] == bytes(4), module.name
        got = np.frombuffer(said, np.int8, expected.size, at + 4)
        np.testing.assert_array_equal(got, expected, module.name)
        at += 4 + expected.size
    return seen


@pytest.mark.parametrize("board_name", ["host", "cortex-m7"])
def test_random_networks_by_rows(board_name: str, tmp_path: Path) -> None:
    count = 60
    seen = agree(usable(board_name), range(count), tmp_path)
    print(dict(seen))
    assert seen["residuals"] >= 0.3 * count
    assert seen["cascaded"] >= 0.3 * count
    assert seen["overlap"] >= 0.3 * count


@pytest.mark.full
def test_many_random_networks_by_rows(tmp_path: Path) -> None:
    seen = Counter[str]()
    for start in range(1000, 1500, 50):
        seen.update(agree(usable("host"), range(start, start + 50), tmp_path / str(start)))
    print(dict(seen))
    assert min(n for _, n in seen.items()) >= 20
