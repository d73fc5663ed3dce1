"""Labelled samples from folders, archives and arrays, as a model's input takes them.

A data set is one of

- a folder, or a .zip of one, of `class/file` or `split/class/file` with the splits train and test (or validation).
  Files are images, which are resized to the input (bilinear), or .wav files (tte.data.audio);
- a .npz with x_train, y_train, x_test, y_test, or with x, y and perhaps is_test; `classes` may name the classes.
  x are images u8[n,h,w] or u8[n,h,w,c], treated like files, or arrays that hold what the input takes.

Where nothing says what is for testing, a fifth of each class is, drawn by the seed. Floor 7.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from tte.data.audio import WAVES, recording
from tte.data.feed import COLOURS, Pixels, elements, image_shape, open_image, resized
from tte.errors import TteError
from tte.op import Arrays
from tte.types import Array, Value

IMAGES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp"))
TRAIN, TEST, OTHER = ("train", "training"), ("test", "testing"), ("validation", "valid", "val")
HELD_OUT = 5  # one in so many is for testing
FILES = {"train": ("x_train", "y_train"), "test": ("x_test", "y_test")}


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """x are pictures u8[n,h,w,c] of the input's size, or n times what the input takes; labels s32[n] are classes."""

    x: Array
    labels: Array

    def __len__(self) -> int:
        return len(self.labels)

    def only(self, chosen: Array) -> Samples:
        """Those at some places, or where a mask is set."""
        return Samples(self.x[chosen], self.labels[chosen])


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """What is learned from and what is tested on; labels are places in `classes`. Without names they are numbers."""

    classes: tuple[str, ...]
    named: bool
    train: Samples
    test: Samples


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """Turns samples into the one input of a model."""

    value: Value
    pixels: Pixels

    def __call__(self, x: Array) -> Arrays:
        """The input for one sample of Samples.x."""
        return (elements(x, self.value, self.pixels) if x.dtype == np.uint8 else x.reshape(self.value.type.shape),)


def read_dataset(path: Path, value: Value, seed: int = 0, test: Path | None = None) -> Dataset:
    """Read `path` for the input `value`; `test` is tested on instead of what `path` has for that."""
    found = _read(path, value, seed, split=test is None)
    if test:
        other = _read(test, value, seed, split=False)
        if found.named and other.named and other.classes != found.classes:
            raise TteError(str(test), f"has other classes than {path.name}", ", ".join(other.classes[:12]))
        found = replace(found, test=other.test if len(other.test) else other.train)
        found = replace(found, classes=max(found.classes, other.classes, key=len))
    if len(set(found.train.labels.tolist())) < 2:
        raise TteError(str(path), "needs at least two classes to learn from", "class/file, or labels in y")
    return found


def _read(path: Path, value: Value, seed: int, split: bool) -> Dataset:
    """`split`: hold samples out for testing if the data set itself has none for that."""
    if not path.exists():
        raise TteError(str(path), "there is no such file or folder")
    if path.suffix.lower() == ".npz":
        found = _arrays(path, value)
    elif path.is_dir() or zipfile.is_zipfile(path):
        found = _files(path, value)
    else:
        raise TteError(str(path), "is no folder, .zip or .npz")
    if len(found.test) or not split:
        return found
    held = _held_out(found.train.labels, seed)
    return replace(found, train=found.train.only(~held), test=found.train.only(held))


