"""Boards as data: a folder with a board.toml. Unknown keys are errors. Floor 1."""

from __future__ import annotations

import math
import tomllib
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from tte.errors import BadModel
from tte.types import NPU, DType, TensorType

BOARDS = Path(__file__).parent / "boards"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Memory:
    """A linear range of addresses; `use` is flash, sram, itcm, ..."""

    origin: int
    size: int
    use: str


@dataclass(frozen=True, slots=True)
class Costs:
    """What work takes on a unit, in its instructions (packets, where `Unit.counts` says so), and how fast it is.

    A tick is a nanosecond of this model, the same on all units of a board; it is no clock.
    """

    per_128_macs: float
    per_byte: float  # of results and of operands that aren't constants
    per_call: float
    per_us: float = 1000.0  # instructions in a microsecond
    counted: dict[str, tuple[float, float]] = field(default_factory=dict)  # see `of`

    def ticks(self, macs: int, moved: int, calls: int = 1) -> int:
        """Those of so many products, bytes moved and calls, rounded up."""
        return self._ticks(macs / 128 * self.per_128_macs + moved * self.per_byte + calls * self.per_call)

    def of(self, op: str, macs: int, elements: int, moved: int) -> int:
        """Ticks of an op: by what it was counted to take for a product and for an element of its results, if it was."""
        if op not in self.counted:
            return self.ticks(macs, moved)
        per_mac, per_element = self.counted[op]
        return self._ticks(macs * per_mac + elements * per_element)

    def _ticks(self, instructions: float) -> int:
        return math.ceil(1000 * instructions / self.per_us)


@dataclass(frozen=True, slots=True)
class Unit:
    """A processor: the argv that compiles for it and the argv that runs it ({elf} stands for the program).

    One beside the cpu takes the nodes whose op and types of operands it names, and reads and writes them in its window.
    Without a compiler of its own it is a thread of the cpu's program.
    """

    cc: tuple[str, ...] = ()
    run: tuple[str, ...] = ()
    isa: tuple[str, ...] = ()  # the extensions that kernels may ask for, most preferred first
    fpu: bool = False
    counts: str = ""  # what the emulator counts: "instructions", "packets", or "" for nothing
    sources: tuple[str, ...] = ()  # relative to boards/; only those in *.c are compiled
    linker: str = ""  # relative to boards/; includes memory.ld, which `memory_ld` renders
    libs: tuple[str, ...] = ()  # the end of the link's argv
    stack: int = 0  # bytes reserved; 0 where the operating system gives it
    pool: tuple[str, ...] = ()  # relative to boards/; what gives threads, where they share work
    sanitize: tuple[str, ...] = ()  # flags that make undefined behaviour end the program
    port: tuple[str, ...] = ()  # of a unit beside the cpu: sources of the cpu's program by which it reaches that unit
    ops: tuple[str, ...] = ()  # names of what a unit beside the cpu computes
    dtypes: tuple[str, ...] = ()  # of the operands of those
    window: str = ""  # the memory that it shares with the cpu
    align: int = 1  # bytes; its tensors start at multiples of it
    costs: Costs | None = None

    def takes(self, op: str, operands: tuple[TensorType, ...]) -> bool:
        """True if it names the op and all types of its operands."""
        return op in self.ops and all(str(t.dtype) in self.dtypes for t in operands)

    @property
    def kernels(self) -> tuple[str, ...]:
        """What the isa of a kernel may be; one beside the cpu that has extensions is there for those."""
        return self.isa if self.ops and self.isa else ("", *self.isa)


@dataclass(frozen=True, slots=True)
class Board:
    """A place to run. Without memories there is no limit."""

    name: str
    summary: str
    units: dict[str, Unit]
    memories: dict[str, Memory] = field(default_factory=dict)
    packages: tuple[str, ...] = ()  # Debian's, to compile and run

    @property
    def cpu(self) -> Unit:
        """The unit that runs main."""
        return self.units["cpu"]

    @property
    def npu(self) -> Unit | None:
        """The unit beside it."""
        return self.units.get(NPU)

    @property
    def programs(self) -> dict[str, Unit]:
        """The units that have programs of their own."""
        return {name: u for name, u in self.units.items() if u.cc}

    @property
    def window(self) -> int | None:
        """Bytes of the memory that both units see; None with one unit."""
        return self.memories[self.npu.window].size if self.npu else None

    @property
    def sram(self) -> int | None:
        """Bytes of sram, the stack's included; None without a limit."""
        return self._size("sram")

    @property
    def flash(self) -> int | None:
        """Bytes of flash; None without a limit."""
        return self._size("flash")

    def limited(self, sram: int | None) -> Board:
        """The board with so many bytes of sram, None for all that it has."""
        if sram is None or sram == self.sram:
            return self
        if self.sram is None:
            raise BadModel("--sram", f"{self.name} has no limit that could be lowered", "choose a microcontroller")
        if not self.cpu.stack < sram < self.sram:
            what = f"{sram} bytes lie not between the stack's {self.cpu.stack} and the {self.sram} of {self.name}"
            raise BadModel("--sram", what)
        smaller = {k: replace(m, size=sram) if m.use == "sram" else m for k, m in self.memories.items()}
        return replace(self, memories=smaller)

    def _size(self, use: str) -> int | None:
        return sum(m.size for m in self.memories.values() if m.use == use) or None


def boards() -> tuple[str, ...]:
    """Names of the boards that tte knows."""
    return tuple(sorted(path.parent.name for path in BOARDS.glob("*/board.toml")))


def load_board(name: str) -> Board:
    """Read boards/<name>/board.toml."""
    path = BOARDS / name / "board.toml"
    if name not in boards():
        raise BadModel("board", f"there is no board {name!r}", "known: " + ", ".join(boards()))
    return parse_board(name, path.read_text())


