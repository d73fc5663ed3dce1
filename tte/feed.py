"""The model's own inputs, from files or drawn at random. Floor 6."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tte.ends import own_inputs
from tte.errors import TteError, Unsupported
from tte.ir import Module
from tte.op import Arrays
from tte.types import Array, DType, TensorType, Value

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


def _image(path: Path, value: Value, pixels: Pixels) -> Array:
    """An image of exactly the input's size; nothing is cropped or scaled."""
    try:
        from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - an extra, needed only here
    except ImportError as error:
        raise Unsupported(str(path), "images need Pillow", "pip install pillow") from error
    h, w, c, channels_first = _layout(value)
    try:
        with Image.open(path) as image:
            found = np.asarray(image.convert(COLOURS[c]))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise TteError(str(path), "is neither a .npy file nor an image that Pillow can read") from error
    if found.shape[:2] != (h, w):
        size = f"{found.shape[1]} x {found.shape[0]} pixels"
        raise TteError(str(path), f"has {size}, the input {w} x {h}", "crop or resize it first")
    real = _meaning(found.reshape(h, w, c), value.type, pixels)
    return (real.transpose(2, 0, 1) if channels_first else real).reshape(value.type.shape)


def _layout(value: Value) -> tuple[int, int, int, bool]:
    """Height, width, channels, and whether these come first."""
    match value.type.shape:
        case (1, h, w, c) if c in COLOURS:
            return h, w, c, False
        case (1, c, h, w) if c in COLOURS:
            return h, w, c, True
        case (1, h, w):
            return h, w, 1, False
        case _:
            raise TteError("--input", f"{_described(value)} does not take an image", "give a .npy file")


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
