"""What a compilation decided, as plan.json keeps it beside the project. Floor 1."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from tte.errors import BadModel

PLAN = "plan.json"
Kind: TypeAlias = Literal["input", "output", "activation", "ring", "scratch", "state"]


@dataclass(frozen=True, slots=True)
class Choice:
    """A kernel that was looked at for a layer, its modelled instructions, and why it was refused ("" if it was not)."""

    kernel: str
    modelled: float
    refused: str


@dataclass(frozen=True, slots=True)
class Layer:
    """One call: `name` is what the imported model calls it, `node` its line of the IR, `unit` where it runs."""

    name: str
    op: str
    kernel: str
    macs: int
    modelled: float
    constant_bytes: int
    node: str
    choices: tuple[Choice, ...]
    unit: str = "cpu"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor lies in the arena, and at which calls (both included) it is alive; of a ring, how many rows."""

    value: str
    type: str
    offset: int
    bytes: int
    first: int
    last: int
    kind: Kind
    rows: int = 0

    @property
    def end(self) -> int:
        """The first byte after it."""
        return self.offset + self.bytes


@dataclass(frozen=True, slots=True)
class Work:
    """A function of the model: its layers in their order, its tensors, and which layer works on when, step by step.

    `cascades` are the first and the last layer of each range that runs row by row.
    """

    name: str
    layers: tuple[Layer, ...]
    places: tuple[Place, ...]
    steps: tuple[int, ...]
    cascades: tuple[tuple[int, int], ...] = ()

    def by_layer(self, counts: tuple[int, ...] | None) -> tuple[int, ...] | None:
        """What each layer cost, given what each step did."""
        if counts is None:
            return None
        totals = [0] * len(self.layers)
        for layer, count in zip(self.steps, counts, strict=True):
            totals[layer] += count
        return tuple(totals)


@dataclass(frozen=True, slots=True)
class Bar:
    """A task of a prompt: a stage of a chunk, and bytes of its results for the other unit; its start in each run."""

    chunk: int
    stage: int
    unit: str
    ticks: int
    crossing: int
    starts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Timing:
    """The longest prompt that has a table, modelled: tasks in the runs of these names, and a lower bound of ticks."""

    runs: tuple[str, ...]
    bound: int
    tasks: tuple[Bar, ...]

    @property
    def lengths(self) -> dict[str, int]:
        """Of each run, ticks until all is done."""
        ends = zip(*([start + t.ticks for start in t.starts] for t in self.tasks), strict=True)
        return dict(zip(self.runs, map(max, ends), strict=True))


@dataclass(frozen=True, slots=True)
class Pruned:
    """Shadows of outliers of which a share was pruned: channels that have one, and by how much perplexity rises.

    Measured by `tte quantize` on its texts, over the float model; 0.01 is a percent.
    """

    share: float
    channels: int
    rise: float
    chosen: bool


@dataclass(frozen=True, slots=True)
class Language:
    """Of a language model: tokens of a chunk and positions of a text, bytes of its caches, and of its flash by kind."""

    chunk: int
    context: int
    cache_bytes: int
    flash: dict[str, int]


@dataclass(frozen=True, slots=True)
class Record:
    """A compiled model; `files` are those of the project.

    `bound_bytes` is proved: these kernels need no less in any order, or (not `any_order`) in this one. `io` holds
    "caller" where inputs and outputs lie outside the arena, and "rows" where the first input comes row by row.
    `sram` are the bytes that it was compiled for, None without a limit. `windows` of `window_bytes` bytes are in the
    arena for that many chunks of a prompt under way, 0 where there are no two units.
    """

    model: str
    board: str
    arena_bytes: int
    bound_bytes: int
    weights_bytes: int
    states: tuple[Place, ...]
    functions: tuple[Work, ...]
    any_order: bool
    io: tuple[str, ...]
    files: tuple[str, ...] = ()
    sram: int | None = None
    windows: int = 0
    window_bytes: int = 0
    timing: Timing | None = None  # of a language model on two units
    language: Language | None = None
    pruning: tuple[Pruned, ...] = ()  # of one with shadows

    @property
    def gap_bytes(self) -> int:
        """What may be lost at most."""
        return self.arena_bytes - self.bound_bytes

    @property
    def shared_bytes(self) -> int:
        """Those of the arena, if it lies in the memory of two units and not in the program's."""
        apart = any(layer.unit != "cpu" for f in self.functions for layer in f.layers)
        return self.arena_bytes if apart else 0

    @property
    def verdict(self) -> str:
        """How good the plan is."""
        proved = "proved optimal" if self.gap_bytes == 0 else "proved"
        return f"{proved}; lower bound {self.bound_bytes:,}, gap {self.gap_bytes:,}"

    @property
    def infer(self) -> Work:
        """The function that a run calls."""
        found = next((f for f in self.functions if f.name == "infer"), None)
        if found is None:
            raise BadModel(self.model, "has no function infer")
        return found

    def json(self) -> str:
        """The text of plan.json."""
        return json.dumps(asdict(self), indent=1) + "\n"