def parse_board(name: str, text: str) -> Board:
    """Build a board from the text of its board.toml."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadModel(f"{name}/board.toml", str(error)) from error
    for unit, t in table.get("units", {}).items():
        if isinstance(t.get("costs"), dict):
            t["costs"] = _costs(t["costs"], f"{name}.units.{unit}.costs")
    for key, cls in ("units", Unit), ("memories", Memory):
        table[key] = {k: _strict(cls, t, f"{name}.{key}.{k}") for k, t in table.get(key, {}).items()}
    board = _strict(Board, {"name": name} | table, name)
    if "cpu" not in board.units:
        raise BadModel(name, "has no [units.cpu]")
    if others := sorted(board.units.keys() - {"cpu", NPU}):
        raise BadModel(name, f"has a unit {others[0]!r}", f"units are cpu and {NPU}")
    if board.npu:
        _check_beside(board, NPU)
    return board


def _costs(table: dict[str, Any], where: str) -> Costs:
    """What a unit's work takes, all numbers finite and from 0 up."""
    costs = _strict(Costs, table, where)
    counted: dict[str, tuple[float, float]] = {}
    for op, pair in costs.counted.items():
        if not isinstance(pair, list) or len(pair) != 2:
            raise BadModel(where, f"counted.{op} must be two numbers", "for a product, and for an element")
        counted[op] = pair[0], pair[1]
    plain = [getattr(costs, f.name) for f in fields(costs) if f.name != "counted"]
    given = (*plain, *(x for pair in counted.values() for x in pair))
    if not all(isinstance(x, (int, float)) and 0 <= x < math.inf for x in given) or not costs.per_us:
        raise BadModel(where, "costs must be numbers from 0 up, and per_us above")
    return replace(costs, counted=counted)


def _check_beside(board: Board, name: str) -> None:
    """A unit beside the cpu must say what it can do, where, and at what cost."""
    unit, where = board.units[name], f"{board.name}.units.{name}"
    for key in "ops", "dtypes", "window", "costs":
        if not getattr(unit, key):
            raise BadModel(where, f"needs the key {key!r}", "a unit beside the cpu says what it can do, and where")
    if unknown := set(unit.dtypes) - {str(d) for d in DType}:
        raise BadModel(where, f"unknown dtype {min(unknown)!r}", "known: " + ", ".join(map(str, DType)))
    if unit.window not in board.memories:
        raise BadModel(where, f"there is no memory {unit.window!r}", "known: " + ", ".join(board.memories))
    if unit.align < 1 or unit.align & (unit.align - 1):
        raise BadModel(where, f"'align' must be a power of two, not {unit.align}")
    if board.cpu.costs is None:
        raise BadModel(f"{board.name}.units.cpu", "needs the key 'costs'", f"they are weighed against those of {name}")


def board_files(board: Board, beside: bool = False, pool: bool = False) -> dict[str, Path]:
    """What a project's board/ folder holds besides memory.ld: each file's name there, and where it comes from.

    `beside` are those for the npu too, `pool` those for threads.
    """
    npu = (*board.npu.port, *board.npu.sources) if beside and board.npu else ()
    files = {
        Path(source).name: BOARDS / source
        for source in ("common/port.h", *board.cpu.sources, *(board.cpu.pool if pool else ()), *npu)
    }
    return files | ({"link.ld": BOARDS / board.cpu.linker} if board.cpu.linker else {})


def board_sources(sources: tuple[str, ...]) -> tuple[str, ...]:
    """Those of a unit's sources to compile, relative to a project's folder."""
    return tuple(f"board/{Path(source).name}" for source in sources if source.endswith(".c"))


def link_flags(board: Board) -> tuple[str, ...]:
    """Flags that follow the sources in the link's argv, run in a project's folder."""
    cpu = board.cpu
    script = ("-Lboard", "-T", "board/link.ld", f"-Wl,--defsym=STACK_SIZE={cpu.stack}") if cpu.linker else ()
    return ("-Wl,--gc-sections", *script, *cpu.libs)


def memory_ld(board: Board) -> str:
    """The linker's MEMORY block; empty for a board without a linker script."""
    if not board.cpu.linker:
        return ""
    flags = {"flash": "rx", "itcm": "rx"}
    rows = (
        f"    {name.upper()} ({flags.get(m.use, 'rw')}) : ORIGIN = {m.origin:#010x}, LENGTH = {m.size:#x}\n"
        for name, m in board.memories.items()
    )
    return "MEMORY\n{\n" + "".join(rows) + "}\n"


def _strict(cls: type[T], table: dict[str, Any], where: str) -> T:
    """Build `cls` from a TOML table, whose keys and types must be those of its fields; lists become tuples."""
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    if unknown := set(table) - set(known):
        raise BadModel(where, f"unknown key {min(unknown)!r}", "known: " + ", ".join(known))
    for name, f in known.items():
        if name not in table:
            if f.default is MISSING and f.default_factory is MISSING:
                raise BadModel(where, f"needs the key {name!r}")
        elif not _fits(str(f.type), table[name]):
            kind = str(f.type).split("[", maxsplit=1)[0].replace("tuple", "a list of strings")
            kind = kind.replace("Costs | None", "a table")
            raise BadModel(where, f"{name!r} must be {kind}")
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in table.items()})


def _fits(annotation: str, value: object) -> bool:
    """Whether a TOML value has a field's annotated type."""
    if annotation == "tuple[str, ...]":
        return isinstance(value, list) and all(isinstance(v, str) for v in value)
    return type(value).__name__ == annotation.split("[", maxsplit=1)[0].removesuffix(" | None")
