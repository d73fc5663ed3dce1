"""Data sets: what is read, how it is split, what an input gets of it, and how bad data is refused."""

from __future__ import annotations

import io
import wave
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tte.data.audio import log_mel, recording
from tte.data.dataset import Inputs, read_dataset
from tte.data.feed import Pixels
from tte.errors import TteError
from tte.types import Array, DType, Quant, TensorType, Value

GREY = Value("x", TensorType((1, 1, 8, 6), DType.F32))
COLOUR = Value("x", TensorType((1, 8, 6, 3), DType.S8, Quant((1 / 127.5,), 0)))
RNG = np.random.default_rng(3)


def picture(path: Path, shade: int, size: tuple[int, int] = (6, 8), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, (shade, 0, 255 - shade) if mode == "RGB" else shade).save(path)


def folder(root: Path, *names: str) -> Path:
    for i, name in enumerate(names):
        picture(root / name, 10 * i)
    return root


def test_splits_and_classes(tmp_path: Path) -> None:
    names = [f"{s}/{c}/{i}.png" for s in ("train", "test", "validation") for c in ("cat", "dog") for i in range(3)]
    root = folder(tmp_path / "d", *names)
    (root / "notes.txt").write_text("not an image")
    (root / "train" / "cat" / ".hidden.png").write_text("not an image")
    found = read_dataset(root, COLOUR)
    assert found.classes == ("cat", "dog")
    assert found.train.labels.tolist() == found.test.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.train.x.shape == (6, 8, 6, 3)
    assert found.train.x[:, 0, 0, 0].tolist() == [0, 10, 20, 30, 40, 50]
    assert found.test.x[:, 0, 0, 0].tolist() == [60, 70, 80, 90, 100, 110]
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        for name in names:
            archive.write(root / name, f"wrapped/{name}")
    zipped = read_dataset(tmp_path / "d.zip", COLOUR)
    np.testing.assert_array_equal(zipped.train.x, found.train.x)
    np.testing.assert_array_equal(zipped.test.labels, found.test.labels)


def test_a_fifth_of_each_class_is_held_out(tmp_path: Path) -> None:
    root = folder(tmp_path / "d", *(f"{c}/{i}.png" for c in "ab" for i in range(10)))
    found, again, other = (read_dataset(root, COLOUR, seed) for seed in (1, 1, 2))
    assert np.bincount(found.train.labels).tolist() == [8, 8]
    assert np.bincount(found.test.labels).tolist() == [2, 2]
    shades = [s.x[:, 0, 0, 0].tolist() for d in (found, again, other) for s in (d.train, d.test)]
    assert sorted(shades[0] + shades[1]) == [10 * i for i in range(20)]
    assert shades[:2] == shades[2:4] != shades[4:]
    everything = read_dataset(root, COLOUR, test=folder(tmp_path / "t", "a/x.png", "b/x.png"))
    assert (len(everything.train), len(everything.test)) == (20, 2)


def test_images_become_inputs(tmp_path: Path) -> None:
    """Resized, in the input's colours, layout and element type; the pixel's meaning is that of `tte run`."""
    picture(tmp_path / "a" / "1.png", 255, (12, 16))
    picture(tmp_path / "b" / "1.png", 128, mode="L")
    found = read_dataset(tmp_path, COLOUR)
    first, second = (Inputs(COLOUR, Pixels())(x)[0] for x in found.train.x)
    assert first.shape == (1, 8, 6, 3)
    assert first[0, 4, 3].tolist() == [127, -128, -128]
    assert second[0, 4, 3].tolist() == [0, 0, 0]
    half = Pixels((0.5,), (0.5,))
    reals = Inputs(COLOUR, half)(found.train.x[0])[0][0, 4, 3].astype(int)
    assert abs(reals - [127, -128, -128]).max() <= 1  # each lies half way between two integers
    grey = read_dataset(tmp_path, GREY)
    x = Inputs(GREY, half)(grey.train.x[1])[0]
    assert (x.shape, x.dtype) == ((1, 1, 8, 6), np.float32)
    assert x[0, 0, 0, 0] == np.float32((np.float32(128) / np.float32(255) - np.float32(0.5)) / np.float32(0.5))
    ramp = np.linspace(0, 255, 16)[:, None].repeat(12, 1).astype(np.uint8)
    np.savez(tmp_path / "r.npz", x=np.stack([ramp] * 2), y=[0, 1])
    small = read_dataset(tmp_path / "r.npz", GREY).train.x[0, :, 0, 0].astype(int)
    assert (np.diff(small) > 0).all()
    assert abs(small - np.linspace(8.5, 246.5, 8))[1:-1].max() < 2  # the mean of two rows, about


