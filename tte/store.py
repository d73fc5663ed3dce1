"""Stores a module as text and constants, and reads it back.

The text holds everything but arrays. Those lie beside it by name: each state's initial value, and each list of scales
that is too long to print, under its digest. Floor 5.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from tte.errors import BadModel
from tte.ir import Module
from tte.text import parse
from tte.types import Array, Quant

TEXT, ARRAYS = "module.txt", "module.npz"


def arrays(module: Module) -> dict[str, Array]:
    """What `parse` needs beside the text."""
    found: dict[str, Array] = {s.value.name: s.init for s in module.states}
    values = [s.value for s in module.states]
    for g in (*module.graphs, *module.host):
        values += [*g.ins, *(v for n in g.nodes for v in n.outs)]
    quants = {v.type.quant for v in values if v.type.quant is not None and v.type.quant.axis is not None}
    long = (q for q in quants if len(q.scale) > Quant.INLINE)
    return found | {q.digest: np.asarray(q.scale, np.float32) for q in sorted(long, key=lambda q: q.digest)}


def files(module: Module) -> dict[str, bytes]:
    """The module as two files, equal bytes for equal modules: no dates, no compression."""
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as archive:
        for name, array in arrays(module).items():
            one = io.BytesIO()
            np.save(one, np.ascontiguousarray(array).reshape(array.shape))
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), one.getvalue())
    return {TEXT: str(module).encode(), ARRAYS: stored.getvalue()}


def load(folder: Path) -> Module:
    """The module that `files` stored in `folder`."""
    try:
        with np.load(folder / ARRAYS) as stored:
            found = {name: stored[name] for name in stored.files}
        return parse((folder / TEXT).read_text(), found)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise BadModel(str(folder), f"{TEXT} or {ARRAYS} cannot be read", str(error)) from error