@dataclass(frozen=True, slots=True)
class Measured:
    """Bytes and counts of a built and run project (DESIGN 6).

    `sram_bytes` is the program's .data and .bss, the arena included, with the stack. The stack is the most that was
    used where the board paints it (`painted`), else the compiler's sum over the deepest chain of calls. `counts` are
    the instructions of a call by layer, for each function that ran on a board that counts them.
    """

    sram_bytes: int
    flash_bytes: int
    code_bytes: int
    stack_bytes: int
    painted: bool
    counts: dict[str, tuple[int, ...]]

    @property
    def instructions(self) -> int | None:
        """Of an inference; None where they are not counted, or there is none."""
        return self.total("infer")

    @property
    def training_instructions(self) -> int | None:
        """Of a training step, likewise."""
        return self.total("train_step")

    def total(self, function: str) -> int | None:
        """The instructions of a function's call, None where they were not counted."""
        return sum(self.counts[function]) if function in self.counts else None

    def of(self, function: str) -> tuple[int, ...] | None:
        """Those of its layers."""
        return self.counts.get(function)


@dataclass(frozen=True, slots=True)
class Point:
    """A way to compile the model; `memory` are the choices that give it. `here`, it is what the project has.

    Instructions are modelled; counted and measured only where it was built and run.
    """

    memory: tuple[str, ...]
    arena_bytes: int
    bound_bytes: int
    modelled: float
    fits: bool
    here: bool
    instructions: int | None = None
    code_bytes: int | None = None

    @property
    def name(self) -> str:
        """What to call it."""
        marks = ", this project" * self.here + ", does not fit the board" * (not self.fits)
        return (" = ".join(self.memory) or "between") + marks


def read_record(folder: Path) -> Record:
    """The record of the project in `folder`."""
    try:
        table = json.loads((folder / PLAN).read_text())
        functions = tuple(
            Work(
                f["name"],
                tuple(map(_read_layer, f["layers"])),
                tuple(Place(**p) for p in f["places"]),
                tuple(f["steps"]),
                tuple((a, b) for a, b in f["cascades"]),
            )
            for f in table.pop("functions")
        )
        states = tuple(Place(**p) for p in table.pop("states"))
        timing, told = _read_timing(table.pop("timing")), table.pop("language")
        table |= {"functions": functions, "states": states, "files": tuple(table["files"])}
        pruning = tuple(Pruned(**p) for p in table.pop("pruning"))
        return Record(**table, timing=timing, language=Language(**told) if told else None, pruning=pruning)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadModel(str(folder), f"is not a project of tte: {PLAN} cannot be read", str(error)) from error


def _read_timing(table: dict[str, object] | None) -> Timing | None:
    if table is None:
        return None
    tasks = tuple(Bar(**row | {"starts": tuple(row["starts"])}) for row in table.pop("tasks"))  # type: ignore
    return Timing(**table | {"runs": tuple(table["runs"]), "tasks": tasks})  # type: ignore


def _read_layer(row: dict[str, object]) -> Layer:
    choices = row.pop("choices")
    return Layer(**row, choices=tuple(Choice(**c) for c in choices))  # type: ignore
