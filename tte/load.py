"""Reads a model: a file by its suffix, or a folder. Floor 7."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tte.errors import BadModel, TteError, Unsupported
from tte.frontend.decoder import CHUNK
from tte.ir import Module, identifier


@dataclass(frozen=True, slots=True)
class Lengths:
    """Of a language model: tokens of a prompt that it takes at once, and positions of a text; None for as usual."""

    chunk: int | None = None
    context: int | None = None

    @property
    def tokens(self) -> int:
        """Those of a chunk."""
        return CHUNK if self.chunk is None else self.chunk


USUAL = Lengths()


def _tflite(path: Path, lengths: Lengths) -> Module:
    from tte.frontend.tflite import import_tflite  # noqa: PLC0415 - reading schemas takes time

    return import_tflite(path, model_name(path))


def _onnx(path: Path, lengths: Lengths) -> Module:
    from tte.frontend.onnx import import_onnx  # noqa: PLC0415 - reading schemas takes time

    return import_onnx(path, model_name(path))


def _llama2c(path: Path, lengths: Lengths) -> Module:
    from tte.frontend.llama2c import import_llama2c  # noqa: PLC0415 - as the others

    return import_llama2c(path, model_name(path), lengths.tokens, lengths.context)


def _exported(path: Path, lengths: Lengths) -> Module:
    from tte.frontend.exported import import_exported  # noqa: PLC0415 - as the others

    return import_exported(path, model_name(path), lengths.tokens, lengths.context)


def _folder(path: Path, lengths: Lengths) -> Module:
    from tte.frontend.huggingface import import_folder  # noqa: PLC0415 - as the others

    return import_folder(path, model_name(path), lengths.tokens, lengths.context)


IMPORTERS = {".tflite": _tflite, ".onnx": _onnx, ".bin": _llama2c, ".pt2": _exported}
SPEAKING = (".bin", ".pt2")


def load_model(path: Path, lengths: Lengths = USUAL) -> Module:
    """Import a TFLite or ONNX file, or a language model: a checkpoint of llama2.c, a folder of Hugging Face, a .pt2.

    The module is named after the file or folder.
    """
    if not path.exists():
        raise TteError(str(path), "there is no such file")
    if path.is_dir():
        if not is_model_folder(path):
            raise TteError(str(path), "is a directory without a config.json", "give a model's file or folder")
        return _folder(path, lengths)
    importer = IMPORTERS.get(path.suffix.lower())
    if importer is None:
        known = "supported: .tflite, .onnx, .bin (llama2.c), .pt2, or a folder of Hugging Face"
        raise Unsupported(str(path), f"unknown kind of model {path.suffix!r}", known)
    if path.stat().st_size == 0:
        raise BadModel(str(path), "is empty")
    if lengths != USUAL and path.suffix.lower() not in SPEAKING:
        option = "--chunk" if lengths.chunk is not None else "--context"
        raise TteError(option, "is for language models", "a .bin file of llama2.c, a .pt2, a folder of Hugging Face")
    return importer(path, lengths)


def is_model_folder(path: Path) -> bool:
    """True for a folder in Hugging Face's layout."""
    return (path / "config.json").is_file()


def model_name(path: Path) -> str:
    """The name of the file or folder as a prefix of C names; what begins with tte is ours."""
    path = path.resolve()
    name = identifier(path.name if path.is_dir() else path.stem).lower()
    return f"m_{name}" if name.startswith("tte") else name
