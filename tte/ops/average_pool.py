"""Average pooling. Floor 3."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tte import fixed
from tte.geometry import pooled, taps, well_formed
from tte.op import Arrays, Example, Kernel, Op, Params, Types, Window
from tte.types import DType, Quant, Rounding, TensorType

F32, S8 = DType.F32, DType.S8
NEG, POS = -math.inf, math.inf


@dataclass(frozen=True, slots=True)
class AveragePool(Op):
    """y[1,oh,ow,c] = clamp(mean of the elements of x[1,h,w,c] under a window, low, high).

    Elements outside x do not count, unless `padded`: then they count as zero. In s8, by `rounding`: TFLITE (and SINGLE)
    rounds the mean of the integers, ties away from zero, and keeps the scale of x; ONNX computes in f32 and quantises
    to `out` (the scale of x where there is none).
    """

    size: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, left, bottom, right
    low: float = NEG
    high: float = POS
    out: Quant | None = None
    rounding: Rounding = Rounding.TFLITE
    padded: bool = False

    kernels = (
        Kernel("tte_average_pool_s8", "average_pool.h", (S8,), (S8,), form="window", per_mac=4.0),
        Kernel(
            "tte_average_pool_rows_s8",
            "average_pool.h",
            (S8,),
            (S8,),
            params="tte_average_pool_s8",
            form="accumulate",
            when=lambda ins, outs, params: outs[0].shape[1] == 1 and params["kh"] == ins[0].shape[1],
            needs="a window as high as x",
            scratch=lambda ins, outs, params: 4 * outs[0].size,
            per_mac=5.0,
        ),
        Kernel("tte_average_pool_f32", "average_pool.h", (F32,), (F32,), form="window", per_mac=4.0),
    )

    def infer(self, *types: TensorType) -> Types:
        """x[1,h,w,c] gives y[1,oh,ow,c]."""
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
        return (TensorType((1, oh, ow, x.shape[3]), x.dtype, quant),)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact; floats are added in order of ky, kx."""
        (x,), (y,) = args, outs
        real = ins[0].dtype is F32
        wide = x if real else x.astype(np.int64)
        total = sum(taps(wide, self.size, self.stride, self.pads, 0), np.zeros(y.shape, wide.dtype))
        ones = np.ones((1, *x.shape[1:3], 1), np.int64)
        inside = sum(taps(ones, self.size, self.stride, self.pads, 0), np.zeros((1, 1, 1, 1), np.int64))
        count = np.full_like(inside, math.prod(self.size)) if self.padded else inside
        if real:
            return (np.clip(total / count.astype(x.dtype), self.low, self.high).astype(x.dtype),)
        p = self.params(ins, outs)
        if self.rounding is Rounding.ONNX:
            mean = (
                (total - inside * p["zero_x"]).astype(np.float32) * np.float32(p["scale_x"]) / count.astype(np.float32)
            )
            q = fixed.round_even(mean / np.float32(p["scale_y"])) + p["zero_y"]
        else:
            q = np.sign(total) * ((abs(total) + count // 2) // count)
        return (np.clip(q, p["lo"], p["hi"]).astype(np.int8),)

    def params(self, ins: Types, outs: Types) -> Params:
        """Sizes, the divisor where it is fixed (else 0), and the clamp; in s8 also scales and zero points."""
        (x,), (y,) = ins, outs
        sizes: Params = {"w": x.shape[2], "c": x.shape[3], "kh": self.size[0], "kw": self.size[1], "ow": y.shape[2]}
        sizes |= {"stride": self.stride[1], "left": self.pads[1], "count": math.prod(self.size) * self.padded}
        if x.dtype is F32:
            return sizes | {"low": self.low, "high": self.high}
        a, b = x.scaling, y.scaling
        scales: Params = {"scale_x": a.scale[0], "scale_y": b.scale[0], "zero_x": a.zero, "zero_y": b.zero}
        onnx = int(self.rounding is Rounding.ONNX)
        return sizes | scales | fixed.clamp(self.low, self.high, b, self.rounding) | {"onnx": onnx}

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
            Example.random(cls((3, 2), (1, 2), (2, 1, 0, 0), 0.0, 2.0, y, onnx, True), x),
            Example.random(cls((3, 3), (2, 2), (0, 0, 1, 1), 0.0), f),
            Example.random(cls((2, 2), (1, 1), (1, 1, 0, 0), padded=True), f),
        )
