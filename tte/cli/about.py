"""Commands that tell what tte has: boards, ops, doctor. Floor 8."""

from __future__ import annotations

import inspect
import os
import re
import tempfile
from pathlib import Path

import numpy as np
from rich.table import Table

from tte.cli.console import OUT, progress, show_json
from tte.cli.options import Json, Markdown
from tte.driver import compile_model
from tte.errors import TteError
from tte.ir import Builder, Module
from tte.ops import all_ops
from tte.ops.add import Add
from tte.running.emulate import build, infer, missing_tools
from tte.target import Board, boards, load_board
from tte.types import DType, TensorType

FACTS = ("name", "summary", "flash", "sram", "packages")
INSTALL = "apt-get install -y --no-install-recommends"


def boards_(as_json: Json = False, markdown: Markdown = False) -> None:
    """List the boards."""
    found = [load_board(name) for name in boards()]
    if as_json:
        show_json({"boards": [{n: getattr(b, n) for n in FACTS} | {"isa": b.cpu.isa} for b in found]})
        return
    rows = []
    for b in found:
        sizes = [f"{size // 1024} KB" if size else "" for size in (b.flash, b.sram)]
        rows.append([b.name, " ".join(b.cpu.isa), b.cpu.counts, *sizes, b.summary])
    _show(["board", "extensions", "counts", "flash", "SRAM", "what it is"], rows, markdown)


def ops(as_json: Json = False, markdown: Markdown = False) -> None:
    """List the operators with their kernels."""
    found = {name: (inspect.getdoc(op) or "", sorted({k.symbol for k in op.kernels})) for name, op in all_ops().items()}
    if as_json:
        show_json({"ops": [{"name": name, "doc": doc, "kernels": kernels} for name, (doc, kernels) in found.items()]})
        return
    rows = []
    for name, (doc, kernels) in found.items():
        kinds = dict.fromkeys(k.removeprefix("tte_") for k in kernels)
        rows.append([name, doc.split("\n\n", maxsplit=1)[0].replace("\n", " "), ", ".join(kinds)])
    n = 2 if markdown else 3
    _show(["op", "what it computes", "kernels"][:n], [row[:n] for row in rows], markdown)


def doctor(as_json: Json = False) -> int:
    """Try every board with a tiny program, and tell the one command that installs what is missing."""
    rows = []
    for name in boards():
        board = load_board(name)
        with progress(f"trying {name}"):
            rows.append((board, _trouble(board)))
    wrong = [(board, what) for board, what in rows if what]
    packages = sorted({p for board, _ in wrong for p in board.packages})
    command = f"{'sudo ' if os.geteuid() else ''}{INSTALL} {' '.join(packages)}" if packages else ""
    if as_json:
        show_json({"boards": [{"name": b.name, "trouble": what} for b, what in rows], "install": command or None})
        return 0
    _show(["board", ""], [[board.name, what or "works"] for board, what in rows], markdown=False)
    if command:
        OUT.print(f"\nTo have them all, on Debian: {command}", markup=False)
    return 0


def _trouble(board: Board) -> str:
    """Why a tiny model does not run on the board; "" if it does."""
    if missing := missing_tools(board):
        return "missing: " + ", ".join(missing)
    b = Builder("infer")
    x = b.input("x", TensorType((1, 4), DType.F32))
    module = Module("doctor", (), (b.finish(*b.emit(Add(), x, x)),))
    ones = np.ones((1, 4), np.float32)
    try:
        with tempfile.TemporaryDirectory(prefix="tte-") as name:
            compile_model(module, board).write(Path(name))
            found = infer(module, build(Path(name), board), board, [(ones,)])
    except TteError as error:
        return f"does not work: {error}"
    return "" if np.array_equal(found.outputs[0][0], ones + ones) else "gives wrong results"


def _show(columns: list[str], rows: list[list[str]], markdown: bool) -> None:
    if markdown:
        for row in (columns, ["---"] * len(columns), *rows):
            print("| " + " | ".join(re.sub(r"([|*_<])", r"\\\1", cell) for cell in row) + " |")
        return
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    OUT.print(table)
