"""Gradients rounded to integers with power-of-two steps. Floor 2."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from tte.op import Arrays, Example, Kernel, Op, Params, Slices, Types
from tte.types import Array, DType, TensorType

F32, S8, S16, U1 = DType.F32, DType.S8, DType.S16, DType.U1
FARTHEST = 100  # steps lie from 2**-100 to 2**100: a step, its inverse and its products are normal numbers

_kernel = partial(
    Kernel,
    header="round_grad.h",
    ins=(F32, U1, F32),
    form="channels",
    params="tte_round_grad",
    when=lambda ins, outs, params: outs[0].shape[-1] % int(params["group"]) == 0,
    needs="whole groups of channels",
    per_out=20.0,
)


def _in_fours(ins: Types, outs: Types, params: Params) -> bool:
    """True where four channels have half a byte of the mask."""
    group, channels = int(params["group"]), outs[0].shape[-1]
    return ins[1].shape[-1] % 4 == channels % 4 == channels % group == 0 and (group == 1 or group % 4 == 0)


_dsp = partial(
    _kernel,
    header="round_grad_dsp.h",
    isa="dsp",
    when=_in_fours,
    needs="channels by fours, with a step for each, or for four or more",
    per_out=10.0,
)


@dataclass(frozen=True, slots=True)
class RoundGrad(Op):
    """q * step = mask ? g * scale[channel] : 0, to the nearest q, ties to even. Channels are the last axis.

    step[c] is a power of two, one for each `group` neighbouring channels: the greatest of these take all of the bits.
    What would round past the greatest integer becomes that; what is no number becomes 0.
    """

    bits: int
    group: int

    operands = ("g", "mask", "scale")
    kernels = (
        _kernel("tte_round_grad_s8", outs=(S8, F32)),
        _kernel("tte_round_grad_s16", outs=(S16, F32)),
        _dsp("tte_round_grad_s8_dsp", outs=(S8, F32)),
        _dsp("tte_round_grad_s16_dsp", outs=(S16, F32)),
    )

    def infer(self, *types: TensorType) -> Types:
        """g[...,c], mask[...,c], scale[c] give q[...,c], step[c]."""
        g, mask, scale = types
        self.expect(g.dtype is F32 and g.shape != () and 0 not in g.shape, f"g must be f32 with channels, not {g}")
        self.expect(mask == TensorType(g.shape, U1), f"{mask} is no mask of {g}")
        self.expect(scale == TensorType(g.shape[-1:], F32), f"{scale} does not fit {g}")
        self.expect(self.bits in (8, 16), "bits must be 8 or 16")
        self.expect(self.group > 0 and g.shape[-1] % self.group == 0, f"{g} has no groups of {self.group} channels")
        return TensorType(g.shape, S8 if self.bits == 8 else S16), scale

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact in f32, which other floats are brought to first."""
        g, mask, scale = args[0].astype(np.float32), args[1], args[2].astype(np.float32)
        limit, c = 2 ** (self.bits - 1), len(scale)
        with np.errstate(all="ignore"):
            most = _magnitude(np.where(mask, g, np.float32(0))).reshape(-1, c).max(0).view(np.float32)
            peak = _magnitude(most * scale).reshape(-1, self.group).max(1)
            power = np.clip((peak >> 23) - 127 - (self.bits - 2), -FARTHEST, FARTHEST).repeat(self.group)
            q = np.rint(g * (scale * np.ldexp(np.float32(1), -power)))
            rounded = np.clip(np.where(mask.astype(bool) & ~np.isnan(q), q, 0), -limit, limit - 1)
        return rounded.astype(outs[0].dtype.numpy), np.ldexp(np.float32(1), power).astype(np.float32)

    def slices(self, ins: Types, outs: Types) -> tuple[Slices, ...]:
        """Whole groups of channels."""
        last = len(ins[0].shape) - 1
        return (Slices((last, None, 0), (last, 0)),)

    def params(self, ins: Types, outs: Types) -> Params:
        """Pixels, channels, and the distances of pixels."""
        c = outs[0].shape[-1]
        sizes: Params = {"pixels": outs[0].size // c, "channels": c, "group": self.group}
        return sizes | {"mask_pitch": ins[1].shape[-1], "g_pitch": ins[0].shape[-1], "y_pitch": c}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Steps of a channel, of some and of all; ties, zeros, and what is too great, too small or no number."""

        def make(op: RoundGrad, *shape: int) -> Example:
            t = TensorType(shape, F32)
            types = t, TensorType(shape, U1), TensorType(shape[-1:], F32)
            return Example.random(op, *types, consts=(2,), seed=op.bits + op.group)

        odd = make(cls(8, 1), 1, 2, 4, 7)
        odd.args[0][..., 0], odd.args[0][..., 1], odd.args[0][..., 2] = 0, 1e-40, 1e38
        odd.args[0][0, 0, :, 3] = np.inf, -np.inf, np.nan, 1
        odd.args[0][..., 4] = np.array([[1, 63.5, -0.5, 1.5], [2.5, 126.5, -127.7, 0.25]])
        odd.args[1][..., 4] = 1
        odd.args[2][4] = 0.125
        wide = make(cls(16, 1), 1, 2, 4, 8)
        wide.args[0][..., :7] = odd.args[0]
        return (
            odd,
            make(cls(8, 4), 1, 3, 5, 8),
            make(cls(8, 6), 3, 6),
            make(cls(16, 4), 1, 2, 3, 8),
            make(cls(16, 1), 1, 3, 3, 5),
            wide,
            make(cls(8, 12), 1, 2, 3, 12),
        )


def _magnitude(x: Array) -> Array:
    """The bits of |x|, which are ordered as |x| is; what is no number comes last."""
    found: Array = x.astype(np.float32).view(np.int32) & 0x7FFFFFFF
    return found