def test_arrays(tmp_path: Path) -> None:
    x, y = RNG.integers(0, 255, (10, 8, 6), np.uint8), np.arange(10, dtype=np.uint8) % 3
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x[:4], y_test=y[:4])
    np.savez(tmp_path / "b.npz", x=x, y=y, is_test=np.arange(10) < 4, classes=["one", "two", "three", "four"])
    a, b = (read_dataset(tmp_path / f"{n}.npz", GREY) for n in "ab")
    assert (a.classes, a.named, len(a.train), len(a.test)) == (("0", "1", "2"), False, 10, 4)
    assert (b.classes[3], b.named, len(b.train), len(b.test)) == ("four", True, 6, 4)
    np.testing.assert_array_equal(b.train.x[:, :, :, 0], x[4:])
    own = Value("x", TensorType((1, 4), DType.F32))
    np.savez(tmp_path / "c.npz", x=np.eye(4), y=[0, 1, 0, 1])
    floats = read_dataset(tmp_path / "c.npz", own)
    assert Inputs(own, Pixels())(floats.train.x[2])[0].tolist() == [[0, 0, 1, 0]]
    flat = Value("x", TensorType((1, 48), DType.F32))
    pixels = read_dataset(tmp_path / "a.npz", flat)
    np.testing.assert_array_equal(
        Inputs(flat, Pixels())(pixels.train.x[0])[0], x[:1].reshape(1, 48).astype(np.float32) / np.float32(255)
    )


def sound(path: Path, data: Array, rate: int = 8000, channels: int = 1) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, data.itemsize, rate, 0, "NONE", ""))
        file.writeframes(data.tobytes())
    return path.read_bytes()


def test_recordings(tmp_path: Path) -> None:
    ramp = np.array([-32768, 0, 16384, 32767], np.int16)
    raw = Value("x", TensorType((1, 6), DType.F32))
    sound(tmp_path / "a" / "1.wav", ramp)
    sound(tmp_path / "b" / "1.wav", np.array([128, 0, 255, 128] * 8, np.uint8), channels=2)
    found = read_dataset(tmp_path, raw)
    assert found.train.x[0].tolist() == [-1, 0, 0.5, 32767 / 32768, 0, 0]
    assert found.train.x[1].tolist() == [-0.5, 127 / 256] * 3
    assert Inputs(raw, Pixels())(found.train.x[0])[0].shape == (1, 6)


