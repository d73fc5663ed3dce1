"""The numbers of a compiled model, as JSON and as tables. Floor 7."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from tte.record import Layer, Measured, Point, Record, Timing, Work, read_record
from tte.running.elf import object_text, sizes
from tte.target import Board

NUMBERS = (
    *("model", "board", "arena_bytes", "bound_bytes", "gap_bytes", "weights_bytes"),  # of a record
    *("sram_bytes", "flash_bytes", "code_bytes", "stack_bytes", "instructions", "training_instructions"),  # measured
)
PREFIXES = {"infer": "", "train_step": "training_"}


def measure(folder: Path, board: Board, counts: dict[str, tuple[int, ...]], stack: int | None) -> Measured:
    """Sizes of the program in `folder`, beside what its run told."""
    found, used = sizes(folder / "model.elf", board), stack if stack is not None else deepest(folder)
    return Measured(
        sram_bytes=found.ram + read_record(folder).shared_bytes + used,
        flash_bytes=found.flash,
        code_bytes=object_text(folder / "build" / "model" / "model.o"),
        stack_bytes=used,
        painted=stack is not None,
        counts=counts,
    )


def deepest(folder: Path) -> int:
    """Bytes of stack of main, the function it runs, the model and its largest step, as the compiler tells."""
    lines = "".join((folder / "build" / "model" / f"{name}.su").read_text() for name in ("main", "model"))
    used = {m[1]: int(m[2]) for m in re.finditer(r"(\w+)\t(\d+)\t", lines)}
    functions = r"\w+_(infer|train_step|prefill|decode|prompt_by)$"
    chain = "main$", "run_|generate|decode", r"\w+_prompt$", functions, "follow", "run_stage", "do_stage", "step_"
    return sum(max((b for name, b in used.items() if re.match(part, name)), default=0) for part in chain)


def numbers(record: Record, measured: Measured | None, outputs: list[dict[str, object]]) -> dict[str, object]:
    """One JSON object; null for what was not measured. See docs/json.md."""
    known: tuple[object, ...] = (record, measured)
    table: dict[str, object] = {n: next((getattr(k, n) for k in known if hasattr(k, n)), None) for n in NUMBERS}
    table["language"] = asdict(record.language) if record.language else None
    table["macs"] = sum(layer.macs for layer in record.functions[0].layers)
    for f in record.functions:
        prefix = PREFIXES.get(f.name, f"{f.name}_")
        table[f"{prefix}instructions"] = measured.total(f.name) if measured else None
        table[f"{prefix}layers"] = _rows(f, measured.of(f.name) if measured else None)
    return table | {"outputs": outputs}


def _rows(work: Work, counts: tuple[int, ...] | None) -> list[dict[str, object]]:
    return [_row(layer, counts[i] if counts else None) for i, layer in enumerate(work.layers)]


def _row(layer: Layer, instructions: int | None) -> dict[str, object]:
    row: dict[str, object] = {n: getattr(layer, n) for n in ("name", "op", "kernel", "macs")}
    row["instructions"] = instructions
    row |= {n: getattr(layer, n) for n in ("modelled", "constant_bytes")}
    row["choices"] = [asdict(c) for c in layer.choices]
    return row


def summary(record: Record, board: Board, measured: Measured | None) -> Table:
    """The table of bytes."""
    m = measured
    table = Table(box=None, pad_edge=False)
    table.add_column(f"{record.model} on {record.board}")
    table.add_column("bytes", justify="right")
    table.add_column("how we know", style="dim")
    rows: list[tuple[str, int | None, str]] = [
        ("arena", record.arena_bytes, record.verdict),
        ("weights", record.weights_bytes, "counted"),
        *_spoken(record),
    ]
    if record.windows:
        rows.insert(1, ("windows, in the arena", record.windows * record.window_bytes, f"for {record.windows} chunks"))
    if m:
        rows += [
            ("code of model.c", m.code_bytes, "counted"),
            ("flash", m.flash_bytes, "counted, the whole program" + _of(board.flash)),
            ("stack", m.stack_bytes, "counted" if m.painted else "proved by the compiler"),
            ("SRAM", m.sram_bytes, "counted, arena and stack included" + _of(board.sram)),
        ]
    for what, value, how in rows:
        table.add_row(what, f"{value:,}", how)
    names = {"infer": "instructions", "train_step": "training step", "prefill": "prefill of a chunk"}
    where = "; at position 0" if record.language else ""
    for function, counts in m.counts.items() if m else ():
        how = f"{board.cpu.counts}, counted, not cycles{where}"
        table.add_row(names.get(function, function), f"{sum(counts):,}", how)
    return table


def _spoken(record: Record) -> list[tuple[str, int | None, str]]:
    """Rows of a language model."""
    told = record.language
    if told is None:
        return []
    work = {f.name: f for f in record.functions}
    kinds = [(f"  {kind}", size, "counted, of the weights") for kind, size in told.flash.items() if size]
    return [
        *kinds,
        ("caches", told.cache_bytes, "proved, of the arena"),
        ("tokens of a chunk", told.chunk, f"chosen; a text has {told.context:,}"),
        ("calls of prefill", len(work["prefill"].layers), "counted, the same for every chunk"),
        ("calls of decode", len(work["decode"].layers), "counted"),
        *(_timed(record.timing) if record.timing else []),
    ]


def _timed(timing: Timing) -> list[tuple[str, int | None, str]]:
    """Rows of a prompt on two units."""
    chunks, how = timing.tasks[-1].chunk + 1, "ticks, modelled by the board's costs"
    return [
        *((f"prompt of {chunks} chunks, {name}", ticks, how) for name, ticks in timing.lengths.items()),
        ("no order takes less than", timing.bound, how),
        ("bytes from unit to unit", sum(t.crossing for t in timing.tasks), "counted"),
    ]


def _of(limit: int | None) -> str:
    return f"; the board has {limit:,}" if limit else ""


def layers(work: Work, measured: Measured | None) -> Table:
    """A row for each layer of a function."""
    counts = measured.of(work.name) if measured else None
    table = Table(box=None, pad_edge=False)
    table.add_column("#", justify="right")
    for column in ("layer", "op", "kernel"):
        table.add_column(column, overflow="fold")
    table.add_column("MACs", justify="right")
    table.add_column("counted" if counts else "modelled", justify="right")
    for i, layer in enumerate(work.layers):
        cost = counts[i] if counts else round(layer.modelled)
        table.add_row(str(i), layer.name, layer.op, layer.kernel, f"{layer.macs:,}", f"{cost:,}")
    return table


def frontier(points: Sequence[Point]) -> Table:
    """A row for each way to compile the model."""
    table = Table(box=None, pad_edge=False)
    table.add_column("--memory", overflow="fold")
    for column in ("arena", "bound", "modelled", "counted", "code"):
        table.add_column(column, justify="right")
    for p in points:
        known = (p.arena_bytes, p.bound_bytes, round(p.modelled), p.instructions, p.code_bytes)
        table.add_row(p.name, *("" if n is None else f"{n:,}" for n in known))
    return table


def why(record: Record) -> list[str]:
    """For each layer of the first function the kernel it got, and what became of the others."""
    lines = []
    for i, layer in enumerate(record.functions[0].layers):
        lines.append(f"{i} {layer.name}: {layer.kernel}")
        for c in layer.choices:
            verdict = c.refused or ("taken" if c.kernel == layer.kernel else "dearer")
            lines.append(f"    {c.kernel}: {verdict}; {c.modelled:,.0f} instructions modelled")
    return lines
