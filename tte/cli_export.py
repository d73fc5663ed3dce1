"""tte export: what a device learned, back as a model for other tools. Floor 8."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tte.backend.to_onnx import export_onnx
from tte.console import OUT
from tte.errors import TteError
from tte.store import load
from tte.trained import read_trained
from tte.workspace import is_project


def export(
    folder: Annotated[Path, typer.Argument(help="A folder of `tte compile`.")],
    out: Annotated[Path, typer.Option("--output", "-o", help="The .onnx file to write.")],
    weights: Annotated[
        Path | None,
        typer.Option(help="What was trained: a .npz of `tte train`, or what the device's export or checkpoint wrote."),
    ] = None,
) -> None:
    """Write a compiled model as ONNX, with its trained weights; int8 layers become QDQ pairs."""
    if out.suffix.lower() != ".onnx":
        raise TteError(str(out), "is not the name of an .onnx file")
    if not is_project(folder):
        raise TteError(str(folder), "is not a project of tte", "tte compile MODEL -o FOLDER")
    module = load(folder)
    model = export_onnx(module, read_trained(weights, module) if weights else {})
    try:
        out.write_bytes(model.SerializeToString(deterministic=True))
    except OSError as error:
        raise TteError(str(out), f"cannot be written: {error.strerror}") from error
    OUT.print(f"{out}: {module.name}, {len(model.graph.node)} nodes, {out.stat().st_size:,} bytes", markup=False)
