"""Images to learn from, as the int8 that mcunet-5fps takes: 128x128x3, pixels - 127.5, rounded and clipped."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from tte.types import Array

FILES = {"signs": "sign_digits_64px.zip", "clothing10": "clothing10_64px.zip", "flowers5": "flowers5_96px.zip"}
SIDE = 128


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Images s8[n,128,128,3] and their classes s32[n]."""

    images: Array
    labels: Array


@cache
def load(name: str, shared: Path) -> tuple[Samples, Samples, int]:
    """The train and the test split of a data set, and its number of classes; files in order of their names."""
    with zipfile.ZipFile(shared / "data" / "images" / FILES[name]) as archive:
        files = sorted(n for n in archive.namelist() if not n.endswith("/"))
        classes = sorted({f.split("/")[1] for f in files})

        def split(part: str) -> Samples:
            names = [f for f in files if f.startswith(f"{part}/")]
            labels = [classes.index(f.split("/")[1]) for f in names]
            return Samples(np.stack([_image(archive.read(f)) for f in names]), np.array(labels, np.int32))

        return split("train"), split("test"), len(classes)


def _image(data: bytes) -> Array:
    """Resized bilinearly; whole pixels - 127.5 are ties, which go to even."""
    image = Image.open(io.BytesIO(data)).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.clip(np.rint(np.asarray(image, np.float32) - 127.5), -128, 127).astype(np.int8)
