"""Two-dimensional convolution: dense, grouped and depthwise. Floor 3."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from tte.arith import fixed
from tte.errors import Unsupported
from tte.layouts import dsp, mve
from tte.op import Arrays, Example, Grows, Kernel, Op, Params, Types, Values, Window
from tte.ops.bias_grad import BiasGrad
from tte.ops.conv_grad_w import ConvGradW
from tte.ops.conv_grad_x import ConvGradX
from tte.ops.mask_grad import MaskGrad, unclamped
from tte.ops.slice import Slice
from tte.shapes import clamps, filters
from tte.types import Array, DType, Quant, Rounding, TensorType, Value

F32, S8, S32 = DType.F32, DType.S8, DType.S32
MAX_K = 2**15  # 255 * 128 * 2**15 < 2**30: sums stay far from overflow, and the bias is added in 64 bits


_plain = partial(Kernel, form="window", per_mac=6.0)
PLAIN = (
    _plain(
        "tte_conv_s8",
        "conv_s8.h",
        (S8, S8, S32, S8),
        (S8,),
        optional=1,
        takes=("w", "b", "rest", "q", "y", "y1", "r"),
        per_mac=8.0,
    ),
    _plain(
        "tte_depthwise_s8",
        "depthwise_s8.h",
        (S8, S8, S32),
        (S8,),
        when=filters.depthwise,
        needs="one filter per channel",
        pack=filters.taps_first,
        packs=("w",),
        takes=("w", "b", "q", "y", "y1", "r"),
    ),
    _plain("tte_conv_f32", "conv_f32.h", (F32, F32, F32, F32), (F32,), optional=1, takes=("w", "b", "rest", "y")),
)


@dataclass(frozen=True, slots=True)
class Conv(Op):
    """y[1,oh,ow,co] = clamp(b[co] + sum of x[1,h,w,ci] * w[co,kh,kw,ci/g], low, high), with g groups.

    Row r of y reads rows r * stride - pad + k * dilation of x; outside x there is zero. In s8, w is symmetric with a
    scale per co or one for all, b is s32 at scale s_x * s_w, and sums are brought back to `out` by `rounding`.
    With `rest`, the filters are w and rest, joined along ci (g = 1), or along co where w has fewer than co (ci/g = 1).
    `masked` adds a result u1[1,oh,ow,co]: 1 where the s8 before the clamp lay within the clamp.
    """

    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, left, bottom, right
    dilation: tuple[int, int] = (1, 1)
    low: float = -math.inf
    high: float = math.inf
    out: Quant | None = None
    rounding: Rounding = Rounding.TFLITE
    masked: bool = False

    operands = ("x", "w", "b", "rest")
    optional = 1
    kernels = (*PLAIN, *dsp.CONV, *mve.CONV)

    def infer(self, *types: TensorType) -> Types:
        """x[1,h,w,c], w[co,kh,kw,c/g], b[co] and perhaps rest give y[1,oh,ow,co], and the mask."""
        x, w, b = types[:3]
        self.expect(len(x.shape) == len(w.shape) == 4, f"x and w must have four dimensions, not {x} and {w}")
        self.expect(len(b.shape) == 1, f"b must be a vector, not {b}")
        w = filters.check(self.expect, types)
        self.expect(x.shape[0] == 1, f"batch {x.shape[0]} is not supported", "export the model with batch 1")
        (_, h, wd, c), (co, kh, kw, cg) = x.shape, w.shape
        self.expect(0 not in (*x.shape, *w.shape), f"{x} and {w} must not be empty")
        self.expect(c % cg == 0 and co % (c // cg) == 0, f"{c} channels do not divide into the groups of {w}")
        self.expect(b.shape == (co,), f"b must be a vector of {co}, not {b}")
        self.expect(min(self.stride + self.dilation) >= 1 and min(self.pads) >= 0, f"{self} is malformed")
        top, left, bottom, right = self.pads
        oh = (h + top + bottom - (kh - 1) * self.dilation[0] - 1) // self.stride[0] + 1
        ow = (wd + left + right - (kw - 1) * self.dilation[1] - 1) // self.stride[1] + 1
        self.expect(oh > 0 and ow > 0, f"the filter of {w} is larger than the padded {x}")
        if x.dtype is S8:
            self.expect(None not in (x.quant, w.quant, self.out), "x, w and the result need scales")
            self.expect(w.scaling.zero == 0 and w.scaling.axis in (None, 0), "w must be symmetric, scaled by output")
            self.expect(kh * kw * cg <= MAX_K, f"more than {MAX_K} products in a sum may overflow")
        return clamps.results(self, TensorType((1, oh, ow, co), x.dtype, self.out), self.masked)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact: integer sums in 64 bits; floats are added in order of ky, kx, ci."""
        x, w, b = args[:3]
        if len(args) == 4:
            w = np.concatenate([w, args[3]], filters.split_axis(ins))
        if ins[0].dtype is F32:
            return (np.clip(self._sums(x, w, outs[0].shape) + b, self.low, self.high).astype(x.dtype),)
        zero_x = ins[0].scaling.zero
        acc = self._sums(x.astype(np.int64) - zero_x, w.astype(np.int64), outs[0].shape) + b
        p = self.params(ins, outs)
        free = fixed.finish(self.rounding, acc, np.asarray(p["q"])) + p["zero_y"]
        return clamps.clamped(free, int(p["lo"]), int(p["hi"]), outs)

    def _sums(self, x: Array, w: Array, shape: tuple[int, ...]) -> Array:
        """Sums without bias, added in order of ky, kx, ci."""
        (_, oh, ow, co), (_, kh, kw, cg) = shape, w.shape
        top, left, bottom, right = self.pads
        x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
        groups = x.shape[3] // cg
        acc = np.zeros((1, oh, ow, groups, co // groups), x.dtype)
        (sy, sx), (dy, dx) = self.stride, self.dilation
        for ky in range(kh):
            for kx in range(kw):
                tap = x[:, ky * dy :, kx * dx :][:, : (oh - 1) * sy + 1 : sy, : (ow - 1) * sx + 1 : sx]
                tap = tap.reshape(1, oh, ow, groups, 1, cg)
                weights = w[:, ky, kx].reshape(groups, co // groups, cg)
                if x.dtype.kind == "f":
                    for ci in range(cg):
                        acc += tap[..., ci] * weights[..., ci]
                else:
                    acc += np.einsum("nhwgic,goc->nhwgo", tap, weights)
        return acc.reshape(1, oh, ow, co)

    def vjp(self, graph: Grows, grads: tuple[Value | None, ...], ins: Values, outs: Values) -> tuple[Value | None, ...]:
        """Of x, w and b. In s8 the scales of w are in the gradient of the sums, whose clamp has a mask."""
        (g, *_), (x, w, *_), types = grads, ins, tuple(v.type for v in ins)
        if g is None:
            return (None,) * len(ins)
        single = filters.depthwise(types, (), {})
        if not single and not filters.dense(types, (), {}):
            raise Unsupported(self.label(), f"groups of {w} have no gradient", "freeze what comes before it")
        k, scales = w.type.shape[0 if single else 3], []
        if x.type.dtype is S8:
            self.expect(self.masked, "in s8 it has a gradient only with a mask")
            s_w = np.broadcast_to(np.array(filters.whole(types).scaling.scale, np.float32), outs[0].type.shape[3:])
            s_x = np.float32(x.type.scaling.scale[0])
            rows = k if single else len(s_w)
            of_w, of_y = TensorType((rows,), F32), TensorType(s_w.shape, F32)
            (g,) = graph.emit(MaskGrad(), g, outs[1], graph.constant("scale", of_y, s_w))
            scales = [graph.constant("w_scale", of_w, s_x / s_w[:rows])]
            (g_b,) = graph.emit(BiasGrad(), g, graph.constant("b_scale", of_y, 1 / s_w))
        else:
            g = unclamped(graph, g, outs, self.low, self.high)
            (g_b,) = graph.emit(BiasGrad(), g)
        steps = self.stride, self.pads, self.dilation
        shape, kernel = ((v.type.shape[1], v.type.shape[2]) for v in (x, w))
        (g_x,) = graph.emit(ConvGradX(*steps, shape, single), g, w, *ins[3:])
        kept = x if k == x.type.shape[3] else graph.emit(Slice(k), x)[0]
        (g_w,) = graph.emit(ConvGradW(*steps, kernel, single), g, kept, *scales)
        return (g_x, g_w, g_b, None)[: len(ins)]

    def params(self, ins: Types, outs: Types) -> Params:
        """Sizes; in s8 also zero points, the clamp, and multiplier and shift per output channel."""
        x, w = ins[0], filters.whole(ins)
        (_, _, wd, c), (co, kh, kw, cg), (_, oh, ow, _) = x.shape, w.shape, outs[0].shape
        sizes: Params = {"w": wd, "c": c, "kh": kh, "kw": kw, "cg": cg, "ow": ow, "co": co}
        sizes |= {"filters": ins[1].shape[0], "k": ins[1].shape[3]}
        sizes |= {"stride": self.stride[1], "left": self.pads[1], "dilation": self.dilation[1], "pixels": oh * ow}
        if x.dtype is F32:
            return sizes | {"low": self.low, "high": self.high}
        y = outs[0].scaling
        q = fixed.channels(self.rounding, x.scaling, w.scaling, y, co)
        zeros = {"zero_x": x.scaling.zero, "zero_y": y.zero}
        clamp = fixed.clamp(self.low, self.high, y, self.rounding)
        known = {"shift": fixed.least_shift(q), "padded": self._outside(x, w, outs[0])}
        return sizes | zeros | clamp | known | {"rounding": list(Rounding).index(self.rounding), "q": q}

    def _outside(self, x: TensorType, w: TensorType, y: TensorType) -> int:
        """How far a filter ever reaches outside x; padding at the bottom and the right may be out of its reach."""
        sizes = zip(x.shape[1:3], w.shape[1:3], y.shape[1:3], self.stride, self.pads, self.dilation, strict=False)
        ends = [(o - 1) * s - p + (k - 1) * d - (n - 1) for n, k, o, s, p, d in sizes]
        return int(max(0, *self.pads[:2], *ends))

    def window(self, ins: Types, outs: Types) -> Window:
        """The rows under the filter."""
        return Window(ins[1].shape[1], self.stride[0], self.pads[0], self.dilation[0])

    def macs(self, ins: Types, outs: Types) -> int:
        """Products of all outputs, those with padding included."""
        return outs[0].size * math.prod(filters.whole(ins).shape[1:])

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Every form and rounding; ragged sizes, strides, dilation, dead channels with a bias at the limit.

        With a mask, and with biases and weights that are no constants, whole or split.
        """
        y, onnx = Quant((0.4,), -7), Rounding.ONNX

        def s8(op: Conv, x: tuple[int, ...], w: tuple[int, ...], seed: int = 0, weaker: int = 1) -> Example:
            scales = (*(0.004 * (i % 5 + 1) for i in range(w[0] - 1)), 4e-9)
            types = TensorType(x, S8, Quant((0.05,), 3)), TensorType(w, S8, Quant(scales, 0, 0)), TensorType(w[:1], S32)
            e = Example.random(op, *types, consts=(1, 2), below=4000, seed=seed)
            e.args[2][-1] = -(2**31) if op.rounding is onnx else 77
            np.maximum(e.args[1] // weaker, -127 if w[3] == 1 else -128, out=e.args[1])
            e.args[2][:-1] //= weaker
            return e

        def live(op: Conv, x: tuple[int, ...], w: tuple[int, ...], k: int = 0, consts: tuple[int, ...] = ()) -> Example:
            e = s8(replace(op, masked=True), x, w)
            if 2 not in consts:
                e.args[2][[0, -1]] = 2**31 - 1, -(2**31)  # sums that 32 bits do not hold
            return split(e, k, (*consts, 3)) if k else replace(e, consts=consts)

        def f32(op: Conv, x: tuple[int, ...], w: tuple[int, ...]) -> Example:
            return Example.random(op, *(TensorType(s, F32) for s in (x, w, w[:1])), consts=(1, 2))

        same = (1, 1, 1, 1)
        fine = Quant((0.0005,), 4)  # multipliers of 1/4 and more
        return (
            s8(Conv(out=y), (1, 3, 5, 7), (6, 1, 1, 7)),
            s8(Conv(out=fine), (1, 2, 3, 5), (9, 1, 1, 5)),
            s8(Conv(out=y, rounding=Rounding.SINGLE), (1, 1, 1, 9), (3, 1, 1, 9)),
            s8(Conv((2, 2), (0, 0, 1, 1), out=y, rounding=onnx), (1, 6, 7, 6), (6, 3, 3, 1)),
            s8(Conv((1, 1), same, out=y, low=-1.5), (1, 1, 2, 3), (3, 3, 3, 1)),
            s8(Conv(out=y, rounding=onnx), (1, 4, 4, 16), (5, 1, 1, 16)),
            s8(Conv(pads=same, out=y, low=0.0), (1, 5, 6, 4), (8, 3, 3, 4)),
            s8(Conv((2, 2), same, out=y, low=0.0, high=6.0, rounding=onnx), (1, 8, 7, 3), (4, 3, 3, 3)),
            s8(Conv((2, 1), (0, 1, 2, 0), (2, 3), out=y, rounding=Rounding.SINGLE), (1, 9, 9, 4), (6, 3, 2, 2)),
            s8(Conv((1, 1), same, out=y), (1, 5, 5, 9), (9, 3, 3, 1)),
            s8(Conv((2, 2), (3, 3, 3, 3), out=y, rounding=onnx), (1, 9, 8, 16), (16, 7, 7, 1)),
            s8(Conv((2, 2), (1, 2, 2, 1), out=y), (1, 9, 8, 5), (5, 5, 4, 1)),
            s8(Conv(pads=same, out=y), (1, 4, 4, 3), (6, 3, 3, 1)),
            s8(Conv(pads=same, out=y, rounding=Rounding.SINGLE), (1, 4, 5, 16), (17, 3, 3, 16)),
            s8(Conv((2, 2), out=Quant((4e-4,), 5)), (1, 5, 3, 4), (9, 1, 1, 4), 0, 50),
            s8(Conv(pads=same, out=Quant((2e-4,), 5), rounding=Rounding.SINGLE), (1, 4, 3, 9), (9, 3, 3, 1), 0, 60),
            live(Conv(out=y, low=-1.0), (1, 3, 5, 7), (6, 1, 1, 7), 0, (1, 2)),
            live(Conv(out=y, rounding=onnx), (1, 3, 3, 6), (9, 1, 1, 6), 0, (1,)),
            live(Conv(out=fine, high=0.01), (1, 3, 5, 7), (7, 1, 1, 7), 3),
            live(Conv(out=y, rounding=Rounding.SINGLE), (1, 3, 3, 12), (5, 1, 1, 12), 4, (2,)),
            live(Conv(pads=same, out=y), (1, 5, 7, 6), (5, 3, 3, 6), 0, (1,)),
            live(Conv((2, 2), same, out=y, rounding=onnx), (1, 6, 5, 6), (5, 3, 3, 6), 2),
            live(Conv(pads=same, out=y), (1, 5, 5, 5), (5, 3, 3, 1), 0, (1, 2)),
            live(Conv((2, 2), same, out=y, rounding=onnx), (1, 6, 7, 5), (5, 3, 3, 1), 0, (1,)),
            live(Conv(pads=same, out=y), (1, 5, 6, 5), (5, 3, 3, 1), 2),
            live(Conv((2, 2), (1, 2, 2, 1), out=y), (1, 9, 8, 5), (5, 5, 4, 1), 0, (1,)),
            live(Conv((1, 1), (1, 2, 2, 1), out=y), (1, 6, 8, 5), (5, 4, 5, 1), 3),
            f32(Conv((1, 1), same, low=0.0), (1, 5, 5, 3), (4, 3, 3, 3)),
            f32(Conv((2, 2), (0, 0, 1, 1), high=6.0), (1, 6, 6, 4), (4, 3, 3, 1)),
        )


def split(e: Example, k: int, consts: tuple[int, ...]) -> Example:
    """The example with its filters in two parts, the first of which has k channels; depthwise: k filters."""
    w, axis = e.ins[1], 0 if e.ins[1].shape[3] == 1 else 3
    first, rest = np.split(e.args[1], [k], axis)
    scales = w.scaling.scale
    parts = (scales[:k], scales[k:]) if axis == 0 else (scales, scales)
    a, b = (replace(w, shape=v.shape, quant=Quant(s, 0, 0)) for v, s in zip((first, rest), parts, strict=True))
    args = (e.args[0], first, e.args[2], rest)
    return Example(e.op, (e.ins[0], a, e.ins[2], b), args, consts)
