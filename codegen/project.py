"""Render a program as a C project that builds without Python. Floor 5."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from tte.codegen import cfmt
from tte.codegen.api import lesson
from tte.codegen.jinja import environment
from tte.codegen.kinds import language
from tte.codegen.large import ALIGN, Large, large
from tte.codegen.loops import Round, rounds
from tte.codegen.page import REPORT, page
from tte.codegen.steps import Stage, Staged, Step, Weights, arguments, pieces, shared, slots_of, steps, weights
from tte.codegen.tell import record
from tte.errors import DoesNotFit
from tte.language.prompt import Prompt
from tte.language.speech import Context, Speech
from tte.op import Values
from tte.program import Call, Cascade, Function, MemoryPlan, Piece, Program
from tte.record import PLAN, Pruned
from tte.states import layout
from tte.target import BOARDS, Board, Unit, board_files, board_sources, link_flags, memory_ld
from tte.types import NPU, Value

RUNTIME = BOARDS.parent / "runtime_c"
TOKENIZER, SPOKEN = ("tokenizer.h", "tokenizer.c"), ("tte_tokenizer.h", "tte_sampler.h")
NPU_FILES = ("npu.c", "npu_weights.c")
LARGE = {"cpu": "large", NPU: "npu_large"}  # names of the files of constants that are too large for weights.c
ENV = environment()


def render(
    program: Program,
    plan: MemoryPlan,
    board: Board,
    stored: Mapping[str, bytes],
    speech: Speech | None = None,
    prompt: Prompt | None = None,
    sizes: Context | None = None,
    pruning: tuple[Pruned, ...] = (),
) -> dict[str, bytes]:
    """The project's files by path: model, weights, main, plan, Makefile, and the parts of runtime and board it uses.

    `stored` are the files that hold the module, `sizes` those of a language model. With `speech` there are also a
    tokenizer and a sampler, with `prompt` a function that takes one of several chunks.
    """
    part, npu = _part(program, board, "cpu"), _part(program, board, NPU) if plan.queue else None
    weights_bytes = sum(a.nbytes for p in (part, npu) if p for a in p.constants.arrays.values())
    if board.flash is not None and weights_bytes > board.flash:
        what = f"its weights take {weights_bytes} bytes of flash, {board.name} has {board.flash}"
        raise DoesNotFit(program.name, what, "quantise it to int8, or take a larger board")
    states = layout(program.states)
    staged = prompt if prompt and prompt.stages else None
    view = _view(program, plan, board, speech) | {"kept": states if states.bytes else None} | part.view
    jobs, pool = _jobs(program, staged), any(c.pieces for f in program.functions for c in f.calls)
    view |= {"prompt": prompt, "own_stages": [*_stages(staged, plan, part)], "jobs": jobs}
    view |= {"sources": _sources(board, part, npu, pool), "npu_sources": _npu_sources(npu)}
    names = ("model.h", "model.c", "weights.c", "main.c", "Makefile", *(TOKENIZER if speech else ()))
    files = {name: ENV.get_template(f"{name}.j2").render(view).encode() for name in names}
    files |= _large(part, view)
    if npu:
        files |= _beside(
            program, plan, npu, view | {"own_stages": [*_stages(staged, plan, npu)]}, _jobs(program, staged)
        )
    always = ["tte.h", *(["tte_checkpoint.h"] if states.bytes else []), *(SPOKEN if speech else ())]
    always += ["tte_prompt.h" if staged else "tte_queue.h"] if npu else []
    headers = {h for p in (part, npu) if p for h in p.headers}
    files |= dict(_runtime([*always, *(f"kernels/{h}" for h in sorted(headers))]))
    files |= {f"board/{name}": path.read_bytes() for name, path in board_files(board, npu is not None, pool).items()}
    if board.cpu.linker:
        files["board/memory.ld"] = memory_ld(board).encode()
    files |= stored
    told = record(program, plan, board, weights_bytes)
    constants = [(p.constants.arrays, p.constants.symbols) for p in (part, npu) if p]
    told = replace(told, language=language(sizes.chunk, sizes.seq, plan, constants) if sizes else None)
    told = replace(told, timing=staged.timing if staged else None, pruning=pruning)
    told = replace(told, files=(*sorted({*files, PLAN, REPORT}),))
    return files | {PLAN: told.json().encode(), REPORT: page(told).encode()}


@dataclass(frozen=True, slots=True)
class _Part:
    """What a unit computes: its constants, and the steps of its calls."""

    unit: Unit
    name: str
    constants: Weights
    large: Large
    step_of: Mapping[Call | Piece, Step]

    @property
    def sources(self) -> tuple[str, ...]:
        """Its assembler file, if it has large constants."""
        return (f"{LARGE[self.name]}.s",) if self.large.pieces else ()

    @property
    def headers(self) -> list[str]:
        """Those of its kernels."""
        return sorted({step.call.kernel.header for step in self.step_of.values()})

    @property
    def view(self) -> dict[str, object]:
        """What templates read of it."""
        return {
            "unit": self.unit,
            "file": "weights.c",
            "headers": self.headers,
            "weights": self.constants.arrays,
            "large": self.large,
            "large_file": LARGE[self.name],
            "large_align": max(ALIGN, self.unit.align),
            "initial": self.constants.initial,
            "step_of": self.step_of,
            "steps": list(dict.fromkeys(self.step_of.values())),
            "told": partial(_told, self.step_of),
        }


def _part(program: Program, board: Board, unit: str) -> _Part:
    constants = weights(program, unit)
    return _Part(board.units[unit], unit, constants, large(constants.arrays), steps(program, unit))


def _large(part: _Part, view: dict[str, object]) -> dict[str, bytes]:
    """The unit's large constants, and what brings them into its program."""
    if not part.large.pieces:
        return {}
    text = ENV.get_template("large.s.j2").render(view | part.view).encode()
    return {f"{LARGE[part.name]}.s": text, f"{LARGE[part.name]}.bin": part.large.data}


