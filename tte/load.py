"""Reads a model file by its suffix. Floor 7."""

from __future__ import annotations

from pathlib import Path

from tte.errors import BadModel, TteError, Unsupported
from tte.ir import Module, identifier


def _tflite(path: Path) -> Module:
    from tte.frontend.tflite import import_tflite  # noqa: PLC0415 - reading schemas takes time

    return import_tflite(path, model_name(path))


def _onnx(path: Path) -> Module:
    from tte.frontend.onnx import import_onnx  # noqa: PLC0415 - reading schemas takes time

    return import_onnx(path, model_name(path))


IMPORTERS = {".tflite": _tflite, ".onnx": _onnx}


def load_model(path: Path) -> Module:
    """Import a TFLite or ONNX file; the module is named after the file."""
    if not path.exists():
        raise TteError(str(path), "there is no such file")
    if path.is_dir():
        raise TteError(str(path), "is a directory", "give a .tflite or .onnx file")
    importer = IMPORTERS.get(path.suffix.lower())
    if importer is None:
        raise Unsupported(str(path), f"unknown kind of model {path.suffix!r}", "supported: .tflite, .onnx")
    if path.stat().st_size == 0:
        raise BadModel(str(path), "is empty")
    return importer(path)


def model_name(path: Path) -> str:
    """The file's name as a prefix of C names; what begins with tte is ours."""
    name = identifier(path.stem).lower()
    return f"m_{name}" if name.startswith("tte") else name
