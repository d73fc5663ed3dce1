"""Reads a model file by its suffix. Floor 7."""

from __future__ import annotations

from pathlib import Path

from tte.errors import BadModel, TteError, Unsupported
from tte.frontend.decoder import CHUNK
from tte.ir import Module, identifier


def _tflite(path: Path, chunk: int | None) -> Module:
    from tte.frontend.tflite import import_tflite  # noqa: PLC0415 - reading schemas takes time

    return import_tflite(path, model_name(path))


def _onnx(path: Path, chunk: int | None) -> Module:
    from tte.frontend.onnx import import_onnx  # noqa: PLC0415 - reading schemas takes time

    return import_onnx(path, model_name(path))


def _llama2c(path: Path, chunk: int | None) -> Module:
    from tte.frontend.llama2c import import_llama2c  # noqa: PLC0415 - as the others

    return import_llama2c(path, model_name(path), CHUNK if chunk is None else chunk)


IMPORTERS = {".tflite": _tflite, ".onnx": _onnx, ".bin": _llama2c}
SPEAKING = (".bin",)


def load_model(path: Path, chunk: int | None = None) -> Module:
    """Import a TFLite or ONNX file, or a checkpoint of llama2.c; the module is named after the file.

    A language model takes `chunk` tokens of a prompt at once, None for as many as usual.
    """
    if not path.exists():
        raise TteError(str(path), "there is no such file")
    if path.is_dir():
        raise TteError(str(path), "is a directory", "give a .tflite, .onnx or .bin file")
    importer = IMPORTERS.get(path.suffix.lower())
    if importer is None:
        raise Unsupported(
            str(path), f"unknown kind of model {path.suffix!r}", "supported: .tflite, .onnx, .bin (llama2.c)"
        )
    if path.stat().st_size == 0:
        raise BadModel(str(path), "is empty")
    if chunk is not None and path.suffix.lower() not in SPEAKING:
        raise TteError("--chunk", "is for language models", "a .bin file of llama2.c")
    return importer(path, chunk)


def model_name(path: Path) -> str:
    """The file's name as a prefix of C names; what begins with tte is ours."""
    name = identifier(path.stem).lower()
    return f"m_{name}" if name.startswith("tte") else name
