"""The gradient of a convolution's input from a rounded one. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from tte.op import Arrays, Example, Kernel, Params, Slices, Types
from tte.ops.conv_grad_x import ConvGradX, by_pairs, shared
from tte.types import Array, DType, Quant, TensorType

F32, S8, S16 = DType.F32, DType.S8, DType.S16
MOST = 256  # products of 2**15 * 2**7 whose sum stays far below 2**31
TAKEN = 48  # TTE_TAKEN_CHANNELS

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


def _in_words(ins: Types, outs: Types, params: Params) -> bool:
    """True where four channels are a word: what tte_rounded_grad_x_s8_dsp computes."""
    co, group, whole = params["co"], params["group"], params["c"] == params["channels"]
    if params["depthwise"]:
        return params["dilation_y"] == params["dilation_x"] == 1 and ins[0].shape[3] % 4 == 0
    together = (group == 4 and whole) or group == co
    return bool(params["pointwise"]) and ins[0].shape[3] % 4 == 0 and together


def _words(ins: Types, outs: Types, params: Params) -> int:
    """Bytes of two words for each tap and each pixel of a frame; or for each channel of g, or of a block of y."""
    if not params["depthwise"]:
        return 8 * max(ins[0].shape[3], TAKEN)
    (_, oh, ow, _), (_, h, w, _), (_, kh, kw, _) = ins[0].shape, outs[0].shape, ins[2].shape
    rows = _framed(oh, h, kh, int(params["stride_y"]), int(params["top"]))
    return 8 * (kh * kw + rows * _framed(ow, w, kw, int(params["stride_x"]), int(params["left"])))


def _framed(n: int, size: int, k: int, stride: int, pad: int) -> int:
    """Rows (or columns) of g and of zeros before and after it that the taps of some pixel meet."""
    return -(-max(k - 1 - pad, 0) // stride) + max(n, (size - 1 + pad) // stride + 1)


_dsp = partial(
    _kernel,
    header="rounded_grad_x_dsp.h",
    isa="dsp",
    takes=("step", "w", "rest", "y", "scratch", "c"),
    when=_in_words,
    needs="channels by fours, depthwise without dilation or 1x1 with steps of four or of all",
    scratch=_words,
    per_mac=1.5,
)


def _paired(ins: Types, outs: Types, params: Params) -> bool:
    """True where weights lie by pairs without gaps."""
    return _in_words(ins, outs, params) and outs[0].shape[3] % 4 == 0 and shared(_real(ins), outs, params)


_pairs = partial(
    _dsp,
    optional=0,
    takes=("step", "w", "y", "scratch", "c"),
    when=_paired,
    needs="1x1 of channels by fours, with steps of four or of all",
    pack=by_pairs,
    packs=("w",),
    per_mac=1.4,
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
        _dsp("tte_rounded_grad_x_s8_dsp", ins=(S8, F32, S8, S8)),
        _dsp("tte_rounded_grad_x_s16_dsp", ins=(S16, F32, S8, S8)),
        _pairs("tte_rounded_grad_x_s8_pairs_dsp", ins=(S8, F32, S8)),
        _pairs("tte_rounded_grad_x_s16_pairs_dsp", ins=(S16, F32, S8)),
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
        flat = ConvGradX((1, 1), (0, 0, 0, 0), (1, 1), (3, 5))
        wide = Example.random(flat, TensorType((1, 3, 5, 8), F32), TensorType((8, 1, 1, 12), S8, thin), consts=(1,))
        for e in (*ConvGradX.examples(), wide):
            if not isinstance(e.op, ConvGradX) or e.ins[1].dtype is not S8:
                continue
            co = e.ins[0].shape[3]
            for group in (1,) if e.op.depthwise else dict.fromkeys((2 - co % 2, 4 if co % 4 == 0 else co, co)):
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
    found = Example.random(
        made, g, step, *(TensorType(t.shape, S8, scale) for t in e.ins[1:]), consts=tuple(i + 1 for i in e.consts)
    )
    found.args[0].reshape(-1)[:40] = np.iinfo(g.dtype.numpy).min
    for w in found.args[2:]:
        w.reshape(-1)[::3] = -128
    co = np.arange(g.shape[3]) // group
    found.args[1][:] = np.ldexp(1.0, co * 5 % 19 - 9)
    return found
