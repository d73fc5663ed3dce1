"""The gradient of an average pooling's input. Floor 2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.op import Arrays, Example, Kernel, Op, Params, Slices, Types
from tte.types import Array, DType, TensorType

F32 = DType.F32
Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class AveragePoolGrad(Op):
    """y[1,h,w,c] = the sum of g[1,oh,ow,c] / count over all windows that an element of x lies in.

    `shape` is (h, w) of x; size, stride, pads and `padded` are those of the pooling, count the elements of the window
    that it counts.
    """

    size: Pair
    stride: Pair
    pads: tuple[int, int, int, int]  # top, left, bottom, right
    shape: Pair
    padded: bool = False

    operands = ("g",)
    kernels = (Kernel("tte_average_pool_grad", "average_pool_grad.h", (F32,), (F32,), form="channels", per_mac=8.0),)

    def infer(self, *types: TensorType) -> Types:
        """g[1,oh,ow,c] gives y[1,h,w,c]."""
        (g,) = types
        self.expect(
            g.dtype is F32 and len(g.shape) == 4 and g.shape[0] == 1, f"g must be f32 with a batch of 1, not {g}"
        )
        return (TensorType((1, *self.shape, g.shape[3]), F32),)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact: added in order of ky, kx, where the element lies in its window."""
        (g,), (h, w) = args, self.shape
        top, left, bottom, right = self.pads
        y: Array = np.zeros((1, h + top + bottom, w + left + right, g.shape[3]), g.dtype)
        share = g / self._counts(g.shape[1:3]).astype(g.dtype)
        (oh, ow), (sy, sx) = g.shape[1:3], self.stride
        for ky in range(self.size[0]):
            for kx in range(self.size[1]):
                y[:, ky : ky + (oh - 1) * sy + 1 : sy, kx : kx + (ow - 1) * sx + 1 : sx] += share
        return (y[:, top : top + h, left : left + w],)

    def _counts(self, outs: tuple[int, ...]) -> Array:
        """Elements that each window counts, [oh, ow, 1]."""
        inside = []
        for n, size, stride, pad, extent in zip(outs, self.size, self.stride, self.pads, self.shape, strict=False):
            at = np.arange(n) * stride - pad
            inside.append(np.full(n, size) if self.padded else np.minimum(at + size, extent) - np.maximum(at, 0))
        counts: Array = np.multiply.outer(*inside)[..., None]
        return counts

    def slices(self, ins: Types, outs: Types) -> tuple[Slices, ...]:
        """Any channels."""
        return (Slices((3,), (3,)),)

    def params(self, ins: Types, outs: Types) -> Params:
        """Sizes, steps, the divisor where it is fixed (else 0), and the distances of pixels."""
        (g,), (y,) = ins, outs
        sizes: Params = {"h": y.shape[1], "w": y.shape[2], "c": y.shape[3], "oh": g.shape[1], "ow": g.shape[2]}
        sizes |= {"kh": self.size[0], "kw": self.size[1], "stride_y": self.stride[0], "stride_x": self.stride[1]}
        sizes |= {"top": self.pads[0], "left": self.pads[1], "count": self.size[0] * self.size[1] * self.padded}
        return sizes | {"g_pitch": g.shape[3], "y_pitch": y.shape[3]}

    def macs(self, ins: Types, outs: Types) -> int:
        """Additions."""
        return ins[0].size * self.size[0] * self.size[1]

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """The whole map, windows that overlap, lie beyond the edge, and leave elements out."""
        return (
            Example.random(cls((3, 4), (1, 1), (0, 0, 0, 0), (3, 4)), TensorType((1, 1, 1, 5), F32)),
            Example.random(cls((3, 2), (2, 1), (1, 0, 1, 1), (6, 5)), TensorType((1, 3, 5, 4), F32)),
            Example.random(cls((2, 3), (3, 4), (1, 1, 0, 0), (7, 9), True), TensorType((1, 3, 2, 3), F32)),
        )