def _held_out(labels: Array, seed: int) -> Array:
    """True for a fifth of each class; of fewer than five samples none."""
    rng, held = np.random.default_rng(seed), np.zeros(len(labels), np.bool_)
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        held[rng.permutation(places)[: len(places) // HELD_OUT]] = True
    return held


def _files(path: Path, value: Value) -> Dataset:
    """A folder or a .zip."""
    names = _unwrapped(sorted(_names(path)))
    splits = {n.parts[0].lower() for n, _ in names}
    split = splits <= {*TRAIN, *TEST, *OTHER} and bool(splits & {*TRAIN})
    deep = 2 if split else 1
    wanted = [(n, full) for n, full in names if len(n.parts) > deep]
    if not wanted:
        raise TteError(
            str(path), "holds no images or .wav files in folders of classes", "class/file or train/class/file"
        )
    classes = tuple(sorted({n.parts[deep - 1] for n, _ in wanted}))
    tested = TEST if splits & {*TEST} else OTHER
    found: dict[bool, tuple[list[Array], list[int]]] = {False: ([], []), True: ([], [])}
    for (name, _), x in zip(wanted, _loaded(path, [full for _, full in wanted], value), strict=True):
        of = name.parts[0].lower() if split else TRAIN[0]
        if of in TRAIN or of in tested:
            found[of in tested][0].append(x)
            found[of in tested][1].append(classes.index(name.parts[deep - 1]))
    train, test = (_samples(found[t], value) for t in (False, True))
    return Dataset(classes, named=True, train=train, test=test)


def _samples(found: tuple[list[Array], list[int]], value: Value) -> Samples:
    x, labels = found
    return Samples(np.stack(x) if x else np.zeros((0, *value.type.shape), np.uint8), np.asarray(labels, np.int32))


def _names(path: Path) -> Iterator[PurePosixPath]:
    """Images and .wav files below a folder, or in a .zip."""
    if path.is_dir():
        every = [PurePosixPath(p.relative_to(path).as_posix()) for p in path.rglob("*") if p.is_file()]
    else:
        with zipfile.ZipFile(path) as archive:
            every = [PurePosixPath(n) for n in archive.namelist() if not n.endswith("/")]
    for name in every:
        hidden = any(part.startswith((".", "__")) for part in name.parts)
        if not hidden and name.suffix.lower() in IMAGES | WAVES:
            yield name


def _unwrapped(names: list[PurePosixPath]) -> list[tuple[PurePosixPath, PurePosixPath]]:
    """Each name without the folders that all have in common, down to class/file; and as it was."""
    short = names
    while short and len({n.parts[0] for n in short}) == 1 and min(len(n.parts) for n in short) > 2:
        short = [PurePosixPath(*n.parts[1:]) for n in short]
    return list(zip(short, names, strict=True))


def _loaded(path: Path, names: list[PurePosixPath], value: Value) -> Iterator[Array]:
    """Each file's sample."""
    if path.is_dir():
        for name in names:
            yield _sample((path / name).read_bytes(), str(path / name), value)
        return
    with zipfile.ZipFile(path) as archive:
        for name in names:
            try:
                data = archive.read(str(name))
            except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
                raise TteError(f"{path}: {name}", "cannot be read", str(error)) from error
            yield _sample(data, f"{path}: {name}", value)


def _sample(data: bytes, where: str, value: Value) -> Array:
    if PurePosixPath(where).suffix.lower() in WAVES:
        return recording(data, where, value.type)
    shape = image_shape(value)
    if shape is None:
        raise TteError(where, f"is an image, and the input {value.type} takes none")
    h, w, c, _ = shape
    return open_image(io.BytesIO(data), where, c, (h, w))


def _arrays(path: Path, value: Value) -> Dataset:
    """A .npz."""
    try:
        with np.load(path) as stored:
            held = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise TteError(str(path), "is no .npz of plain arrays", str(error)) from error
    if {"x_train", "y_train"} <= held.keys():
        train = _pair(path, held, "x_train", "y_train", value)
        test = _pair(path, held, "x_test", "y_test", value) if "x_test" in held else train.only(np.zeros(0, np.int64))
    elif {"x", "y"} <= held.keys():
        every = _pair(path, held, "x", "y", value)
        test_of = np.asarray(held.get("is_test", np.zeros(len(every))), np.bool_)
        if test_of.shape != (len(every),):
            raise TteError(str(path), f"is_test has the shape {list(test_of.shape)}, not {[len(every)]}")
        train, test = every.only(~test_of), every.only(test_of)
    else:
        raise TteError(str(path), f"holds {', '.join(held) or 'nothing'}", "x, y or x_train, y_train, x_test, y_test")
    top = max((int(s.labels.max()) for s in (train, test) if len(s)), default=0) + 1
    names = tuple(str(n) for n in held["classes"].ravel()) if "classes" in held else tuple(map(str, range(top)))
    if top > len(names):
        raise TteError(str(path), f"has the label {top - 1}, and names of {len(names)} classes only")
    return Dataset(names, named="classes" in held, train=train, test=test)


def _pair(path: Path, held: dict[str, Array], x: str, y: str, value: Value) -> Samples:
    """Samples and labels, checked and fitted to the input."""
    if y not in held:
        raise TteError(str(path), f"has {x} but no {y}")
    images, labels = held[x], held[y]
    if labels.ndim != 1 or labels.dtype.kind not in "iub" or (labels.size and int(labels.min()) < 0):
        raise TteError(str(path), f"{y} is {labels.dtype}{list(labels.shape)}, not class numbers from 0 on")
    if images.shape[:1] != labels.shape:
        raise TteError(str(path), f"{x} has {images.shape[0] if images.ndim else 0} samples, {y} {len(labels)}")
    return Samples(_fitted(images, f"{path}: {x}", value), labels.astype(np.int32))


def _fitted(x: Array, where: str, value: Value) -> Array:
    """Samples as they are kept: u8 are pictures, all else must be what the input takes."""
    t = value.type
    h, w, c, _ = image_shape(value) or (1, t.size, 1, False)
    size = math.prod(x.shape[1:])
    if x.dtype == np.uint8 and size == t.size and (h == 1 or x.shape[1:3] == (h, w)):
        return x.reshape(len(x), h, w, c)
    if x.dtype == np.uint8 and h > 1 and (x.ndim == 3 or (x.ndim == 4 and x.shape[3] in COLOURS)):
        return np.stack([resized(i.reshape(*i.shape[:2], -1), where, c, (h, w)) for i in x])
    if x.dtype.kind == "f" == t.dtype.numpy.kind:
        x = x.astype(np.float32)
    if size != t.size or x.dtype != t.dtype.numpy:
        takes = f"{t.dtype.numpy}{list(t.shape[1:])}"
        raise TteError(where, f"holds {x.dtype}{list(x.shape[1:])}, the input takes {takes}", "or images u8[n,h,w,c]")
    return x
