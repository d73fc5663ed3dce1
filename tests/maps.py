"""Random networks over maps: convolutions, pools, sums of branches, joins, activations, means."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

from tte.ir import Builder, Module
from tte.ops.add import Add, Sub
from tte.ops.average_pool import AveragePool
from tte.ops.clamp import Clamp
from tte.ops.concat import Concat
from tte.ops.conv import Conv
from tte.ops.hard_swish import HardSwish
from tte.ops.leaky_relu import LeakyRelu
from tte.ops.max_pool import MaxPool
from tte.ops.mean import Mean
from tte.ops.mul import Mul
from tte.ops.pad import Pad
from tte.ops.resize_nearest import ResizeNearest
from tte.ops.sigmoid import Sigmoid
from tte.types import DType, Quant, Rounding, TensorType, Value

Q = Quant((0.05,), 3)
MAPS = (
    "conv",
    "conv",
    "depthwise",
    "depthwise",
    "pointwise",
    "pointwise",
    "pool",
    "average",
    "act",
    "residual",
    "residual",
    "residual",
)
RARE = ("add", "mul", "concat", "pad", "resize", "mean", "global")


@dataclass
class Maps:
    """Grows one network; every value is a map at one scale, so that any two may be joined."""

    b: Builder
    rng: random.Random
    residuals: int = 0

    def constant(self, t: TensorType, most: int) -> Value:
        seed = np.random.default_rng(self.rng.randrange(2**32))
        return self.b.constant("c", t, seed.integers(-most, most + 1, t.shape, t.dtype.numpy))

    def conv(self, x: Value, co: int, k: int, stride: int = 1, groups: int = 1, pad: bool = True) -> Value:
        c, p = x.type.shape[3], k // 2 if pad else 0
        k = min(k, x.type.shape[1] + 2 * p, x.type.shape[2] + 2 * p)
        w = self.constant(TensorType((co, k, k, c // groups), DType.S8, Quant((0.01,) * co, 0, 0)), 127)
        bias = self.constant(TensorType((co,), DType.S32), 2000)
        op = Conv((stride, stride), (p, p, p, p), out=Q, rounding=self.rounding())
        return self.b.emit(op, x, w, bias)[0]

    def rounding(self) -> Rounding:
        return self.rng.choice((Rounding.TFLITE, Rounding.TFLITE, Rounding.ONNX))

    def grow(self, x: Value, what: str, others: list[Value]) -> Value:
        """One more layer on x."""
        rng, c, h, w = self.rng, x.type.shape[3], *x.type.shape[1:3]
        alike = [v for v in others if v.type.shape == x.type.shape] or [x]
        wide = [v for v in others if v.type.shape[:3] == x.type.shape[:3]] or [x]
        match what:
            case "conv":
                made = self.conv(
                    x, rng.randint(1, 9), rng.choice((2, 3, 5)), rng.choice((1, 1, 2)), 1, rng.random() < 0.8
                )
            case "depthwise":
                made = self.conv(x, c, rng.choice((3, 3, 5, 7)), rng.choice((1, 1, 2)), c, rng.random() < 0.8)
            case "pointwise":
                made = self.conv(x, rng.randint(1, 12), 1, rng.choice((1, 1, 1, 2)))
            case "residual":
                self.residuals += 1
                y = self.conv(self.conv(x, rng.randint(1, 9), 3), c, rng.choice((1, 3)))
                made = self.b.emit(Add(out=Q, rounding=self.rounding()), *rng.choice(((x, y), (y, x))))[0]
            case "pool" | "average":
                k, s = min(rng.choice((2, 3)), h, w), rng.choice((1, 2))
                op = MaxPool if what == "pool" else AveragePool
                made = self.b.emit(op((k, k), (s, s), (0, 0, rng.randint(0, k - 1), 0)), x)[0]
            case "act":
                op = rng.choice((Clamp(0.0, 4.0, Q), HardSwish(Q), LeakyRelu(0.1, Q), Sigmoid(Q)))
                made = self.b.emit(op, x)[0]
            case "add" | "mul":
                op = rng.choice((Add(out=Q), Sub(out=Q))) if what == "add" else Mul(out=Q)
                made = self.b.emit(op, x, rng.choice(alike))[0]
            case "concat":
                made = self.b.emit(Concat(3), x, rng.choice(wide))[0]
            case "pad":
                made = self.b.emit(Pad((0, 1, 0, 0), (0, 0, 1, 0)), x)[0]
            case "resize":
                made = self.b.emit(ResizeNearest(tuple(i // 2 for i in range(2 * h)), tuple(range(w))), x)[0]
            case "mean":
                made = self.b.emit(Mean((1, 2), True, Q, self.rounding()), x)[0]
            case _:
                made = self.b.emit(AveragePool((h, w), rounding=Rounding.TFLITE), x)[0]
        return made


def network(seed: int, name: str = "infer") -> tuple[Module, int]:
    """A network and its number of residual blocks."""
    rng = random.Random(seed)
    b = Builder(name)
    shape = (1, rng.randint(3, 14), rng.randint(1, 9), rng.randint(1, 6))
    made = [b.input("x", TensorType(shape, DType.S8, Q))]
    maps = Maps(b, rng)
    for _ in range(rng.randint(2, 11)):
        x = made[-1] if rng.random() < 0.85 else rng.choice(made)
        if x.type.size <= 4000:
            made.append(maps.grow(x, rng.choice(MAPS if rng.random() < 0.8 else RARE), made))
    read = {v for n in b.nodes for v in n.ins}
    outs = [v for v in made[1:] if v not in read] or made[-1:]
    return Module(f"m{seed}", tuple(b.states), (b.finish(*outs),)), maps.residuals
