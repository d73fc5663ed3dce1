"""What was trained, read from a file: a .npz of states, or what the model's `export` or a checkpoint wrote. Floor 5."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from tte.errors import TteError
from tte.ir import Module
from tte.states import layout
from tte.types import Array


def read_trained(path: Path, module: Module) -> dict[str, Array]:
    """New values of states in sram by name, all or some; TteError where the file is not this module's."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TteError(str(path), f"cannot be read: {error.strerror}") from error
    places = layout(module.states)
    if not data.startswith(b"PK"):
        return places.unpack(places.unseal(data, str(path)))
    try:
        with np.load(path) as stored:
            given = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise TteError(str(path), "is no .npz of states", str(error)) from error
    known = {v.name: v.type for v, _ in places.offsets}
    for name, array in given.items():
        if name not in known or (known[name].shape, known[name].dtype.numpy) != (array.shape, array.dtype):
            raise TteError(str(path), f"{name}: {array.dtype}{list(array.shape)} is no state of this project")
    return given
