"""MobileNetV2 x 0.35 and ProxylessNAS x 0.3 at 128x128, without the last mixing layer, in int8 with random weights.

Widths are rounded to multiples of 8. Only the shapes are those of the published networks, so only memory and
instructions can be compared, no accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.ir import Builder, Module
from tte.op import Op
from tte.ops.add import Add
from tte.ops.average_pool import AveragePool
from tte.ops.conv import Conv
from tte.ops.linear import Linear
from tte.ops.reshape import Reshape
from tte.types import DType, Quant, Rounding, TensorType, Value

SIDE, CLASSES = 128, 1000
NORMAL, RELU6 = Quant((0.05,)), Quant((6 / 255,), -128)


@dataclass(frozen=True)
class Block:
    """An inverted residual: expand the channels, filter, project."""

    expand: int
    kernel: int
    stride: int
    channels: int


def stage(expand: int, kernel: int, stride: int, channels: int, count: int = 1) -> tuple[Block, ...]:
    """Equal blocks, of which only the first has a stride."""
    return (Block(expand, kernel, stride, channels), *(count - 1) * (Block(expand, kernel, 1, channels),))


MOBILENETV2 = (
    *stage(1, 3, 1, 8),
    *stage(6, 3, 2, 8, 2),
    *stage(6, 3, 2, 16, 3),
    *stage(6, 3, 2, 24, 4),
    *stage(6, 3, 1, 32, 3),
    *stage(6, 3, 2, 56, 3),
    *stage(6, 3, 1, 112),
)
PROXYLESSNAS = (
    *stage(1, 3, 1, 8),
    *stage(3, 5, 2, 16),
    *stage(3, 3, 1, 16),
    *stage(3, 7, 2, 16),
    *stage(3, 3, 1, 16),
    *stage(3, 5, 1, 16, 2),
    *stage(6, 7, 2, 24),
    *stage(3, 5, 1, 24, 3),
    *stage(6, 5, 1, 32),
    *stage(3, 5, 1, 32, 3),
    *stage(6, 7, 2, 64),
    *stage(6, 7, 1, 64),
    *stage(3, 7, 1, 64, 2),
    *stage(6, 7, 1, 96),
)
SIBLINGS = {"mobilenetv2-0.35": MOBILENETV2, "proxylessnas-0.3": PROXYLESSNAS}  # by the names of their plans


def sibling(name: str, seed: int = 0) -> Module:
    """infer(image s8[1,128,128,3]) gives f32[1,1000]."""
    net = _Net(seed)
    x = net.builder.input("image", TensorType((1, SIDE, SIDE, 3), DType.S8, Quant((2 / 255,))))
    x = net.conv("stem", x, 16, 3, 2)
    for i, block in enumerate(SIBLINGS[name]):
        x = net.block(f"block{i}", x, block)
    (x,) = net.builder.emit(AveragePool(x.type.shape[1:3], out=NORMAL, rounding=Rounding.ONNX), x, name="pool")
    (x,) = net.builder.emit(Reshape((1, x.type.size)), x, name="features")
    logits = net.layer(Linear(), "classifier", x, (CLASSES, x.type.size))
    return Module(name.replace("-", "_").replace(".", ""), tuple(net.builder.states), (net.builder.finish(logits),))


class _Net:
    """A graph under construction."""

    def __init__(self, seed: int) -> None:
        self.builder, self.rng = Builder("infer"), np.random.default_rng(seed)

    def block(self, name: str, x: Value, block: Block) -> Value:
        """Expand (unless by 1), depthwise, project; added to x where the shapes agree."""
        hidden = x.type.shape[3] * block.expand
        y = self.conv(f"{name}_expand", x, hidden, 1) if block.expand > 1 else x
        y = self.conv(f"{name}_depthwise", y, hidden, block.kernel, block.stride, depthwise=True)
        y = self.conv(f"{name}_project", y, block.channels, 1, linear=True)
        if x.type.shape != y.type.shape:
            return y
        return self.builder.emit(Add(out=NORMAL, rounding=Rounding.ONNX), x, y, name=f"{name}_add")[0]

    def conv(
        self, name: str, x: Value, co: int, k: int, stride: int = 1, depthwise: bool = False, linear: bool = False
    ) -> Value:
        """A convolution, followed by relu6 unless `linear`."""
        high, out = (np.inf, NORMAL) if linear else (6.0, RELU6)
        op = Conv((stride, stride), 4 * (k // 2,), (1, 1), -np.inf if linear else 0.0, high, out, Rounding.ONNX)
        return self.layer(op, name, x, (co, k, k, 1 if depthwise else x.type.shape[3]))

    def layer(self, op: Op, name: str, x: Value, shape: tuple[int, ...]) -> Value:
        """Random weights, of a size that keeps the values in their range."""
        scales = Quant(tuple(self.rng.uniform(0.5, 1.5, shape[0]) * (2 / np.prod(shape[1:])) ** 0.5 / 64), 0, 0)
        w = self.rng.integers(-127, 128, shape).astype(np.int8)
        b = self.rng.integers(-500, 500, shape[0]).astype(np.int32)
        weights = self.builder.constant(f"{name}_weight", TensorType(shape, DType.S8, scales), w)
        bias = self.builder.constant(f"{name}_bias", TensorType(shape[:1], DType.S32), b)
        return self.builder.emit(op, x, weights, bias, name=name, source=name)[0]