def test_log_mel_finds_tones() -> None:
    """A sine of full scale is 255 where its frequency is, and louder there than elsewhere; silence is 0."""
    t = np.arange(8000) / 8000
    bands = [int(log_mel(np.sin(2 * np.pi * f * t), 8000, 49, 20).mean(0).argmax()) for f in (200, 700, 1500, 3000)]
    assert bands == sorted(set(bands))
    assert log_mel(np.zeros(8000), 8000, 49, 20).max() == 0
    loud, soft = (log_mel(a * np.sin(2 * np.pi * 1000 * t), 8000, 49, 20)[20].max() for a in (0.5, 0.05))
    assert int(loud) - int(soft) == pytest.approx(20 / 80 * 255, abs=1)
    assert loud == pytest.approx(255 * (1 - 6.02 / 80), abs=8)
    shape = TensorType((1, 49, 20, 1), DType.S8, Quant((0.1,), 0))
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes((np.sin(2 * np.pi * 700 * t[:3000]) * 32767).astype("<i2").tobytes())
    x = recording(buffer.getvalue(), "a.wav", shape)
    assert (x.shape, x.dtype, int(x[40:].max())) == ((49, 20, 1), np.uint8, 0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"x": np.zeros((4, 8, 6), np.uint8)}, "x_train, y_train"),
        ({"x": np.zeros((4, 8, 6), np.uint8), "y": [0, 1, 0]}, "x has 4 samples, y 3"),
        ({"x": np.zeros((4, 8, 6), np.uint8), "y": [0.5, 1, 0, 1]}, "class numbers"),
        ({"x": np.zeros((4, 8, 6), np.uint8), "y": [-1, 1, 0, 1]}, "class numbers"),
        ({"x": np.zeros((4, 8, 6), np.uint8), "y": [1, 1, 1, 1]}, "two classes"),
        ({"x": np.zeros((4, 8, 6), np.uint8), "y": [0, 1, 2, 3], "classes": ["a", "b"]}, "label 3"),
        ({"x": np.zeros((4, 9, 6), np.float32), "y": [0, 1, 0, 1]}, "float32[9, 6]"),
        ({"x": np.zeros((4, 8, 6), np.int8), "y": [0, 1, 0, 1]}, "int8[8, 6]"),
        ({"x": np.zeros((4, 8, 6), np.uint8), "y": [0, 1, 0, 1], "is_test": [True]}, "is_test"),
        ({"x": np.zeros((4, 8), object), "y": [0, 1, 0, 1]}, "plain arrays"),
        ({"x": np.uint8(3), "y": [0, 1, 0, 1]}, "x has 0 samples"),
        (
            {"x_train": np.zeros((4, 8, 6), np.uint8), "y_train": [0, 1, 0, 1], "x_test": np.zeros((4, 8, 6))},
            "no y_test",
        ),
    ],
)
def test_bad_arrays_are_refused(tmp_path: Path, content: dict[str, Array], words: str) -> None:
    np.savez(path := tmp_path / "bad.npz", **content)
    with pytest.raises(TteError, match=r"bad\.npz") as told:
        read_dataset(path, GREY)
    assert words in str(told.value)
    assert "\n" not in str(told.value)


def test_bad_files_are_refused(tmp_path: Path) -> None:
    def refused(path: Path, *words: str, value: Value = COLOUR) -> None:
        with pytest.raises(TteError) as told:
            read_dataset(path, value)
        for word in words:
            assert word in str(told.value)

    refused(tmp_path / "none", "no such")
    (tmp_path / "text.npz").write_text("no archive")
    refused(tmp_path / "text.npz", "plain arrays")
    (tmp_path / "some.txt").write_text("x")
    refused(tmp_path / "some.txt", "no folder")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "no images")
    refused(folder(tmp_path / "flat", "1.png", "2.png"), "class/file")
    refused(folder(tmp_path / "one", "a/1.png", "a/2.png"), "two classes")
    refused(
        folder(tmp_path / "image", "a/1.png", "b/1.png"), "takes none", value=Value("x", TensorType((1, 9), DType.F32))
    )
    (tmp_path / "broken" / "a").mkdir(parents=True)
    (tmp_path / "broken" / "a" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n no more")
    refused(folder(tmp_path / "broken", "b/1.png"), "bad.png")
    (tmp_path / "noise" / "a").mkdir(parents=True)
    (tmp_path / "noise" / "a" / "bad.wav").write_bytes(b"RIFF")
    refused(folder(tmp_path / "noise", "b/1.png"), "bad.wav")
    with pytest.raises(TteError, match="other classes"):
        read_dataset(
            folder(tmp_path / "ab", "a/1.png", "b/1.png"), COLOUR, test=folder(tmp_path / "ac", "a/1.png", "c/1.png")
        )
