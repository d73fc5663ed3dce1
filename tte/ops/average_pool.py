"""Average pooling. Floor 3."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tte.arith import fixed
from tte.op import Arrays, Example, Grows, Kernel, Op, Params, Types, Values, Window
from tte.ops.average_pool_grad import AveragePoolGrad
from tte.ops.mask_grad import unclamped
from tte.shapes import clamps
from tte.shapes.geometry import pooled, taps, well_formed
from tte.types import Array, DType, Quant, Rounding, TensorType, Value

F32, S8 = DType.F32, DType.S8
NEG, POS = -math.inf, math.inf
ROWS, COLUMNS, LANES = 0, 1, 2  # orders of a sum of floats, see average_pool.h


def whole_columns(ins: Types, outs: Types, params: Params) -> bool:
    """One row of results, each of which takes all rows."""
    return "order" not in params and outs[0].shape[1] == 1 and params["kh"] == ins[0].shape[1]


def sums(ins: Types, outs: Types, params: Params) -> int:
    """Bytes of an s32 per result."""
    return 4 * outs[0].size


def few(ins: Types, outs: Types, params: Params) -> bool:
    """Sums of all windows fit 16 bits, and a word of channels can be read."""
    return bool(params["kh"] * params["kw"] <= 255) and ins[0].shape[3] >= 4


@dataclass(frozen=True, slots=True)
class AveragePool(Op):
    """y[1,oh,ow,c] = clamp(mean of the elements of x[1,h,w,c] under a window, low, high).

    Elements outside x do not count, unless `padded`: then they count as zero. In s8, by `rounding`: TFLITE (and SINGLE)
    rounds the mean of the integers, ties away from zero, and keeps the scale of x; ONNX adds reals in f32, in the order
    of ONNX Runtime (which decides ties), and quantises to `out` (the scale of x where there is none). `masked` adds a
    result u1: 1 where the value before the clamp lay within it.
    """

    size: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, left, bottom, right
    low: float = NEG
    high: float = POS
    out: Quant | None = None
    rounding: Rounding = Rounding.TFLITE
    padded: bool = False
    masked: bool = False

    kernels = (
        Kernel(
            "tte_average_pool_s8",
            "average_pool.h",
            (S8,),
            (S8,),
            form="window",
            when=lambda ins, outs, params: "order" not in params,
            needs="LiteRT's integers",
            per_mac=4.0,
            takes=("y", "y1", "r"),
        ),
        Kernel(
            "tte_average_pool_rows_s8",
            "average_pool.h",
            (S8,),
            (S8,),
            params="tte_average_pool_s8",
            form="accumulate",
            when=whole_columns,
            needs="LiteRT's integers, a window as high as x",
            scratch=sums,
            per_mac=5.0,
        ),
        Kernel(
            "tte_average_pool_s8_mve",
            "average_pool_mve.h",
            (S8,),
            (S8,),
            isa="mve",
            form="window",
            when=lambda ins, outs, params: "order" not in params and bool(params["kh"] * params["kw"] <= 256),
            needs="LiteRT's integers, over at most 256 elements",
            per_mac=0.5,
            per_out=4.0,
        ),
        Kernel(
            "tte_average_pool_s8_dsp",
            "pool_dsp.h",
            (S8,),
            (S8,),
            isa="dsp",
            form="window",
            when=lambda ins, outs, params: "order" not in params and few(ins, outs, params),
            needs="LiteRT's integers, over at most 255 elements, of four channels or more",
            per_mac=1.3,
            per_out=8.0,
        ),
        Kernel(
            "tte_average_pool_onnx_s8",
            "average_pool.h",
            (S8,),
            (S8,),
            form="window",
            when=lambda ins, outs, params: "order" in params,
            needs="ONNX's floats",
            per_mac=8.0,
            takes=("y", "y1", "r"),
        ),
        Kernel("tte_average_pool_f32", "average_pool.h", (F32,), (F32,), form="window", per_mac=4.0),
    )

    def infer(self, *types: TensorType) -> Types:
        """x[1,h,w,c] gives y[1,oh,ow,c], and the mask."""
        (x,) = types
        self.expect(len(x.shape) == 4 and 0 not in x.shape, f"x must have four dimensions, none empty, not {x}")
        self.expect(x.shape[0] == 1, f"batch {x.shape[0]} is not supported", "export the model with batch 1")
        self.expect(well_formed(self.size, self.stride, self.pads), f"{self} is malformed")
        self.expect(math.prod(self.size) < 2**23, "sums over 2**23 elements may overflow")
        oh, ow = pooled(x.shape, self.size, self.stride, self.pads)
        self.expect(oh > 0 and ow > 0, f"the window is larger than the padded {x}")
        quant = self.out or x.quant
        if x.dtype is S8:
            self.expect(quant is not None, "x needs a scale")
            self.expect(self.rounding is Rounding.ONNX or quant == x.quant, f"the scale of {x} must be kept")
        return clamps.results(self, TensorType((1, oh, ow, x.shape[3]), x.dtype, quant), self.masked)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact; floats are added in order of ky, kx."""
        (x,), y = args, outs[0]
        ones = np.ones((1, *x.shape[1:3], 1), np.int64)
        inside = sum(taps(ones, self.size, self.stride, self.pads, 0), np.zeros((1, 1, 1, 1), np.int64))
        count = np.full_like(inside, math.prod(self.size)) if self.padded else inside
        p = self.params(ins, outs)
        if ins[0].dtype is S8 and self.rounding is Rounding.ONNX:
            d = (x.astype(np.int64) - p["zero_x"]).astype(np.float32) * np.float32(p["scale_x"])
            mean = self._sum(d, int(p["order"])) / count.astype(np.float32)
            q = fixed.round_even(mean / np.float32(p["scale_y"])) + p["zero_y"]
            return clamps.clamped(q, int(p["lo"]), int(p["hi"]), outs)
        wide = x if ins[0].dtype is F32 else x.astype(np.int64)
        total = sum(taps(wide, self.size, self.stride, self.pads, 0), np.zeros(y.shape, wide.dtype))
        if ins[0].dtype is F32:
            return (np.clip(total / count.astype(x.dtype), self.low, self.high).astype(x.dtype),)
        q = np.sign(total) * ((abs(total) + count // 2) // count)
        return clamps.clamped(q, int(p["lo"]), int(p["hi"]), outs)

    def _sum(self, d: Array, order: int) -> Array:
        """The sum of every window, in the kernel's order; what lies outside adds nothing."""
        if order == LANES:
            flat = d.reshape(1, -1, d.shape[3])
            blocks = flat.shape[1] // 4 * 4
            lanes = np.zeros((4, d.shape[3]), np.float32)
            for block in flat[0, :blocks].reshape(-1, 4, d.shape[3]):
                lanes = lanes + block
            parts = [(lanes[0] + lanes[2]) + (lanes[1] + lanes[3]), *flat[0, blocks:]]
            return np.asarray(sum(parts[1:], parts[0])).reshape(1, 1, 1, -1)
        found = list(taps(d, self.size, self.stride, self.pads, 0))
        if order == COLUMNS:
            found = [sum(found[k :: self.size[1]][1:], found[k]) for k in range(self.size[1])]
        return np.asarray(sum(found[1:], found[0]))

    def _order(self, x: TensorType) -> int:
        """How ONNX Runtime's kernel adds: four lanes over a whole map, the sums of columns, or row by row."""
        if self.size == x.shape[1:3] and self.pads == (0, 0, 0, 0):
            return LANES
        return COLUMNS if self.stride[1] <= 2 else ROWS

    def vjp(self, graph: Grows, grads: tuple[Value | None, ...], ins: Values, outs: Values) -> tuple[Value | None, ...]:
        """Each window's gradient in equal parts."""
        (g, *_), (x,) = grads, ins
        if g is None:
            return (None,)
        g, shape = unclamped(graph, g, outs, self.low, self.high), (x.type.shape[1], x.type.shape[2])
        return graph.emit(AveragePoolGrad(self.size, self.stride, self.pads, shape, self.padded), g)

    def params(self, ins: Types, outs: Types) -> Params:
        """Sizes, the divisor where it is fixed (else 0), and the clamp; in s8 also scales and zero points."""
        (x,), y = ins, outs[0]
        sizes: Params = {"w": x.shape[2], "c": x.shape[3], "kh": self.size[0], "kw": self.size[1], "ow": y.shape[2]}
        sizes |= {"stride": self.stride[1], "left": self.pads[1], "count": math.prod(self.size) * self.padded}
        if x.dtype is F32:
            return sizes | {"low": self.low, "high": self.high}
        a, b = x.scaling, y.scaling
        clamp = fixed.clamp(self.low, self.high, b, self.rounding)
        if self.rounding is not Rounding.ONNX:
            return sizes | clamp
        scales: Params = {"scale_x": a.scale[0], "scale_y": b.scale[0], "zero_x": a.zero, "zero_y": b.zero}
        return sizes | scales | clamp | {"order": self._order(x)}

    def window(self, ins: Types, outs: Types) -> Window:
        """The rows that are pooled."""
        return Window(self.size[0], self.stride[0], self.pads[0])

    def macs(self, ins: Types, outs: Types) -> int:
        """Additions of all outputs, those of padding included."""
        return outs[0].size * math.prod(self.size)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Windows over the edge, the whole map, both roundings, a clamp, padding that counts."""
        q, onnx = Quant((0.05,), 3), Rounding.ONNX
        x, wide, f = TensorType((1, 6, 7, 5), S8, q), TensorType((1, 4, 3, 16), S8, q), TensorType((1, 5, 5, 3), F32)
        y = Quant((0.03,), -9)
        return (
            Example.random(cls((3, 3), (2, 2), (1, 1, 1, 1)), x),
            Example.random(cls((4, 3)), wide),
            Example.random(cls((2, 2), (2, 2), low=0.0, high=1.0), x),
            Example.random(cls((4, 3), out=y, rounding=onnx), wide),
            Example.random(cls((6, 7), out=q, rounding=onnx), x),
            Example.random(cls((3, 2), (2, 3), (1, 0, 0, 1), out=q, rounding=onnx), x),
            Example.random(cls((3, 2), (1, 2), (2, 1, 0, 0), 0.0, 2.0, y, onnx, True), x),
            Example.random(cls((3, 3), (2, 2), (1, 1, 1, 1), -1.0, 1.0, masked=True), x),
            Example.random(cls((3, 2), (1, 2), (2, 1, 0, 0), 0.0, 2.0, y, onnx, True, True), x),
            Example.random(cls((3, 3), (2, 2), (0, 0, 1, 1), 0.0), f),
            Example.random(cls((2, 2), (1, 1), (1, 1, 0, 0), padded=True), f),
        )
