"""The model's own inputs, from files or drawn at random. Floor 6."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from tte.ends import own_inputs
from tte.errors import TteError, Unsupported
from tte.ir import Module
from tte.op import Arrays
from tte.types import Array, DType, TensorType, Value

if TYPE_CHECKING:
    from PIL.Image import Image

COLOURS = {1: "L", 3: "RGB"}  # Pillow's name of an image with that many channels
PIXELS = 255


@dataclass(frozen=True, slots=True)
class Pixels:
    """What a pixel of 0 to 255 means to the model: (pixel / 255 - mean) / std, for each channel or for all.

    Without a mean and a std, a float input takes pixel / 255, and an integer input the pixel itself, from its own
    lowest value on: 0 to 255 in u8, -128 to 127 in s8.
    """

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


def read_inputs(module: Module, paths: Sequence[Path], pixels: Pixels) -> Arrays:
    """One array per input of the model, in its own layout and element type, from .npy files and images."""
    wanted = own_inputs(module)
    if len(paths) != len(wanted):
        names = ", ".join(map(_described, wanted))
        raise TteError("--input", f"the model has {len(wanted)} inputs, not {len(paths)}", names)
    return tuple(_read(path, value, pixels) for path, value in zip(paths, wanted, strict=True))


def random_inputs(module: Module, seed: int = 0) -> Arrays:
    """Normal floats, and integers over their whole range."""
    rng = np.random.default_rng(seed)

    def draw(t: TensorType) -> Array:
        if t.dtype is DType.F32:
            return rng.standard_normal(t.shape).astype(np.float32)
        limits = np.iinfo(t.dtype.numpy)
        return rng.integers(limits.min, limits.max, t.shape, t.dtype.numpy, endpoint=True)

    return tuple(draw(v.type) for v in own_inputs(module))


def _read(path: Path, value: Value, pixels: Pixels) -> Array:
    if not path.is_file():
        raise TteError(str(path), "there is no such file")
    array = _array(path) if path.suffix.lower() == ".npy" else _image(path, value, pixels)
    t = value.type
    if array.dtype == np.float64 and t.dtype is DType.F32:
        array = array.astype(np.float32)
    if (array.shape, array.dtype) != (t.shape, t.dtype.numpy):
        given = f"{array.dtype}{list(array.shape)}"
        raise TteError(str(path), f"holds {given}, not what the input takes", _described(value))
    return array


def _array(path: Path) -> Array:
    try:
        loaded = np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise TteError(str(path), "is not a .npy file", str(error).splitlines()[0]) from error
    if not isinstance(loaded, np.ndarray):
        raise TteError(str(path), "holds more than one array", "save one array with numpy.save")
    return loaded


def image_shape(value: Value) -> tuple[int, int, int, bool] | None:
    """Height, width, channels, and whether these come first, of an input that takes an image."""
    match value.type.shape:
        case (1, h, w, c) if c in COLOURS:
            return h, w, c, False
        case (1, c, h, w) if c in COLOURS:
            return h, w, c, True
        case (1, h, w):
            return h, w, 1, False
        case _:
            return None


def open_image(file: Path | BinaryIO, where: str, channels: int, size: tuple[int, int] | None = None) -> Array:
    """An image as u8[h,w,channels]; with a size (h, w), resized to that (bilinear)."""
    image_module = _pillow(where)
    try:
        with image_module.open(file) as image:
            found = image.convert(COLOURS[channels])
    except (OSError, SyntaxError, image_module.DecompressionBombError) as error:
        raise TteError(where, "is not an image that Pillow can read") from error
    return _sized(found, size or (found.height, found.width), channels)


def resized(image: Array, where: str, channels: int, size: tuple[int, int]) -> Array:
    """An image u8[h,w,c] with other colours and another size (h, w), bilinear."""
    shown = _pillow(where).fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    return _sized(shown.convert(COLOURS[channels]), size, channels)


def elements(image: Array, value: Value, pixels: Pixels) -> Array:
    """An image u8[h,w,c] of the input's size as the input."""
    real, shape = _meaning(image, value.type, pixels), image_shape(value)
    return (real.transpose(2, 0, 1) if shape and shape[3] else real).reshape(value.type.shape)


def _image(path: Path, value: Value, pixels: Pixels) -> Array:
    """An image of exactly the input's size; nothing is cropped or scaled."""
    shape = image_shape(value)
    if shape is None:
        raise TteError("--input", f"{_described(value)} does not take an image", "give a .npy file")
    h, w, c, _ = shape
    found = open_image(path, str(path), c)
    if found.shape[:2] != (h, w):
        size = f"{found.shape[1]} x {found.shape[0]} pixels"
        raise TteError(str(path), f"has {size}, the input {w} x {h}", "crop or resize it first")
    return elements(found, value, pixels)


def _sized(image: Image, size: tuple[int, int], channels: int) -> Array:
    if (image.height, image.width) != size:
        from PIL.Image import Resampling  # noqa: PLC0415

        image = image.resize((size[1], size[0]), Resampling.BILINEAR)
    return np.asarray(image).reshape(*size, channels)


def _pillow(where: str) -> ModuleType:
    try:
        from PIL import Image  # noqa: PLC0415 an extra, needed only here
    except ImportError as error:
        raise Unsupported(where, "images need Pillow", "pip install pillow") from error
    return Image


def _meaning(image: Array, t: TensorType, pixels: Pixels) -> Array:
    """The pixels as the input's elements."""
    integer = t.dtype is not DType.F32
    limits = np.iinfo(t.dtype.numpy) if integer else None
    if limits and not (pixels.mean or pixels.std):
        if limits.bits != 8:
            raise TteError("--input", f"{t.dtype} pixels have no usual meaning", "give --mean and --std")
        return (image.astype(np.int64) + limits.min).astype(t.dtype.numpy)
    mean, std = (np.asarray(p or (d,), np.float32) for p, d in ((pixels.mean, 0.0), (pixels.std, 1.0)))
    if any(p.size not in (1, image.shape[2]) for p in (mean, std)) or not std.all():
        raise TteError("--mean, --std", f"need 1 or {image.shape[2]} numbers, and std none that is 0")
    real = (image.astype(np.float32) / np.float32(PIXELS) - mean) / std
    if not limits:
        return real.astype(np.float32)
    if t.quant is None:
        raise TteError("--mean, --std", f"{t} has no scale")
    q = np.rint(real / np.float32(t.quant.scale[0])) + t.quant.zero
    return np.asarray(q.clip(limits.min, limits.max), t.dtype.numpy)


def _described(value: Value) -> str:
    return f"{value.source or value.name}: {value.type.dtype.numpy}{list(value.type.shape)}"