def _view(program: Program, plan: MemoryPlan, board: Board, speech: Speech | None) -> dict[str, object]:
    """What templates read of the whole."""
    symbols = weights(program).symbols
    return {
        "c": cfmt,
        "name": program.name,
        "program": program,
        "plan": plan,
        "board": board,
        "slots": partial(slots_of, plan),
        "call_name": _function_name,
        "blocks": partial(_blocks, plan, symbols),
        "shared": partial(shared, plan, symbols),
        "incoming": partial(_incoming, plan),
        "assigned": _assigned,
        "declared": _declared,
        "rest": _rest,
        "present": _present,
        "link_flags": link_flags(board),
        "large_sources": [f"{name}.s" for name in LARGE.values()],
        "lesson_of": lesson,
        "given": _given,
        "speech": speech,
        "tables": speech.tokenizer.tables if speech else {},
    }


def _jobs(program: Program, staged: Prompt | None) -> dict[Call, int]:
    """The calls that the cpu hands over one by one, and their numbers."""
    one = [c for c in program.jobs if not staged or c not in staged.function.calls]
    return {c: i for i, c in enumerate(one)}


def _stages(staged: Prompt | None, plan: MemoryPlan, part: _Part) -> Iterator[Stage]:
    """The unit's stages of a chunk, but for an empty one."""
    slots = slots_of(plan, staged.function) if staged else {}
    for number, calls in enumerate(staged.stages if staged else ()):
        if staged and calls and staged.unit(number) == part.name:
            passed = [(c, arguments(c, slots, part.constants.symbols, own=staged.own)) for c in calls]
            found = (Staged(c, args, pieces(c, "part", args) if c.pieces else None) for c, args in passed)
            yield Stage(number, tuple(found))


def _beside(
    program: Program, plan: MemoryPlan, npu: _Part, view: dict[str, object], jobs: Mapping[Call, int]
) -> dict[str, bytes]:
    """The npu's jobs and weights."""
    done = [
        (c, arguments(c, slots_of(plan, f), npu.constants.symbols))
        for f in program.functions
        for c in f.calls
        if c in jobs
    ]
    view = view | npu.view | {"file": NPU_FILES[1], "done": done}
    templates = zip(NPU_FILES, ("npu.c.j2", "weights.c.j2"), strict=True)
    return {name: ENV.get_template(t).render(view).encode() for name, t in templates} | _large(npu, view)


def _sources(board: Board, cpu: _Part, npu: _Part | None, pool: bool) -> tuple[str, ...]:
    """What the cpu's program is made of beside the model; if the npu is a thread of it, the npu's jobs too."""
    own = (*cpu.sources, *board_sources((*board.cpu.sources, *(board.cpu.pool if pool else ()))))
    if not npu:
        return own
    return (*own, *board_sources(npu.unit.port), *(() if npu.unit.cc else (*NPU_FILES, *npu.sources)))


