"""Tensor types: what a value is, down to the meaning of its integers. Floor 0."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Bytes: TypeAlias = bytes
NPU = "npu"  # the name of a unit beside the cpu
Array: TypeAlias = npt.NDArray[Any]  # element types are checked by TensorType.accepts, not by mypy


class DType(Enum):
    """An element type: its name here, in C and in numpy."""

    F32 = ("f32", "float", "f4")
    U1 = ("u1", "uint8_t", "u1")  # packed in memory, element i at bit i % 8 of byte i / 8; one element a byte in numpy
    S8 = ("s8", "int8_t", "i1")
    U8 = ("u8", "uint8_t", "u1")
    S16 = ("s16", "int16_t", "i2")
    S32 = ("s32", "int32_t", "i4")
    S64 = ("s64", "int64_t", "i8")

    def __init__(self, label: str, c: str, code: str) -> None:
        self.label, self.c, self.numpy = label, c, np.dtype(code)

    @property
    def bits(self) -> int:
        """Bits of one element; a tensor's bytes are rounded up from these."""
        return 1 if self is DType.U1 else 8 * self.numpy.itemsize

    def __str__(self) -> str:
        return self.label


class Rounding(Enum):
    """How an integer sum of products is brought back to int8 (DESIGN 4); set by the importer, carried by the op."""

    TFLITE = "tflite"  # LiteRT's reference kernels, bit for bit
    ONNX = "onnx"  # rne(f32(sum) * f32(f32(s_x * s_w) / s_y))
    SINGLE = "single"  # Q31 multiplier, rounded once

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Quant:
    """real = scale * (q - zero), with one scale for the tensor or one per index of `axis`; scales are float32."""

    scale: tuple[float, ...]
    zero: int = 0
    axis: int | None = None

    INLINE = 8  # more scales than this are printed as their digest

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", tuple(np.asarray(self.scale, np.float32).tolist()))

    @property
    def digest(self) -> str:
        """A name for the scales, made of nothing but them."""
        return "x" + hashlib.sha256(np.asarray(self.scale, "<f4").tobytes()).hexdigest()[:16]

    def __str__(self) -> str:
        shown = [str(s) for s in np.asarray(self.scale, np.float32)]
        if self.axis is None:
            return f"{{{shown[0]}, zero {self.zero}}}"
        scales = f"({', '.join(shown)})" if len(shown) <= self.INLINE else f"scales {self.digest}"
        return f"{{{scales}, zero {self.zero}, axis {self.axis}}}"


@dataclass(frozen=True, slots=True)
class TensorType:
    """Shape, element type and, for integers that stand for reals, their quantisation."""

    shape: tuple[int, ...]
    dtype: DType
    quant: Quant | None = None

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Size in memory."""
        return -(-self.size * self.dtype.bits // 8)

    @property
    def scaling(self) -> Quant:
        """The quantisation, for code that has established that there is one."""
        if self.quant is None:
            raise TypeError(f"{self} is not quantised")
        return self.quant

    def accepts(self, array: Array) -> bool:
        """True if `array` may hold this value; floats may be wider than stored, as finite differences need."""
        kind = np.floating if self.dtype is DType.F32 else self.dtype.numpy.type
        return array.shape == self.shape and np.issubdtype(array.dtype, kind)

    def encode(self, array: Array) -> Bytes:
        """The tensor as it lies in memory."""
        return (np.packbits(array, bitorder="little") if self.dtype is DType.U1 else array).tobytes()

    def decode(self, data: Bytes) -> Array:
        """The tensor whose bytes in memory are `data`."""
        found = np.frombuffer(data, self.dtype.numpy)
        if self.dtype is DType.U1:
            found = np.unpackbits(found, count=self.size, bitorder="little")
        return found.reshape(self.shape)

    def __str__(self) -> str:
        return f"{self.dtype.label}[{','.join(map(str, self.shape))}]{self.quant or ''}"


@dataclass(frozen=True, slots=True)
class Value:
    """One tensor in a graph, known by its name; `source` is what the imported model calls it."""

    name: str
    type: TensorType
    source: str = field(default="", compare=False)

    def __hash__(self) -> int:
        return hash(self.name)  # types may carry a thousand scales

    def __str__(self) -> str:
        return f"{self.name}: {self.type}{origin(self.source, self.name)}"


def origin(source: str, name: str = "") -> str:
    """How the printed IR tells what the imported model calls something, if that differs; fit for a comment in C."""
    quoted = json.dumps(source).replace("*/", r"*\u002f").replace("/*", r"\u002f*")
    return f" @ {quoted}" if source not in ("", name) else ""
