"""The gradient of a convolution's weights. Floor 2."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from tte.op import Arrays, Example, Kernel, Op, Params, Slices, Types
from tte.types import Array, DType, Quant, TensorType

F32, S8 = DType.F32, DType.S8
Pair = tuple[int, int]

_kernel = partial(Kernel, header="conv_grad_w.h", outs=(F32,), params="tte_conv_grad_w", form="channels", per_mac=4.0)


@dataclass(frozen=True, slots=True)
class ConvGradW(Op):
    """y[co,kh,kw,k] = (sum over pixels of g[1,oh,ow,co] * what tap (ky, kx) reads of x[1,h,w,k]) * scale[co].

    x may be only the first k channels of the convolution; if depthwise, y[k,kh,kw,1] is of these, whatever more g has.
    Integers of x count from their zero; they come with scales, floats without. Stride, pads and dilation are those of
    the convolution.
    """

    stride: Pair
    pads: tuple[int, int, int, int]  # top, left, bottom, right
    dilation: Pair
    kernel: Pair
    depthwise: bool = False

    operands: ClassVar[tuple[str, ...]] = ("g", "x", "scale")
    optional = 1
    kernels: ClassVar[tuple[Kernel, ...]] = (
        _kernel("tte_conv_grad_w_s8", ins=(F32, S8, F32)),
        _kernel(
            "tte_conv_grad_w_f32",
            ins=(F32, F32),
            when=lambda ins, outs, params: len(ins) == 2,
            needs="floats without scales",
        ),
    )

    def infer(self, *types: TensorType) -> Types:
        """g[1,oh,ow,co], x[1,h,w,k], scale of each filter give y."""
        g, x = types[:2]
        scale = types[2] if len(types) == 3 else None
        maps = all(len(t.shape) == 4 and t.shape[0] == 1 and 0 not in t.shape for t in (g, x))
        self.expect(maps and g.dtype is F32, f"{g} and {x} must be maps, g in f32")
        k = x.shape[3]
        y = TensorType((k if self.depthwise else g.shape[3], *self.kernel, 1 if self.depthwise else k), F32)
        self.expect(not self.depthwise or k <= g.shape[3], f"{x} has more channels than {g}")
        self.expect((x.dtype is S8) == (scale is not None), f"{x}: integers need scales, floats none")
        self.expect(scale is None or (scale.dtype, scale.shape) == (F32, y.shape[:1]), f"{scale} does not fit {y}")
        self.expect(x.dtype is F32 or x.quant is not None, "x needs a scale")
        return (y,)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact: pixels of g are added in order of rows, then columns."""
        g, x = args[0], args[1].astype(args[0].dtype)
        x = x - (ins[1].scaling.zero if ins[1].dtype is S8 else 0)
        x = np.pad(x, ((0, 0), self.pads[::2], self.pads[1::2], (0, 0)))
        (sy, sx), (dy, dx), (kh, kw), k = self.stride, self.dilation, self.kernel, x.shape[3]
        y: Array = np.zeros(outs[0].shape, g.dtype)
        for oy in range(g.shape[1]):
            for ox in range(g.shape[2]):
                patch = x[0, oy * sy :, ox * sx :][: (kh - 1) * dy + 1 : dy, : (kw - 1) * dx + 1 : dx]
                if self.depthwise:
                    y[..., 0] += (g[0, oy, ox, :k] * patch).transpose(2, 0, 1)
                else:
                    y += g[0, oy, ox, :, None, None, None] * patch
        return (y * args[2].reshape(-1, 1, 1, 1) if len(args) == 3 else y,)

    def slices(self, ins: Types, outs: Types) -> tuple[Slices, ...]:
        """Filters."""
        return (Slices((3, 3 if self.depthwise else None, 0)[: len(ins)], (0,)),)

    def params(self, ins: Types, outs: Types) -> Params:
        """Sizes, steps, what zero is in x, and the distances of pixels."""
        g, x, y = ins[0], ins[1], outs[0]
        sizes: Params = {"h": x.shape[1], "w": x.shape[2], "k": x.shape[3], "oh": g.shape[1], "ow": g.shape[2]}
        sizes |= {"filters": y.shape[0], "kh": self.kernel[0], "kw": self.kernel[1], "depthwise": int(self.depthwise)}
        sizes |= {"stride_y": self.stride[0], "stride_x": self.stride[1], "top": self.pads[0], "left": self.pads[1]}
        sizes |= {"dilation_y": self.dilation[0], "dilation_x": self.dilation[1]}
        sizes["pointwise"] = int(self.kernel == self.stride == (1, 1) and not any(self.pads) and not self.depthwise)
        zero = x.scaling.zero if x.dtype is S8 else 0
        return sizes | {"zero_x": zero, "g_pitch": g.shape[3], "x_pitch": x.shape[3]}

    def macs(self, ins: Types, outs: Types) -> int:
        """Products of all pixels, those outside x included."""
        return ins[0].shape[1] * ins[0].shape[2] * outs[0].size

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Both forms and types; ragged sizes, strides, dilation, fewer channels than g."""
        same, none, one = (1, 1, 1, 1), (0, 0, 0, 0), (1, 1)
        q = Quant((0.05,), -7)

        def make(op: ConvGradW, g: tuple[int, ...], x: tuple[int, ...], f32: bool = False) -> Example:
            if f32:
                return Example.random(op, TensorType(g, F32), TensorType(x, F32))
            scale = TensorType((x[3] if op.depthwise else g[3],), F32)
            return Example.random(op, TensorType(g, F32), TensorType(x, S8, q), scale, consts=(2,))

        return (
            make(cls(one, none, one, one), (1, 3, 5, 7), (1, 3, 5, 9)),
            make(cls(one, none, one, one), (1, 3, 3, 8), (1, 3, 3, 4)),
            make(cls(one, none, one, one), (1, 2, 3, 5), (1, 2, 3, 3), True),
            make(cls((2, 2), none, one, one), (1, 3, 4, 5), (1, 6, 7, 4)),
            make(cls(one, same, one, (3, 3), True), (1, 5, 6, 5), (1, 5, 6, 3)),
            make(cls((2, 2), (2, 1, 2, 3), one, (5, 5), True), (1, 5, 4, 6), (1, 9, 8, 6)),
            make(cls((2, 1), (0, 1, 0, 1), (1, 2), (3, 3), True), (1, 3, 4, 3), (1, 7, 6, 3), True),
            make(cls(one, same, one, (3, 3)), (1, 4, 5, 3), (1, 4, 5, 2)),
            make(cls((2, 1), (0, 1, 2, 0), (2, 3), (3, 2)), (1, 4, 7, 4), (1, 9, 9, 3)),
            make(cls((2, 2), same, one, (3, 3)), (1, 3, 4, 3), (1, 6, 7, 2), True),
        )
