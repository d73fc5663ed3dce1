"""The gradient of a convolution's weights from a rounded one. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from tte.op import Arrays, Example, Kernel, Params, Slices, Types
from tte.ops.conv_grad_w import ConvGradW
from tte.types import Array, DType, Quant, TensorType

F32, S8, S16 = DType.F32, DType.S8, DType.S16
MOST = {S8: 65536, S16: 256}  # pixels: sums of their 2**7 or 2**15 times 255 stay below 2**31

_kernel = partial(
    Kernel, header="rounded_grad_w.h", outs=(F32,), params="tte_rounded_grad_w", form="channels", per_mac=6.0
)


def _by_itself(ins: Types, outs: Types, params: Params) -> bool:
    """True where every pixel stands for itself, and no sum can overflow."""
    return bool(params["pointwise"]) and outs[0].shape[0] % 4 == 0 and int(params["rows"]) >= ins[0].shape[1]


def _pairs(ins: Types, outs: Types, params: Params) -> int:
    """Bytes of four words for each two pixels."""
    return 16 * ((ins[0].shape[1] * ins[0].shape[2] + 1) // 2)


_dsp = partial(
    _kernel,
    header="rounded_grad_w_dsp.h",
    isa="dsp",
    when=_by_itself,
    needs="1x1, filters by fours, few pixels",
    scratch=_pairs,
    per_mac=1.5,
)


@dataclass(frozen=True, slots=True)
class RoundedGradW(ConvGradW):
    """As ConvGradW, of g * step[co], for g in s8 or s16 and x in s8.

    Products are added as integers over as many rows of g as cannot overflow, and these sums in f32, in order.
    """

    operands = ("g", "step", "x", "scale")
    optional = 0
    kernels = (
        _kernel("tte_rounded_grad_w_s8", ins=(S8, F32, S8, F32)),
        _kernel("tte_rounded_grad_w_s16", ins=(S16, F32, S8, F32)),
        _dsp("tte_rounded_grad_w_s8_dsp", ins=(S8, F32, S8, F32)),
        _dsp("tte_rounded_grad_w_s16_dsp", ins=(S16, F32, S8, F32)),
    )

    def infer(self, *types: TensorType) -> Types:
        """g[1,oh,ow,co], step[co], x[1,h,w,k], scale of each filter give y."""
        g, step, x, _ = types
        self.expect(g.dtype in MOST and x.dtype is S8, f"{g} and {x} must be integers, x in s8")
        self.expect(step == TensorType(g.shape[-1:], F32), f"{step} are no steps of {g}")
        outs = ConvGradW.infer(self, *_real(types))
        self.expect(g.shape[2] <= MOST[g.dtype], f"rows of {g} have more than {MOST[g.dtype]} pixels")
        return outs

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact."""
        g, step, x, scale = args[0].astype(np.float64), args[1], args[2].astype(np.float64), args[3]
        x = np.pad(x - ins[2].scaling.zero, ((0, 0), self.pads[::2], self.pads[1::2], (0, 0)))
        (sy, sx), (dy, dx), (kh, kw), k = self.stride, self.dilation, self.kernel, x.shape[3]
        (oh, ow), rows = g.shape[1:3], self._rows(ins)
        y: Array = np.zeros(outs[0].shape, step.dtype)
        for first in range(0, oh, rows):
            n, some = min(rows, oh - first), g[0, first : first + rows]
            for ky in range(kh):
                for kx in range(kw):
                    tap = x[0, first * sy + ky * dy :, kx * dx :][: (n - 1) * sy + 1 : sy, : (ow - 1) * sx + 1 : sx]
                    if self.depthwise:
                        y[:, ky, kx, 0] += np.einsum("hwc,hwc->c", some[..., :k], tap).astype(step.dtype)
                    else:
                        y[:, ky, kx] += (some.reshape(n * ow, -1).T @ tap.reshape(n * ow, k)).astype(step.dtype)
        return (y * (step[: len(scale)] * scale).reshape(-1, 1, 1, 1),)

    def _rows(self, ins: Types) -> int:
        """Rows of g whose products may be added as integers."""
        return MOST[ins[0].dtype] // ins[0].shape[2]

    def slices(self, ins: Types, outs: Types) -> tuple[Slices, ...]:
        """Filters."""
        return (Slices((3, 0, 3 if self.depthwise else None, 0), (0,)),)

    def params(self, ins: Types, outs: Types) -> Params:
        """As ConvGradW, and the rows."""
        return ConvGradW.params(self, _real(ins), outs) | {"rows": self._rows(ins)}

    def macs(self, ins: Types, outs: Types) -> int:
        """As ConvGradW."""
        return ConvGradW.macs(self, _real(ins), outs)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Those of ConvGradW with integers, and maps whose sums overflow 32 bits in s16."""
        found, q = list[Example](), Quant((0.05,), 127)

        def make(op: ConvGradW, g: tuple[int, ...], x: tuple[int, ...], dtype: DType) -> None:
            made = cls(op.stride, op.pads, op.dilation, op.kernel, op.depthwise)
            of_w = TensorType((x[3] if op.depthwise else g[3],), F32)
            types = TensorType(g, dtype), TensorType(g[3:], F32), TensorType(x, S8, q), of_w
            e = Example.random(made, *types, consts=(3,))
            e.args[0].reshape(-1)[::5] = np.iinfo(dtype.numpy).min
            e.args[1][:] = np.ldexp(1.0, np.arange(g[3]) * 5 % 19 - 9)
            found.append(e)

        for e in ConvGradW.examples():
            if isinstance(e.op, ConvGradW) and e.ins[1].dtype is S8:
                make(e.op, e.ins[0].shape, e.ins[1].shape, S8)
                make(e.op, e.ins[0].shape, e.ins[1].shape, S16)
        one, none, same = (1, 1), (0, 0, 0, 0), (1, 1, 1, 1)
        make(ConvGradW(one, none, one, one), (1, 3, 5, 4), (1, 3, 5, 5), S16)
        make(ConvGradW(one, none, one, one), (1, 18, 23, 4), (1, 18, 23, 4), S16)
        make(ConvGradW(one, same, one, (3, 3), True), (1, 17, 20, 4), (1, 17, 20, 4), S16)
        for e in found[-2:]:
            e.args[0][:], e.args[2][:] = -32768, -128
        return tuple(found)


def _real(types: Types) -> Types:
    """The operands as ConvGradW has them."""
    return (TensorType(types[0].shape, F32), *types[2:])
