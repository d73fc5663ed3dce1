"""Constants as the kernels for Arm's DSP extension want them (runtime_c/simd/dsp.h). Floor 2."""

from __future__ import annotations

from functools import partial

import numpy as np

from tte.arith import fixed
from tte.layouts.pairs import paired
from tte.op import Consts, Kernel, Params, Types
from tte.shapes.filters import compact, gapless, narrowing, pointwise, threes, widening
from tte.types import Array, DType, Rounding

S8, S32 = DType.S8, DType.S32


def pairs(runs: int, k: int) -> int:
    """Pairs of values in a patch of `runs` runs of k bytes: whole words first, then the ends of all runs together."""
    return runs * (k // 4) * 2 + (runs * (k % 4) + 1) // 2


def patches(ins: Types, outs: Types, params: Params) -> int:
    """Bytes of four patches in s16, for any alignment."""
    return 16 * pairs(int(params["kh"]), int(params["kw"]) * int(params["c"])) + 3


def patches2(ins: Types, outs: Types, params: Params) -> int:
    """The same of two patches,"""
    return (patches(ins, outs, params) - 3) // 2 + 3


def patches1(ins: Types, outs: Types, params: Params) -> int:
    """and of one."""
    return (patches(ins, outs, params) - 3) // 4 + 3


def known(consts: Consts, ins: Types, outs: Types) -> tuple[Array, Array]:
    """Weights and biases, s64, these 0 where they are given at run time; see fixed.with_room."""
    if "b" not in consts:
        return consts["w"].astype(np.int64), np.zeros(len(consts["w"]), np.int64)
    return fixed.with_room(consts["w"], consts["b"], ins[0].scaling, ins[1].scaling, outs[0].quant)


def by_pairs(consts: Consts, ins: Types, outs: Types) -> Consts:
    """Weights by pairs, see tte/layouts/pairs.py, and the channels' records."""
    w, b = known(consts, ins, outs)
    return {"w": paired(w), "q": records(consts, b)}


def packed_anew(ins: Types, outs: Types, params: Params) -> int:
    """Bytes of weights by pairs and of four patches, for any alignment."""
    words = pairs(int(params["kh"]), int(params["kw"]) * int(params["c"])) * ((int(params["co"]) + 1) // 2)
    return 4 * words + patches(ins, outs, params)


def phases_anew(ins: Types, outs: Types, params: Params) -> int:
    """Bytes of depthwise weights by phase, and of `touched`."""
    kh, kw, stride = (int(params[k]) for k in ("kh", "kw", "stride"))
    words = sum((len(range(phase, kw, stride)) + 1) // 2 for phase in range(min(stride, kw)))
    return int(params["co"]) * ((kh + 1) // 2) * words * 4 + touched(ins, outs, params)


def live(consts: Consts, ins: Types, outs: Types) -> Consts:
    """Weights and biases as they are, and constants of channels without biases."""
    q = records(consts, np.zeros(int(consts["co"]), np.int64))
    return {**{k: v for k, v in consts.items() if k in ("w", "b", "rest")}, "q": q}


def nines(consts: Consts, ins: Types, outs: Types) -> Consts:
    """Depthwise weights [c, 3, 3, 1] as [c, 9], in words that unpack into pairs; the zero point of x in the biases."""
    w, b = known(consts, ins, outs)
    flat = w.reshape(len(w), 9)
    places = [0, 1, 3, 4, 2, 6, 5, 7, 8]  # pairs of rows 0 and 1: columns 0, 1, 2; the first two of row 2; the last
    return {"w": flat[:, places].astype(np.int8), "q": records(consts, b - ins[0].scaling.zero * flat.sum(1))}


def touched(ins: Types, outs: Types, params: Params) -> int:
    """Bytes of a row of pairs per two rows of the filter, for any alignment."""
    width = (outs[0].shape[2] - 1) * int(params["stride"]) + ins[1].shape[2]
    return 4 * ((ins[1].shape[1] + 1) // 2) * width + 3


def by_phase(consts: Consts, ins: Types, outs: Types) -> Consts:
    """Depthwise weights as words {upper k, upper l, lower k, lower l} of two rows and the columns k, l used in turn."""
    w, b = known(consts, ins, outs)
    (c, kh, kw), stride = w.shape[:3], int(consts["stride"])
    phases = [list(range(phase, kw, stride)) for phase in range(min(stride, kw))]
    columns = [k for phase in phases for k in phase + [-1] * (len(phase) % 2)]
    padded = np.zeros((c, kh + kh % 2, kw + 1), np.int8)
    padded[:, :kh, :kw] = w[..., 0]
    words = padded[:, :, columns].reshape(c, -1, 2, len(columns) // 2, 2).transpose(0, 1, 3, 2, 4)
    return {"w": np.ascontiguousarray(words), "q": records(consts, b)}


def records(consts: Consts, b: Array) -> Array:
    """Each channel's bias and what `tte_dsp_finish` needs: s32[n, words], with one more row if n is odd.

    Where the result is f32 that is the scale.
    """
    if "scale" in consts:
        return _words([b, consts["scale"].astype(np.float32).view(np.int32)])
    (m, shift), rounding = consts["q"].astype(np.int64), list(Rounding)[int(consts["rounding"])]
    small = int(consts["shift"]) >= 2
    rows = [b, m, shift]
    if rounding is Rounding.ONNX:
        rows = [b, m]
    elif small and rounding is Rounding.TFLITE:
        rows = [b, 2 * m, shift - 1]
    elif small:
        rows = [b, m, 1 << (shift - 2), shift - 1]
    return _words(rows)


def _words(columns: list[Array]) -> Array:
    """The columns beside each other, modulo 2**32 as s32, with one more row if their length is odd."""
    table = np.stack(columns, 1).astype(np.int64)
    return np.pad(table, ((0, len(table) % 2), (0, 0))).astype(np.uint64).astype(np.uint32).view(np.int32)


_fixed = partial(Kernel, ins=(S8, S8, S32), outs=(S8,), isa="dsp", packs=("w",), per_out=12.0)
_flat = partial(_fixed, header="conv_s8_dsp.h", pack=by_pairs, form="flat", takes=("w", "b", "q", "y", "y1", "scratch"))
_pixels = partial(_flat, scratch=patches, rest=(1.9, 2.5, 4.0), per_mac=0.85, per_out=9.0)
_rows = partial(_fixed, form="window", takes=("w", "b", "q", "y", "y1", "r", "scratch"))
_dense = partial(_rows, header="conv_s8_dsp.h", pack=by_pairs, when=compact, needs="dense without gaps")
_single = partial(_rows, header="depthwise_s8_dsp.h")
_three = "3x3, one filter per channel, stride 1 or 2, padding of at most 1"
_CONV_FIXED = (
    _pixels("tte_pointwise_s8_dsp", when=narrowing, inplace=((0, 0),), needs="1x1 at stride 1, to no more channels"),
    _pixels("tte_pointwise_s8_dsp", when=widening, needs="1x1 at stride 1, to more channels"),
    _dense("tte_conv_s8_dsp", scratch=patches, rest=(1.9, 2.5, 4.0), per_mac=0.9),
    _dense("tte_conv2_s8_dsp", params="tte_conv_s8", scratch=patches2, rest=(2.0,), per_mac=1.3),
    _dense("tte_conv1_s8_dsp", params="tte_conv_s8", scratch=patches1, per_mac=1.85, per_out=15.0),
    _flat(
        "tte_pixel_s8_dsp",
        params="tte_conv_s8",
        when=pointwise,
        needs="1x1 at stride 1",
        takes=("w", "b", "q", "y", "y1"),
        per_mac=1.35,
    ),
    _single(
        "tte_depthwise_s8_dsp",
        when=gapless,
        needs="one filter per channel, without gaps",
        scratch=touched,
        pack=by_phase,
        rest=(1.6, 3.0, 4.5),
        per_mac=1.2,
        per_out=20.0,
    ),
    _single(
        "tte_depthwise3_s8_dsp",
        header="depthwise3_s8_dsp.h",
        when=threes,
        needs=_three,
        pack=nines,
        takes=("w", "b", "q", "y", "y1", "r"),
        per_mac=1.1,
    ),
)

_live = partial(
    Kernel,
    header="conv_live_s8_dsp.h",
    ins=(S8, S8, S32, S8),
    outs=(S8,),
    isa="dsp",
    optional=1,
    pack=live,
    packs=(),
    lives="w",
    per_out=12.0,
)
_live_pixels = partial(
    _live,
    "tte_pointwise_live_s8_dsp",
    form="flat",
    scratch=packed_anew,
    takes=("w", "b", "rest", "q", "y", "y1", "scratch"),
    per_mac=0.95,
)
_live_rows = partial(_live, form="window", takes=("w", "b", "rest", "q", "y", "y1", "r", "scratch"), per_mac=1.3)
_CONV_LIVE = (
    _live_pixels(when=narrowing, inplace=((0, 0),), needs="1x1 at stride 1, to no more channels"),
    _live_pixels(when=widening, needs="1x1 at stride 1, to more channels"),
    _live_rows("tte_conv_live_s8_dsp", when=compact, needs="dense without gaps", scratch=packed_anew, per_mac=1.0),
    _live_rows(
        "tte_depthwise_live_s8_dsp",
        when=gapless,
        needs="one filter per channel, without gaps",
        scratch=phases_anew,
        per_out=20.0,
    ),
    _live_rows(
        "tte_depthwise3_live_s8_dsp",
        when=threes,
        needs=_three,
        takes=("w", "b", "rest", "q", "y", "y1", "r"),
        per_mac=1.15,
    ),
)
CONV = (*_CONV_FIXED, *_CONV_LIVE)
