"""Random networks over all ops. Attributes come from the ops' own examples too, so that a new op is met by itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import permutations
from typing import TypeVar

import numpy as np

from tte.errors import TteError
from tte.ir import Builder, Graph, Module
from tte.op import Arrays, Example, Op
from tte.ops.add import Add, Sub
from tte.ops.average_pool import AveragePool
from tte.ops.concat import Concat
from tte.ops.conv import Conv
from tte.ops.linear import Linear
from tte.ops.max_pool import MaxPool
from tte.ops.mean import Mean
from tte.ops.mul import Mul
from tte.ops.pad import Pad
from tte.ops.requantize import Requantize
from tte.ops.reshape import Reshape
from tte.ops.resize_nearest import ResizeNearest
from tte.ops.sigmoid import Sigmoid
from tte.ops.softmax import LITERT, Softmax
from tte.ops.transpose import Transpose
from tte.types import Array, DType, Quant, Rounding, TensorType, Value

F32, S8, S32 = DType.F32, DType.S8, DType.S32
SIDE, CHANNELS, LARGEST = 12, 17, 5000  # of an input's rows and columns, its channels; elements of any value
RANGES = ((-math.inf, math.inf), (-math.inf, math.inf), (0.0, math.inf), (0.0, 6.0))
T = TypeVar("T")


def draw(seed: int, planted: Sequence[type[Op]]) -> Module:
    """A module with one graph of some 3 to 15 nodes, in which each of `planted` occurs."""
    growing = _Growing(seed)
    growing.grow(list(planted))
    return Module(f"g{seed}", tuple(growing.b.states), (growing.finish(),))


def inputs(module: Module, seed: int) -> Arrays:
    """Integers over their whole range, normal floats."""
    types = (v.type for v in module.graphs[0].ins)
    return tuple(Example.random(Reshape(()), t, seed=seed + i).args[0] for i, t in enumerate(types))


def has_residual(graph: Graph) -> bool:
    """True if some node joins a value with one that was made of it."""
    behind: dict[Value, set[Value]] = {}
    for node in graph.nodes:
        if any(a in behind.get(b, ()) for a, b in permutations(node.ins, 2)):
            return True
        before = {*node.ins, *(u for v in node.ins for u in behind.get(v, ()))}
        behind |= dict.fromkeys(node.outs, before)
    return False


def can_run(op: Op, ins: Sequence[Value]) -> bool:
    """True if the op takes these, and a kernel in plain C computes it."""
    types = tuple(v.type for v in ins)
    try:
        outs = op.results(*types)
        params = op.params(types, outs)
    except TteError:
        return False
    small = all(0 < t.size <= LARGEST for t in outs)
    return small and any(not k.isa and k.fits(types, outs, params) for k in op.kernels)


class _Growing:
    """One graph; `made` are its inputs and results so far."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.b = Builder("infer")
        self.rounding = self.pick(tuple(Rounding))
        self.made: list[Value] = []
        for _ in range(self.pick((1, 1, 1, 2))):
            shape = (1, self.whole(3, SIDE), self.whole(3, SIDE), self.whole(1, CHANNELS))
            self.input(TensorType(shape, F32) if self.chance(0.12) else TensorType(shape, S8, self.quant(0.05)))

    def grow(self, planted: list[type[Op]]) -> None:
        """Moves at random, and what is to occur in between."""
        often: tuple[Callable[[Value], object], ...] = (self.bottleneck, self.spatial, self.block, self.join)
        moves = (*often * 2, self.bottleneck, self.bottleneck, self.spatial, self.pool, self.rare)
        most = self.whole(3, 12)
        while planted or len(self.b.nodes) < most:
            if planted and (len(self.b.nodes) >= most or self.chance(0.3)):
                self.plant(planted.pop())
                continue
            maps = [v for v in self.made if self.is_map(v)]
            x = maps[-1] if self.chance(0.85) else self.pick(maps)
            self.pick(moves)(x)
        if self.chance(0.35):
            self.head(self.pick([v for v in self.made if self.is_map(v)]))

    def finish(self) -> Graph:
        """Returned is what nobody reads, and now and then what somebody does."""
        read = {v for n in self.b.nodes for v in n.ins}
        made = [v for n in self.b.nodes for v in n.outs]
        return self.b.finish(*(v for v in made if v not in read or self.chance(0.05)))

    # Choices.

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def whole(self, low: int, high: int) -> int:
        """low <= n <= high."""
        return int(self.rng.integers(low, high + 1))

    def pick(self, options: Sequence[T]) -> T:
        return options[int(self.rng.integers(len(options)))]

    def quant(self, scale: float) -> Quant:
        """About `scale`, with any zero point."""
        zero = self.pick((-128, 0, 127, self.whole(-30, 30), self.whole(-30, 30), self.whole(-128, 127)))
        return Quant((scale * float(self.rng.uniform(0.5, 2)),), zero)

    def how(self) -> Rounding:
        """The graph's rounding, or another."""
        return self.rounding if self.chance(0.8) else self.pick(tuple(Rounding))

    def out(self, x: Value, scale: float = 1.0) -> Quant | None:
        """The scale of a result, relative to that of `x`."""
        return self.quant(scale * x.type.scaling.scale[0]) if x.type.dtype is S8 else None

    @staticmethod
    def is_map(v: Value) -> bool:
        t = v.type
        return len(t.shape) == 4 and t.shape[0] == 1 and (t.dtype is F32 or (t.dtype is S8 and t.quant is not None))

    # Values.

    def input(self, t: TensorType) -> Value:
        self.made.append(self.b.input(f"x{len(self.b.ins)}", t))
        return self.made[-1]

    def constant(self, t: TensorType, a: Array) -> Value:
        return self.b.constant(f"k{len(self.b.states)}", t, a)

    def emit(self, op: Op, *ins: Value) -> Value | None:
        """The node, where it can be."""
        if not can_run(op, ins):
            return None
        self.made += self.b.emit(op, *ins)
        return self.made[-1]

    def weights(self, x: Value, shape: tuple[int, ...], rounding: Rounding) -> tuple[Value, Value]:
        """Weights and biases that keep reals about as large as they are; now and then a channel is dead."""
        n, k = shape[0], math.prod(shape[1:])
        if x.type.dtype is F32:
            w = (self.rng.standard_normal(shape) / math.sqrt(k)).astype(np.float32)
            b = self.rng.standard_normal(n).astype(np.float32)
            return self.constant(TensorType(shape, F32), w), self.constant(TensorType((n,), F32), b)
        scales = self.rng.uniform(0.5, 2, n if self.chance(0.7) else 1) / (74 * math.sqrt(k))
        bias = self.rng.integers(-2000, 2000, n, np.int32)
        if len(scales) == n > 1 and self.chance(0.3):
            scales[-1], bias[-1] = 4e-9, -(2**31) if rounding is Rounding.ONNX else 77
        q = Quant(tuple(scales), 0, 0 if len(scales) == n > 1 else None)
        w = self.rng.integers(-127, 128, shape, np.int8)
        return self.constant(TensorType(shape, S8, q), w), self.constant(TensorType((n,), S32), bias)

    # Moves: each grows the graph from a map, if it can.

    def conv(self, x: Value | None, filters: tuple[int, ...], op: Conv) -> Value | None:
        """A convolution with `filters` [co, kh, kw, ci/g], the op's range and scale at random."""
        if x is None:
            return None
        low, high = self.pick(RANGES)
        rounding = self.how()
        op = replace(op, low=low, high=high, out=self.out(x), rounding=rounding)
        w, b = self.weights(x, filters, rounding)
        return self.emit(op, x, w, b)

    def spatial(self, x: Value) -> Value | None:
        """A convolution of any kind."""
        c, (kh, kw) = x.type.shape[3], self.pick(((3, 3), (3, 3), (1, 1), (2, 3), (5, 4), (1, 3)))
        cg = self.pick((c, c, 1, *(k for k in range(1, c + 1) if c % k == 0)))
        groups = c // cg
        co = c if cg == 1 and self.chance(0.7) else groups * self.whole(1, max(1, CHANNELS // groups))
        dilation = self.pick(((1, 1), (1, 1), (1, 1), (2, 1), (2, 3)))
        rows, columns = ((k - 1) * d for k, d in zip((kh, kw), dilation, strict=True))
        same = (rows // 2, columns // 2, rows - rows // 2, columns - columns // 2)
        pads = self.pick((same, same, same, (0, 0, 0, 0), (self.whole(0, 2), self.whole(0, 2), 0, self.whole(0, 2))))
        stride = self.pick(((1, 1), (1, 1), (2, 2), (1, 2), (3, 2)))
        return self.conv(x, (co, kh, kw, cg), Conv(stride, pads, dilation))

    def bottleneck(self, x: Value) -> Value | None:
        """Wider by a pointwise convolution, a depthwise one, back to few channels; a residual if shapes agree."""
        c, stride = x.type.shape[3], self.pick((1, 1, 1, 2))
        wide = c * self.whole(1, 4)
        wider = self.conv(x, (wide, 1, 1, c), Conv())
        middle = self.conv(wider, (wide, 3, 3, 1), Conv((stride, stride), (1, 1, 1, 1)))
        y = self.conv(middle, (c, 1, 1, wide), Conv())
        return self.emit(Add(out=self.out(x), rounding=self.how()), y, x) if y and y.type.shape == x.type.shape else y

    def block(self, x: Value) -> Value | None:
        """Two convolutions beside a shortcut."""
        c, inner = x.type.shape[3], self.whole(1, CHANNELS)
        y = self.conv(x, (inner, 3, 3, c), Conv(pads=(1, 1, 1, 1)))
        y = self.conv(y, (c, 3, 3, inner), Conv(pads=(1, 1, 1, 1)))
        return self.emit(Add(0.0, out=self.out(x), rounding=self.how()), x, y) if y else None

    def join(self, x: Value) -> Value | None:
        """With an older value of the same shape; itself, if there is none."""
        older = [v for v in self.made if v.type.shape == x.type.shape and v.type.dtype is x.type.dtype and v != x]
        y = self.pick(older or [x])
        low, high = self.pick(RANGES)
        cls, scale = self.pick(((Add, 1.5), (Add, 1.5), (Sub, 1.5), (Mul, 2.0)))
        return self.emit(cls(low, high, self.out(x, scale), self.how()), *((x, y) if self.chance(0.5) else (y, x)))

    def concat(self, x: Value) -> Value | None:
        """With older values that differ along one axis only, brought to its scale."""
        axis = self.pick((1, 2, 3, 3))

        def rest(v: Value) -> tuple[object, ...]:
            return v.type.shape[:axis], v.type.shape[axis + 1 :], v.type.dtype

        found = [v for v in self.made if self.is_map(v) and rest(v) == rest(x)]
        parts = [x, *(self.pick(found) for _ in range(self.whole(1, 2)))]
        if x.type.dtype is S8:
            q = x.type.scaling
            same = [v if v.type.quant == q else self.emit(Requantize(q, self.how()), v) for v in parts]
            parts = [v for v in same if v]
        return self.emit(Concat(axis), *parts)

    def pool(self, x: Value) -> Value | None:
        """The greatest, or the mean, over the edge or not."""
        _, h, w, _ = x.type.shape
        size = self.pick(((2, 2), (3, 3), (3, 2), (2, 1), (h, w)))
        top, left, bottom, right = (self.whole(0, n - 1) if self.chance(0.3) else 0 for n in size * 2)
        pads = top, left, bottom, right
        stride, (low, high), rounding = self.pick((size, (1, 1), (2, 2), (2, 1))), self.pick(RANGES), self.how()
        if self.chance(0.5):
            return self.emit(MaxPool(size, stride, pads, low, high, rounding), x)
        out = self.out(x) if rounding is Rounding.ONNX else x.type.quant
        return self.emit(AveragePool(size, stride, pads, low, high, out, rounding, self.chance(0.3)), x)

    def rare(self, x: Value) -> Value | None:
        """What makes rows harder to have."""
        return self.pick((self.move, self.gate, self.concat))(x)

    def move(self, x: Value) -> Value | None:
        """Elements elsewhere: a larger map, a border, other axes."""
        match self.whole(0, 2):
            case 0:
                taken = (sorted(self.rng.integers(0, n, self.whole(1, 2 * n)).tolist()) for n in x.type.shape[1:3])
                return self.emit(ResizeNearest(*map(tuple, taken)), x)
            case 1:
                before, after = ((0, self.whole(0, 2), self.whole(0, 2), 0) for _ in range(2))
                return self.emit(Pad(before, after, self.pick((0.0, 0.0, -1.0)), self.how()), x)
            case _:
                return self.emit(Transpose((0, *self.rng.permutation((1, 2, 3)).tolist())), x)

    def gate(self, x: Value) -> Value | None:
        """Squeeze and excite: each channel by a factor that is made of its mean."""
        c = x.type.shape[3]
        mean = self.emit(Mean((1, 2), True, self.out(x), self.how()), x)
        y = self.conv(mean, (c, 1, 1, c), Conv())
        s8 = x.type.dtype is S8
        factor = self.emit(Sigmoid(Quant((1 / 256,), -128) if s8 else None, self.how()), y) if y else None
        return self.emit(Mul(out=self.out(x), rounding=self.how()), x, factor) if factor else None

    def head(self, x: Value) -> Value | None:
        """Classes of a map."""
        mean = self.emit(Mean((1, 2), False, self.out(x), self.how()), x) if self.chance(0.7) else None
        flat = mean or self.emit(Reshape((1, x.type.size)), x)
        rounding = self.how()
        if flat is None:
            return None
        w, b = self.weights(flat, (self.whole(1, 12), flat.type.size), rounding)
        y = self.emit(Linear(out=self.out(flat) if self.chance(0.8) else None, rounding=rounding), flat, w, b)
        if y is None or self.chance(0.4):
            return y
        return self.emit(Softmax(out=LITERT if y.type.dtype is S8 else None), y)

    # Any op.

    def plant(self, cls: type[Op]) -> None:
        """An example of the op, on values that there are where it takes them, else on new inputs of its types.

        Masks are for training only, which adds them behind the passes.
        """
        e = self.pick([e for e in cls.examples() if not getattr(e.op, "masked", False)])
        consts = {i: self.constant(e.ins[i], e.args[i]) for i in e.consts}
        for _ in range(8):
            ins = [consts.get(i) or self.like(t) for i, t in enumerate(e.ins)]
            if self.emit(e.op, *ins):
                return
        ins = [consts.get(i) or self.input(t) for i, t in enumerate(e.ins)]
        self.made += self.b.emit(e.op, *ins)

    def like(self, t: TensorType) -> Value:
        """A value of the element type, the newest rather."""
        found = [v for v in self.made if v.type.dtype is t.dtype and (v.type.quant is None) == (t.quant is None)]
        return found[-1 - min(int(self.rng.geometric(0.4)) - 1, len(found) - 1)] if found else self.input(t)
