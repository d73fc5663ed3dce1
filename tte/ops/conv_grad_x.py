"""The gradient of a convolution's input. Floor 2."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from tte.layouts.pairs import paired
from tte.op import Arrays, Consts, Example, Kernel, Op, Params, Slices, Types
from tte.types import Array, DType, Quant, TensorType

F32, S8 = DType.F32, DType.S8
Pair = tuple[int, int]

ROWS = 32  # TTE_GRAD_ROWS


def columns(ins: Types, outs: Types, params: Params) -> int:
    """Bytes of four floats for each tap of a filter, if depthwise, or for each of some filters."""
    return 16 * (ins[1].shape[1] * ins[1].shape[2] if params["depthwise"] else min(ins[0].shape[3], ROWS))


def shared(ins: Types, outs: Types, params: Params) -> bool:
    """Pointwise, of one tensor, whose filters lie by pairs without gaps."""
    w = ins[1].shape
    return bool(params["pointwise"]) and w[0] % 2 == 0 and w[3] % 4 == 0 and params["k"] == params["channels"]


def by_pairs(consts: Consts, ins: Types, outs: Types) -> Consts:
    """The bytes that the forward's kernel has (tte/layouts/pairs.py), so that both read one array."""
    return {"w": paired(consts["w"]).view(np.int8)}


_kernel = partial(
    Kernel,
    header="conv_grad_x.h",
    outs=(F32,),
    params="tte_conv_grad_x",
    form="channels",
    optional=1,
    takes=("w", "rest", "y", "scratch", "c"),
    scratch=columns,
    per_mac=4.0,
)


