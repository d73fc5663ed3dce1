"""Recordings as a model's input takes them.

A .wav file holds integer PCM of 8, 16 or 32 bits; channels are averaged, nothing is resampled. An input of one axis,
[1,n], [1,n,1] or [1,1,n] in f32, takes the samples themselves, from -1 to 1: cut off at n, or followed by silence. An
input of frames, [1,t,m] or [1,t,m,1], takes a picture u8[t,m] of log-mel energies, to which --mean and --std apply as
to an image's pixels: the recording is cut, or filled, to its first second; frame i is a Hann window of two t-ths of it
that begins at i t-ths; m triangles lie evenly in mel(f) = 2595 log10(1 + f / 700) from 20 Hz to half the sample rate;
10 log10 of the energy in each, from 80 dB below about that of a sine of full scale, is spread over 0 to 255. Floor 6.
"""

from __future__ import annotations

import io
import wave

import numpy as np
import numpy.typing as npt

from tte.errors import TteError
from tte.types import Array, DType, TensorType

WAVES = frozenset((".wav",))
LOWEST, RANGE = 20.0, 80.0  # Hz, dB
PCM = {1: "u1", 2: "<i2", 4: "<i4"}  # by bytes of a sample
Floats = npt.NDArray[np.float64]


def recording(data: bytes, where: str, t: TensorType) -> Array:
    """A .wav file for an input of the type t: f32 samples [n], or a picture u8[t,m,1]."""
    rate, sound = _samples(data, where)
    match t.shape:
        case (1, n) | (1, n, 1) | (1, 1, n) if t.dtype is DType.F32 and n > 1:
            return _cut(sound, n).astype(np.float32)
        case (1, frames, bands) | (1, frames, bands, 1) | (1, 1, frames, bands) if bands > 1:
            return log_mel(_cut(sound, rate), rate, frames, bands)[:, :, None]
        case _:
            raise TteError(where, f"is a recording, and the input {t} takes none", "[1,n] in f32, or [1,frames,bands]")


def log_mel(sound: Floats, rate: int, frames: int, bands: int) -> Array:
    """Log-mel energies u8[frames,bands] of samples from -1 to 1."""
    size = max(2, 2 * (len(sound) // frames))
    starts = (np.arange(frames) * len(sound)) // frames
    taken = np.pad(sound, (0, size))[starts[:, None] + np.arange(size)]
    window = np.hanning(size)
    heard = np.abs(np.fft.rfft(taken * window, axis=1)) / (window.sum() / 2)
    level = 10 * np.log10(np.maximum(heard**2 @ _triangles(heard.shape[1], rate, bands), 1e-18))
    spread: Array = np.rint(np.clip(level / RANGE + 1, 0, 1) * 255).astype(np.uint8)
    return spread


def _triangles(bins: int, rate: int, bands: int) -> Floats:
    """The weight of each bin of a spectrum in each band: [bins,bands]."""
    mels = np.linspace(2595 * np.log10(1 + LOWEST / 700), 2595 * np.log10(1 + rate / 1400), bands + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    at = np.linspace(0, rate / 2, bins)[:, None]
    rise = (at - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - at) / (edges[2:] - edges[1:-1])
    return np.maximum(np.minimum(rise, fall), 0)


def _cut(sound: Floats, n: int) -> Floats:
    return np.pad(sound[:n], (0, max(0, n - len(sound))))


def _samples(data: bytes, where: str) -> tuple[int, Floats]:
    """The sample rate, and samples from -1 to 1."""
    try:
        with wave.open(io.BytesIO(data)) as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            raw = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise TteError(where, "is no .wav file of PCM samples", str(error)) from error
    if width not in PCM or not rate:
        raise TteError(where, f"has samples of {8 * width} bits", "8, 16 or 32")
    whole = np.frombuffer(raw[: len(raw) // (width * channels) * width * channels], PCM[width]).astype(np.float64)
    centred = (whole - 128) / 128 if width == 1 else whole / 2.0 ** (8 * width - 1)
    return rate, centred.reshape(-1, channels).mean(1)
