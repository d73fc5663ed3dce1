"""The calls of a layer of Qwen1.5-1.8B, at their real shapes, as benchmarks/schedule.py counts them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.op import Example
from tte.ops.add import Add
from tte.ops.attention import Attention
from tte.ops.cache_rows import CacheRows
from tte.ops.dequantize import Dequantize
from tte.ops.linear import Linear
from tte.ops.mul import Mul
from tte.ops.quantize import Quantize
from tte.ops.rms_norm import RmsNorm
from tte.ops.rope import Rope
from tte.ops.shadow import Shadow
from tte.ops.silu import Silu
from tte.passes.npu.shapes import QWEN
from tte.types import Array, DType, Quant, Rounding, TensorType

CHUNK, HEADS, CONTEXT = 256, 16, 1024
HOT, BEYOND, SCALE = 0.03, 0.1, 0.02
F32, S8, S32 = DType.F32, DType.S8, DType.S32
SPAN = TensorType((2,), S32)


@dataclass(frozen=True, slots=True)
class Point:
    """A call to count: products that it makes, and elements of its results."""

    example: Example
    macs: int
    elements: int

    @property
    def op(self) -> str:
        """What the board's table knows it by."""
        return self.example.op.label()


def tensor(*shape: int, dtype: DType = F32, quant: Quant | None = None) -> TensorType:
    """A type, of floats where nothing else is said."""
    return TensorType(shape, dtype, quant)


def attention(start: int, rows: int = CHUNK) -> Point:
    """Of so many rows, the first at `start`."""
    cache = tensor(CONTEXT, QWEN.kv)
    e = Example.random(Attention(HEADS, HEADS), tensor(rows, QWEN.dim), cache, cache, SPAN)
    e.args[3][:] = start, rows
    return Point(e, 2 * QWEN.dim * (rows * start + rows * (rows + 1) // 2), rows * QWEN.dim)


def shadow(hot: int) -> Point:
    """Of so many channels, a tenth of whose elements are beyond the clamp: only these take their row of products."""
    d, channels = QWEN.dim, list(range(0, 33 * hot, 33))
    types = tensor(CHUNK, d, dtype=S32), tensor(CHUNK, d), tensor(hot, d, dtype=S8)
    e = Example.random(Shadow(SCALE, tuple(channels)), *types, consts=(2,))
    beyond: Array = np.random.default_rng(1).random((CHUNK, hot)) < BEYOND
    e.args[1][:, channels] = np.where(beyond, 200 * SCALE, SCALE).astype(np.float32)
    return Point(e, CHUNK * hot * d, CHUNK * d)


def each(e: Example) -> Point:
    """An op without products."""
    (y,) = e.op.results(*e.ins)
    return Point(e, 0, y.size)


def on_cpu() -> dict[str, Point]:
    """The calls of a layer."""
    d, h = QWEN.dim, QWEN.hidden
    x, wide = tensor(CHUNK, d), tensor(CHUNK, h)
    sums = tensor(CHUNK, d, dtype=S32, quant=Quant((0.01,) * d, 0, 1))
    rope = Example.random(Rope(d // HEADS, "halves"), x, tensor(CONTEXT, d // HEADS // 2, 2), SPAN, consts=(1,))
    rows = Example.random(CacheRows(), tensor(CONTEXT, d), x, SPAN)
    for e in (rope, rows):
        e.args[2][:] = CONTEXT - CHUNK, CHUNK
    plain = {
        "rms_norm": Example.random(RmsNorm(1e-6), x, tensor(d), consts=(1,)),
        "quantize": Example.random(Quantize(Quant((SCALE,)), Rounding.ONNX), x),
        "dequantize": Example.random(Dequantize(), sums),
        "rope": rope,
        "add": Example.random(Add(), x, x),
        "silu": Example.random(Silu(), wide),
        "mul": Example.random(Mul(), wide, wide),
    }
    found = {f"attention at {start}": attention(start) for start in (0, CONTEXT - CHUNK)}
    found |= {f"shadow of {hot} channels": shadow(hot) for hot in (int(d * HOT) // 2, int(d * HOT))}
    found |= {name: each(e) for name, e in plain.items()}
    return found | {"cache_rows": Point(rows, 0, CHUNK * d)}


def on_npu() -> dict[str, Point]:
    """Its matrix products, with sums for results."""
    found = {}
    for k, n in ((QWEN.dim, QWEN.dim), (QWEN.dim, QWEN.hidden), (QWEN.hidden, QWEN.dim)):
        x = tensor(CHUNK, k, dtype=S8, quant=Quant((SCALE,)))
        w = tensor(n, k, dtype=S8, quant=Quant((0.001,) * n, 0, 0))
        e = Example.random(Linear(sums=True), x, w, consts=(1,))
        found[f"{CHUNK}x{k}x{n}"] = Point(e, CHUNK * k * n, CHUNK * n)
    return found