def _npu_sources(npu: _Part | None) -> tuple[str, ...]:
    """What a program of the npu's own is made of."""
    return (*NPU_FILES, *npu.sources, *board_sources(npu.unit.sources)) if npu and npu.unit.cc else ()


def _function_name(function: Function, suffix: str) -> str:
    """`infer`'s accessors are the model's own; other functions' carry its name."""
    return suffix if function.name == "infer" else f"{function.name}_{suffix}"


def _given(function: Function) -> Values:
    """The inputs that a caller writes into the arena."""
    found = lesson(function)
    return found.given if found else function.ins


def _told(step_of: Mapping[Call | Piece, Step], step: Step) -> str:
    """What a step computes, and for which layers."""
    users = (one for one, used in step_of.items() if used is step)
    calls = [*dict.fromkeys(one.call if isinstance(one, Piece) else one for one in users)]
    (x, *_), (y, *_) = calls[0].node.types[0] or calls[0].node.types[1], calls[0].node.types[1]
    shapes = f"{x.dtype}{list(x.shape)} to {y.dtype}{list(y.shape)}"
    names = ", ".join(c.node.outs[0].name for c in calls)
    return f"{step.call.node.op.label()}, {shapes}, {calls[0].node.op.macs(*calls[0].node.types):,} MACs: {names}"


def _assigned(step: Step) -> list[str]:
    """The fields of a step's parameters."""
    return [f".{key} = {value}" for key, value in step.scalars]


def _declared(step: Step) -> list[str]:
    """What a step takes."""
    first, *rest = [text for text, _ in step.pointers]
    return [first, "int32_t ring", "int32_t r", "int32_t n", *rest] if step.loop else [first, *rest]


def _present(step: Step) -> list[str]:
    """Pointers that a step passes where its kernel may be given NULL."""
    return [name for _, name in step.pointers[1:] if name in step.call.kernel.takes and name != "c"]


def _rest(step: Step) -> list[str]:
    """What a step passes to its kernel after input 0."""
    given = [name for _, name in step.pointers[1:]]
    known = {**dict(zip(given, given, strict=True)), "r": "r" if step.loop else "0"}
    return [known.get(name, "NULL") for name in step.call.kernel.takes] or given


@dataclass(frozen=True, slots=True)
class Block:
    """What `infer` does next: one call, a cascade or a loop; the arguments of each call, and its number of steps."""

    calls: tuple[tuple[Call, list[str], int], ...]
    cascade: Cascade | None
    loop: Round | None


def _blocks(plan: MemoryPlan, symbols: Mapping[tuple[Call, str], str], function: Function) -> Iterable[Block]:
    """The calls of a function in turn, with their arguments."""
    slots = slots_of(plan, function)
    for calls, cascade in function.blocks:
        block = [function.calls[i] for i in calls]
        counts = Counter(cascade.order if cascade else ())
        loop = rounds(block[0], slots, symbols)
        plain = [] if loop else block
        passed = [
            (c, arguments(c, slots, symbols, cascade is not None) if c.unit == "cpu" else [], counts[k])
            for k, c in enumerate(plain)
        ]
        yield Block(tuple(passed), cascade, loop)


@dataclass(frozen=True, slots=True)
class Incoming:
    """The rows in which a function takes its input: their number, bytes of one, how many are kept and where."""

    value: Value
    count: int
    bytes: int
    kept: int
    offset: int


def _incoming(plan: MemoryPlan, function: Function) -> Incoming | None:
    """None where the function takes its inputs whole."""
    if function.arrival is None:
        return None
    (x,) = function.arrival.outs
    count, slot = x.type.shape[1], slots_of(plan, function)[x]
    return Incoming(x, count, x.type.bytes // count, slot.rows or count, slot.offset)


def _runtime(headers: list[str]) -> Iterable[tuple[str, bytes]]:
    """The headers and all that they include, each once."""
    todo, seen = list(headers), set(headers)
    while todo:
        path = todo.pop()
        text = (RUNTIME / path).read_text()
        yield f"tte/{path}", text.encode()
        found = set(re.findall(r'#include "tte/(.+)"', text)) - seen
        todo += sorted(found)
        seen |= found
