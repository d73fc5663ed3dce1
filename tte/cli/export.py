"""tte export: what a device learned, or what its npu computes, as models for other tools. Floor 9."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast, get_args

import onnx
import typer
from rich.table import Table

from tte.backend.npu_runs import export_run, is_exact, npu_runs
from tte.backend.runtimes import Runtime, difference
from tte.backend.to_onnx import export_onnx
from tte.cli.console import OUT
from tte.cli.options import one_of
from tte.errors import TteError
from tte.record import read_record
from tte.store import load
from tte.training.trained import read_trained
from tte.workspace import is_project


def export(
    folder: Annotated[Path, typer.Argument(help="A folder of `tte compile`.")],
    out: Annotated[Path, typer.Option("--output", "-o", help="The .onnx file to write; with --npu, a new folder.")],
    weights: Annotated[
        Path | None,
        typer.Option(help="What was trained: a .npz of `tte train`, or what the device's export or checkpoint wrote."),
    ] = None,
    npu: Annotated[bool, typer.Option("--npu", help="Each run of the npu's calls as a model of its own.")] = False,
    check: Annotated[
        str | None,
        typer.Option(help="With --npu: also run them, on ONNX Runtime's cpu, or on htp, Qualcomm's emulated NPU."),
    ] = None,
) -> None:
    """Write a compiled model as ONNX, with its trained weights; int8 layers become QDQ pairs."""
    if not is_project(folder):
        raise TteError(str(folder), "is not a project of tte", "tte compile MODEL -o FOLDER")
    if npu:
        if weights:
            raise TteError("--weights", "is not for --npu")
        _export_npu(folder, out, cast(Runtime, one_of("--check", check, get_args(Runtime))) if check else None)
        return
    if check:
        raise TteError("--check", "belongs to --npu")
    if out.suffix.lower() != ".onnx":
        raise TteError(str(out), "is not the name of an .onnx file")
    module = load(folder)
    model = export_onnx(module, read_trained(weights, module) if weights else {})
    size = _write(out, model)
    OUT.print(f"{out}: {module.name}, {len(model.graph.node)} nodes, {size:,} bytes", markup=False)


def _export_npu(folder: Path, out: Path, check: Runtime | None) -> None:
    """A file for each run, and a table of them."""
    module, record = load(folder), read_record(folder)
    runs = npu_runs(module, record)
    if not runs:
        raise TteError(str(folder), f"has no calls on an npu: it was compiled for {record.board}", "-b phone-npu")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise TteError(str(out), "is there already", "-o names a new folder")
    out.mkdir(parents=True, exist_ok=True)
    table = Table("model", "calls", "MACs, counted", "bytes", "by ONNX", "difference", box=None, pad_edge=False)
    for run in runs:
        model = export_run(module, run)
        path = out / f"{run.name}.onnx"
        size = _write(path, model)
        kind = "exact, proved" if is_exact(module, run) else "to a rounding"
        macs = sum(n.op.macs(*n.types) for n in run.nodes)
        shown = f"{difference(module, run, model, check):g}, measured" if check else ""
        table.add_row(path.name, str(len(run.nodes)), f"{macs:,}", f"{size:,}", kind, shown)
    OUT.print(table)


def _write(path: Path, model: onnx.ModelProto) -> int:
    """Its bytes, which are the same for the same model."""
    try:
        return path.write_bytes(model.SerializeToString(deterministic=True))
    except OSError as error:
        raise TteError(str(path), f"cannot be written: {error.strerror}") from error