@dataclass(frozen=True, slots=True)
class ConvGradX(Op):
    """y[1,h,w,ci] = the sum of g[1,oh,ow,co] * w[co,ky,kx,ci] over all that a convolution made of an element of x.

    Integers of w are used as they are: their scales are in g. With `rest`, w holds the first input channels of the
    filters and `rest` the others; if depthwise, w[c,kh,kw,1] holds the first filters and `rest` the others. `shape` is
    (h, w) of x; stride, pads and dilation are those of the convolution.
    """

    stride: Pair
    pads: tuple[int, int, int, int]  # top, left, bottom, right
    dilation: Pair
    shape: Pair
    depthwise: bool = False

    operands: ClassVar[tuple[str, ...]] = ("g", "w", "rest")
    optional = 1
    kernels: ClassVar[tuple[Kernel, ...]] = (
        _kernel("tte_conv_grad_x_s8", ins=(F32, S8, S8)),
        _kernel(
            "tte_conv_grad_x_s8_dsp",
            ins=(F32, S8),
            isa="dsp",
            optional=0,
            when=shared,
            needs="1x1 of an even number of channels from a multiple of four",
            pack=by_pairs,
            takes=("w", "y", "scratch", "c"),
            per_mac=3.9,
        ),
        _kernel("tte_conv_grad_x_f32", ins=(F32, F32, F32)),
    )

    def infer(self, *types: TensorType) -> Types:
        """g[1,oh,ow,co], w[co,kh,kw,k], rest[co,kh,kw,ci-k] give y[1,h,w,ci]."""
        g, w = types[:2]
        self.expect(
            g.dtype is F32 and len(g.shape) == 4 and g.shape[0] == 1, f"g must be f32 with a batch of 1, not {g}"
        )
        self.expect(
            all(len(t.shape) == 4 and 0 not in t.shape and t.dtype is w.dtype for t in types[1:]), f"{w} has no filters"
        )
        axis = 0 if self.depthwise else 3
        joined = tuple(sum(t.shape[k] for t in types[1:]) if k == axis else n for k, n in enumerate(w.shape))
        others = {tuple(n for k, n in enumerate(t.shape) if k != axis) for t in types[1:]}
        self.expect(len(others) == 1 and joined[0] == g.shape[3], f"{', '.join(map(str, types[1:]))} do not fit {g}")
        self.expect(not self.depthwise or joined[3] == 1, f"{w} is not depthwise")
        return (TensorType((1, *self.shape, joined[0] if self.depthwise else joined[3]), F32),)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact: products are added in order of ky, kx, co."""
        g = args[0]
        w = np.concatenate(args[1:], 0 if self.depthwise else 3).astype(g.dtype)
        y: Array = np.zeros(outs[0].shape, g.dtype)
        for ky in range(w.shape[1]):
            for kx in range(w.shape[2]):
                (to_y, from_y), (to_x, from_x) = self._reach(0, ky, g), self._reach(1, kx, g)
                part, taken = y[:, to_y, to_x], g[:, from_y, from_x]
                if self.depthwise:
                    part += taken * w[:, ky, kx, 0]
                else:
                    for co in range(w.shape[0]):
                        part += taken[..., co : co + 1] * w[co, ky, kx]
        return (y,)

    def _reach(self, axis: int, k: int, g: Array) -> tuple[slice, slice]:
        """Rows (axis 0) or columns of y that tap k reaches, and those of g from which."""
        stride, start, n = self.stride[axis], k * self.dilation[axis] - self.pads[axis], self.shape[axis]
        first = max(0, -(start // stride))
        last = max(first, min(g.shape[1 + axis], (n - 1 - start) // stride + 1))
        to = first * stride + start
        return slice(to, to + (last - first) * stride if last > first else to, stride), slice(first, last)

    def slices(self, ins: Types, outs: Types) -> tuple[Slices, ...]:
        """Channels of x; pointwise also channels of g, each of which adds its part."""
        split = len(ins) == 3
        if self.depthwise:
            return (Slices((3, None, None), (3,)) if split else Slices((3, 0), (3,)),)
        made = Slices((None,) * len(ins), (3,))
        return (made, Slices((3, 0, 0)[: len(ins)], (None,))) if self._pointwise(ins, outs) else (made,)

    def _pointwise(self, ins: Types, outs: Types) -> bool:
        """Each pixel from its own."""
        return ins[1].shape[1:3] == self.stride == (1, 1) and not any(self.pads)

    def params(self, ins: Types, outs: Types) -> Params:
        """Sizes, steps, and the distances of pixels. `k` are the channels of w (its filters, if depthwise)."""
        g, w, y = ins[0], ins[1], outs[0]
        axis = 0 if self.depthwise else 3
        sizes: Params = {"h": y.shape[1], "w": y.shape[2], "c": y.shape[3], "oh": g.shape[1], "ow": g.shape[2]}
        sizes |= {"co": g.shape[3], "kh": w.shape[1], "kw": w.shape[2], "k": w.shape[axis]}
        sizes |= {"channels": sum(t.shape[axis] for t in ins[1:]), "depthwise": int(self.depthwise)}
        sizes |= {"stride_y": self.stride[0], "stride_x": self.stride[1], "top": self.pads[0], "left": self.pads[1]}
        sizes |= {"dilation_y": self.dilation[0], "dilation_x": self.dilation[1]}
        return sizes | {"pointwise": int(self._pointwise(ins, outs)), "g_pitch": g.shape[3], "y_pitch": y.shape[3]}

    def macs(self, ins: Types, outs: Types) -> int:
        """Products of all elements of g with their filters, those outside x included."""
        return ins[0].size * ins[1].shape[1] * ins[1].shape[2] * (1 if self.depthwise else outs[0].shape[3])

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Every form with weights in one tensor and in two; ragged sizes, strides, dilation, rows that nobody read."""
        same, none, one = (1, 1, 1, 1), (0, 0, 0, 0), (1, 1)
        thin = Quant((0.01,))

        def make(
            op: ConvGradX, g: tuple[int, ...], *w: tuple[int, ...], f32: bool = False, consts: tuple[int, ...] = ()
        ) -> Example:
            types = (TensorType(s, F32) if f32 else TensorType(s, S8, thin) for s in w)
            return Example.random(op, TensorType(g, F32), *types, consts=consts)

        return (
            make(cls(one, none, one, (3, 5)), (1, 3, 5, 7), (7, 1, 1, 9)),
            make(cls(one, none, one, (3, 5)), (1, 3, 5, 6), (6, 1, 1, 12), consts=(1,)),
            make(cls(one, none, one, (3, 5)), (1, 3, 5, 8), (8, 1, 1, 4), (8, 1, 1, 8)),
            make(cls(one, none, one, (2, 2)), (1, 2, 2, 5), (5, 1, 1, 6), f32=True),
            make(cls(one, none, one, (3, 3)), (1, 3, 3, 4), (4, 1, 1, 3), (4, 1, 1, 2), f32=True),
            make(cls(one, same, one, (5, 6), True), (1, 5, 6, 5), (5, 3, 3, 1)),
            make(cls((2, 2), (2, 1, 2, 3), one, (9, 8), True), (1, 5, 4, 6), (2, 5, 5, 1), (4, 5, 5, 1)),
            make(cls((2, 1), (0, 1, 0, 1), (1, 2), (7, 6), True), (1, 3, 4, 3), (3, 3, 3, 1), f32=True),
            make(cls((2, 2), (3, 3, 3, 3), one, (8, 8), True), (1, 4, 4, 8), (8, 7, 7, 1)),
            make(cls(one, same, one, (4, 5)), (1, 4, 5, 3), (3, 3, 3, 2)),
            make(cls((2, 2), same, one, (6, 7)), (1, 3, 4, 3), (3, 3, 3, 2), (3, 3, 3, 3), f32=True),
            make(cls((2, 2), none, one, (6, 7)), (1, 3, 4, 5), (5, 1, 1, 4)),
            make(cls((2, 1), (0, 1, 2, 0), (2, 3), (9, 9)), (1, 4, 7, 4), (4, 3, 2, 2), (4, 3, 2, 1)),
        )
