"""What a clamp to s8 took off a few channels, put back into the sums. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tte.op import Arrays, Example, Kernel, Op, Params, Types
from tte.types import Array, DType, Quant, TensorType

F32, S8, S32 = DType.F32, DType.S8, DType.S32
LIMIT = 2**15 - 1  # of x / scale
MOST = 2**8  # channels: MOST * LIMIT * 128 < 2**30, beside sums below 2**30


@dataclass(frozen=True, slots=True)
class Shadow(Op):
    """y[n,m] = sums[n,m] + sum over h of (r - clamp(r, -128, 127)) * w[h,m], in s32.

    r = round(x[n, channels[h]] / scale), ties to even, clamped to +-32767. Where sums = quantize(x) . v^T, at this
    scale and without a zero point, and w holds columns of v, y is exactly what it would be had these channels not been
    clamped.

    Source: "shadow outlier execution", Xu et al., "Fast On-device LLM Inference with NPUs" (mllm-NPU), 2024.
    """

    scale: float
    channels: tuple[int, ...]

    operands = ("sums", "x", "w")
    kernels = (
        Kernel("tte_shadow_s32", "shadow.h", (S32, F32, S8), (S32,), inplace=((0, 0),), per_mac=1.0, per_out=2.0),
    )

    def infer(self, *types: TensorType) -> Types:
        """y is of the type of the sums."""
        sums, x, w = types
        shapes = f"{sums}, {x} and {w}"
        matrices = len(sums.shape) == len(x.shape) == len(w.shape) == 2
        self.expect((sums.dtype, x.dtype, w.dtype) == (S32, F32, S8), f"{shapes} must be s32, f32 and s8")
        self.expect(matrices and sums.shape[0] == x.shape[0] and sums.shape[1] == w.shape[1], f"{shapes} do not fit")
        self.expect(w.shape[0] == len(self.channels) <= MOST, f"{len(self.channels)} channels, {MOST} at most: not {w}")
        rising = all(a < b for a, b in pairwise((-1, *self.channels, x.shape[1])))
        self.expect(rising, f"the channels must rise, within the {x.shape[1]} of x")
        self.expect(0 < self.scale < np.inf, f"the scale is {self.scale}")
        return (sums,)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact; NaN is not defined."""
        sums, x, w = args
        return ((sums + residual(x[:, self.channels], self.scale) @ w.astype(np.int64)).astype(np.int32),)

    def params(self, ins: Types, outs: Types) -> Params:
        """Rows, columns, channels of x, those that are shadowed, and their numbers."""
        (n, m), k = ins[0].shape, ins[1].shape[1]
        return {
            "m": n,
            "n": m,
            "k": k,
            "h": len(self.channels),
            "scale": float(np.float32(self.scale)),
            "channels": np.asarray(self.channels, np.int32),
        }

    def macs(self, ins: Types, outs: Types) -> int:
        """n * m for each channel, if all are beyond the clamp."""
        return outs[0].size * len(self.channels)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Some channels, all and one; values inside, at the limits, far beyond, and ties."""
        sums, x = TensorType((3, 5), S32, Quant((0.1,))), TensorType((3, 9), F32)
        some = Example.random(cls(0.01, (0, 3, 8)), sums, x, TensorType((3, 5), S8), consts=(2,))
        ties = Example.random(cls(2.0, tuple(range(9))), sums, x, TensorType((9, 5), S8), consts=(2,), below=2**30)
        ties.args[1][:2] = np.arange(251, 269).reshape(2, 9) * np.array([[1], [-1]], np.float32)
        ties.args[1][2] = 0, 1e30, -1e30, 65534, 65536, -65535, 254, 256, -258
        one = TensorType((1, 1), S32), TensorType((1, 1), F32), TensorType((1, 1), S8)
        return some, ties, Example.random(cls(0.001, (0,)), *one)


def residual(x: Array, scale: float) -> Array:
    """round(x / scale) less what a clamp to s8 leaves of it: s64, of the shape of x."""
    r = np.rint(np.clip(x.astype(np.float32) / np.float32(scale), -LIMIT, LIMIT)).astype(np.int64)
    rest: Array = r - np.clip(r, -128, 127)
    return rest
