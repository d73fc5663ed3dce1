"""The gradient of a convolution's input from a rounded one. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from tte.op import Arrays, Example, Kernel, Params, Slices, Types
from tte.ops.conv_grad_x import ConvGradX
from tte.types import Array, DType, Quant, TensorType

F32, S8, S16 = DType.F32, DType.S8, DType.S16
MOST = 512  # products of 32767 * 128 whose sum stays below 2**31

_kernel = partial(
    Kernel,
    header="rounded_grad_x.h",
    outs=(F32,),
    params="tte_rounded_grad_x",
    form="channels",
    optional=1,
    takes=("step", "w", "rest", "y", "c"),
    when=lambda ins, outs, params: bool(params["depthwise"]) or ins[0].shape[3] % int(params["group"]) == 0,
    needs="whole groups of channels",
    per_mac=5.0,
)


@dataclass(frozen=True, slots=True)
class RoundedGradX(ConvGradX):
    """As ConvGradX, of g * step[co], for g in s8 or s16 and integer weights.

    Steps are equal within each `group` of channels of g, whose products are added as integers; these sums, times their
    step, are added in f32. If depthwise, a channel's products are added as integers, whatever `group` says.
    """

    group: int = 1

    operands = ("g", "step", "w", "rest")
    kernels = (
        _kernel("tte_rounded_grad_x_s8", ins=(S8, F32, S8, S8)),
        _kernel("tte_rounded_grad_x_s16", ins=(S16, F32, S8, S8)),
    )

    def infer(self, *types: TensorType) -> Types:
        """g[1,oh,ow,co], step[co], w[co,kh,kw,k], rest[co,kh,kw,ci-k] give y[1,h,w,ci]."""
        g, step, w = types[:3]
        self.expect(g.dtype in (S8, S16) and w.dtype is S8, f"{g} and {w} must be integers, the weights s8")
        self.expect(step == TensorType(g.shape[-1:], F32), f"{step} are no steps of {g}")
        self.expect(0 < self.group <= MOST, f"groups must be of at most {MOST} channels")
        outs = ConvGradX.infer(self, *_real(types))
        taps = w.shape[1] * w.shape[2]
        self.expect(not self.depthwise or taps <= MOST, f"a filter of {taps} taps may overflow")
        self.expect(self.depthwise or g.shape[3] % self.group == 0, f"{g} has no groups of {self.group} channels")
        return outs

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact: products are added as integers, their sums in order of ky, kx, groups."""
        g, step, parts = args[0].astype(np.float64), args[1], args[2:]  # sums below 2**31 are exact in f64
        w = np.concatenate(parts, 0 if self.depthwise else 3).astype(np.float64)
        total: Array = np.zeros(outs[0].shape)
        y: Array = np.zeros(outs[0].shape, step.dtype)
        for ky in range(w.shape[1]):
            for kx in range(w.shape[2]):
                (to_y, from_y), (to_x, from_x) = self._reach(0, ky, g), self._reach(1, kx, g)
                taken = g[:, from_y, from_x]
                if self.depthwise:
                    total[:, to_y, to_x] += taken * w[:, ky, kx, 0]
                    continue
                for co in range(0, w.shape[0], self.group):
                    some = slice(co, co + self.group)
                    y[:, to_y, to_x] += (taken[..., some] @ w[some, ky, kx]).astype(step.dtype) * step[co]
        return (total.astype(step.dtype) * step if self.depthwise else y,)

    def slices(self, ins: Types, outs: Types) -> tuple[Slices, ...]:
        """As ConvGradX; steps go with channels of g."""
        plain = ConvGradX.slices(self, _real(ins), outs)
        return tuple(Slices((s.ins[0], None if s.ins[0] is None else 0, *s.ins[1:]), s.outs) for s in plain)

    def params(self, ins: Types, outs: Types) -> Params:
        """As ConvGradX, and the group."""
        return ConvGradX.params(self, _real(ins), outs) | {"group": self.group}

    def macs(self, ins: Types, outs: Types) -> int:
        """As ConvGradX."""
        return ConvGradX.macs(self, _real(ins), outs)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Those of ConvGradX with integer weights, steps of a channel, of some and of all."""
        found, thin = list[Example](), Quant((0.01,))
        for e in ConvGradX.examples():
            if not isinstance(e.op, ConvGradX) or e.ins[1].dtype is not S8:
                continue
            co = e.ins[0].shape[3]
            for group in dict.fromkeys((1,) if e.op.depthwise else (2 if co % 2 == 0 else 1, 4 if co % 4 == 0 else co)):
                for dtype in (S8, S16):
                    found.append(_rounded(e, group, TensorType(e.ins[0].shape, dtype), thin))
        return tuple(found)


def _real(types: Types) -> Types:
    """The operands as ConvGradX has them."""
    return (TensorType(types[0].shape, F32), *types[2:])


def _rounded(e: Example, group: int, g: TensorType, scale: Quant) -> Example:
    """An example of ConvGradX with a rounded gradient, the greatest integers first, and steps from 2**-9 to 2**9."""
    op = e.op
    assert isinstance(op, ConvGradX)
    made = RoundedGradX(op.stride, op.pads, op.dilation, op.shape, op.depthwise, group)
    step = TensorType(g.shape[3:], F32)
    found = Example.random(made, g, step, *(TensorType(t.shape, S8, scale) for t in e.ins[1:]))
    found.args[0].reshape(-1)[:40] = -np.iinfo(g.dtype.numpy).max
    for w in found.args[2:]:
        w.reshape(-1)[::3] = -128
    co = np.arange(g.shape[3]) // group
    found.args[1][:] = np.ldexp(1.0, co * 5 % 19 - 9)
    return found
