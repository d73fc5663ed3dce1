"""Render a program as a C project that builds without Python. Floor 5."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import partial

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tte.codegen import cfmt
from tte.codegen.steps import arguments, steps, weights
from tte.program import Call, Function, MemoryPlan, Program, Slot
from tte.target import BOARDS, Board, board_files, board_sources, link_flags, memory_ld
from tte.types import Value

RUNTIME = BOARDS.parent / "runtime_c"
TEMPLATES = BOARDS.parent / "codegen" / "templates"
ENV = Environment(
    loader=FileSystemLoader(TEMPLATES),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,
)
ENV.globals |= {"c": cfmt}


def render(program: Program, plan: MemoryPlan, board: Board) -> dict[str, str]:
    """The project's files by path: model, weights, main, plan, Makefile, and the parts of runtime and board it uses."""
    constants, step_of = weights(program), steps(program)
    headers = sorted({call.kernel.header for f in program.functions for call in f.calls})
    view = {"name": program.name, "program": program, "plan": plan, "board": board, "headers": headers}
    view |= {"weights": constants.arrays, "step_of": step_of, "steps": list(dict.fromkeys(step_of.values()))}
    view |= {"slots": partial(_slots, plan), "call_name": _function_name}
    view |= {"passed": partial(_passed, plan, constants.symbols)}
    view |= {"sources": board_sources(board), "link_flags": link_flags(board)}
    names = ("model.h", "model.c", "weights.c", "main.c", "Makefile")
    files = {name: ENV.get_template(f"{name}.j2").render(view) for name in names}
    files["plan.json"] = _plan_json(program, plan)
    files |= dict(_runtime(["tte.h", *(f"kernels/{h}" for h in headers)]))
    files |= {f"board/{name}": path.read_text() for name, path in board_files(board).items()}
    return files | ({"board/memory.ld": memory_ld(board)} if board.cpu.linker else {})


def _function_name(function: Function, suffix: str) -> str:
    """`infer`'s accessors are the model's own; other functions' carry its name."""
    return suffix if function.name == "infer" else f"{function.name}_{suffix}"


def _slots(plan: MemoryPlan, function: Function) -> dict[Value, Slot]:
    return {s.value: s for s in (*plan.states, *plan.functions[function.name])}


def _passed(plan: MemoryPlan, symbols: Mapping[tuple[Call, str], str], function: Function) -> list[str]:
    """The arguments of every call."""
    return [arguments(call, _slots(plan, function), symbols) for call in function.calls]


def _runtime(headers: list[str]) -> Iterable[tuple[str, str]]:
    """The headers and all that they include, each once."""
    todo, seen = list(headers), set(headers)
    while todo:
        path = todo.pop()
        text = (RUNTIME / path).read_text()
        yield f"tte/{path}", text
        found = set(re.findall(r'#include "tte/(.+)"', text)) - seen
        todo += sorted(found)
        seen |= found


def _plan_json(program: Program, plan: MemoryPlan) -> str:
    def row(s: Slot) -> dict[str, object]:
        v = s.value
        where = {"offset": s.offset, "bytes": v.type.bytes, "alive": [s.first, s.last]}
        return {"value": v.name, "type": str(v.type), **where}

    functions = {
        f.name: {
            "calls": [
                {"node": str(c.node), "kernel": c.kernel.symbol, "macs": c.node.op.macs(*c.node.types)} for c in f.calls
            ],
            "slots": [row(s) for s in plan.functions[f.name]],
        }
        for f in program.functions
    }
    whole = {"arena": plan.arena, "bound": plan.bound, "states": list(map(row, plan.states)), "functions": functions}
    return json.dumps(whole, indent=1) + "\n"
