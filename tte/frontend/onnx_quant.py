"""ONNX's quantisation: QDQ pairs one to one, and operators on integers. Floor 5."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tte.errors import Unsupported
from tte.frontend.onnx_model import Call, shown
from tte.frontend.onnx_scope import Handler, Scope, axis_of
from tte.frontend.onnx_tensor import Fixed, Live, Tensor
from tte.ops.dequantize import Dequantize
from tte.ops.quantize import Quantize
from tte.types import Array, Quant, Rounding, Value

LEAST, GREATEST = 2.0**-50, 2.0**38  # scales whose products and ratios are normal floats
ONNX = Rounding.ONNX


def scales(s: Scope, i: int, where: str = "") -> Array:
    """Input `i` as scales: positive, and neither so small nor so great that their ratios leave float's range."""
    found = s.constant(i, "the scale")
    where = where or shown(s.call.ins[i])
    s.require(found.dtype == np.float32 and found.ndim <= 1 and found.size > 0, f"{where} must be a float or a vector")
    flat = found.reshape(-1)
    bad = flat[~((flat >= LEAST) & (flat <= GREATEST))]
    if bad.size:
        raise s.fail(f"scale {bad[0]:g} of {where} is not usable", f"supported: {LEAST:.0e} to {GREATEST:.0e}")
    return flat


def zeros(s: Scope, i: int, unsigned: bool) -> tuple[Array, bool]:
    """Zero points given by input `i` and whether they are u8; those of u8 less 128. `unsigned` where there is none."""
    if not s.has(i):
        return np.array([-128 if unsigned else 0]), unsigned
    found = s.constant(i, "the zero point")
    if found.dtype.name not in ("int8", "uint8", "int32"):
        raise s.fail(f"integers of type {found.dtype.name} are not supported", "supported: int8 and uint8")
    u8 = found.dtype == np.uint8
    return found.reshape(-1).astype(np.int64) - 128 * u8, u8


def quant_of(
    s: Scope, scale: int, zero: int, unsigned: bool, shape: tuple[int, ...] | None = None, axis: int = 1
) -> tuple[Quant, bool]:
    """The quantisation that two inputs describe, and whether it is of u8. Per `axis` of `shape`, if that is given."""
    sc, (z, u8) = scales(s, scale), zeros(s, zero, unsigned)
    if (z != z[0]).any():
        raise s.fail("zero points that differ by channel are not supported", "quantise weights symmetrically, to int8")
    s.require(z.size in (1, sc.size), f"{sc.size} scales and {z.size} zero points do not fit")
    if sc.size > 1 and not shape:
        raise s.fail("a scale per channel is supported for weights only", "quantise activations per tensor")
    per_axis = axis_of(s, axis, len(shape)) if shape and sc.size > 1 else None
    s.require(per_axis is None or shape is None or shape[per_axis] == sc.size, f"{sc.size} scales do not fit {shape}")
    return Quant(tuple(map(float, sc)), int(z[0]), per_axis), u8


def quantize_linear(s: Scope) -> Tensor:
    """A float to integers. Without a zero point they are u8, unless output_dtype says otherwise."""
    x = s.get(0)
    s.require(s.call.integer("output_dtype", 0) in (0, 2, 3), "output_dtype must be int8 or uint8")
    s.require(s.call.integer("block_size", 0) == 0, "blocks are not supported")
    shape = x.shape if isinstance(x, Fixed) else None
    quant, u8 = quant_of(s, 1, 2, s.call.integer("output_dtype", 2) != 3, shape, s.call.integer("axis", 1))
    if isinstance(x, Fixed):
        scale = np.array(quant.scale, np.float32).reshape([-1 if k == quant.axis else 1 for k in range(x.array.ndim)])
        q = (np.rint(x.real.astype(np.float32) / scale) + quant.zero).clip(-128, 127).astype(np.int8)
        return Fixed((q.astype(np.int16) + 128).astype(np.uint8) if u8 else q)
    return replace(x, value=s.emit(Quantize(quant, ONNX), x.value), unsigned=u8)


def dequantize_linear(s: Scope) -> Tensor:
    """Integers to floats; a constant stays integers that stand for reals."""
    x = s.get(0)
    s.require(s.call.integer("block_size", 0) == 0, "blocks are not supported")
    if isinstance(x, Live):
        return replace(x, value=s.emit(Dequantize(), described(s)), unsigned=False)
    axis = s.call.integer("axis", 1) if x.array.ndim > 1 else 0
    quant, u8 = quant_of(s, 1, 2, x.array.dtype == np.uint8, x.shape, axis)
    return Fixed(as_signed(s, x.array, u8), quant)


def as_signed(s: Scope, array: Array, unsigned: bool) -> Array:
    """Integers as IR has them: u8 less 128."""
    if array.dtype.name not in ("int8", "uint8", "int32"):
        raise s.fail(f"integers of type {array.dtype.name} are not supported", "supported: int8 and uint8")
    s.require((array.dtype == np.uint8) == unsigned, "x and its zero point have different types")
    return (array.astype(np.int16) - 128).astype(np.int8) if unsigned else array


def described(s: Scope) -> Value:
    """Live input 0, which must have the quantisation that inputs 1 and 2 describe."""
    found = s.live(0)
    quant, u8 = quant_of(s, 1, 2, found.unsigned)
    s.require(found.unsigned == u8, "x and its zero point have different types")
    if found.value.type.quant != quant:
        raise s.fail(f"reads {found.value.type} as if it were {quant}", "quantise and dequantise with the same scale")
    return found.value


# The operators on integers of ONNX and of com.microsoft, as the operator on floats between QDQ pairs that each is:
# for each input of that operator the positions of integers, scale and zero point, and those of the result's.
QLINEAR: dict[str, tuple[str, tuple[tuple[int, int, int], ...], tuple[int, int]]] = {
    "QLinearConv": ("Conv", ((0, 1, 2), (3, 4, 5)), (6, 7)),
    "QLinearMatMul": ("MatMul", ((0, 1, 2), (3, 4, 5)), (6, 7)),
    "QGemm": ("Gemm", ((0, 1, 2), (3, 4, 5)), (7, 8)),
    "QLinearAdd": ("Add", ((0, 1, 2), (3, 4, 5)), (6, 7)),
    "QLinearMul": ("Mul", ((0, 1, 2), (3, 4, 5)), (6, 7)),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", ((0, 1, 2),), (3, 4)),
    "QLinearAveragePool": ("AveragePool", ((0, 1, 2),), (3, 4)),
    "QLinearSigmoid": ("Sigmoid", ((0, 1, 2),), (3, 4)),
    "QLinearLeakyRelu": ("LeakyRelu", ((0, 1, 2),), (3, 4)),
    "QLinearSoftmax": ("Softmax", ((0, 1, 2),), (3, 4)),
}
BIAS = {"QLinearConv": 8, "QGemm": 6}


def expanded(call: Call, constants: dict[str, Array]) -> Iterator[Call]:
    """The nodes that stand for one; the bias of an operator on integers gets its scale, a new constant."""
    if call.op == "QLinearConcat":
        inner, result = "Concat", (0, 1)
        operands = tuple((i, i + 1, i + 2) for i in range(2, len(call.ins), 3))
    elif call.op in QLINEAR:
        inner, operands, result = QLINEAR[call.op]
    else:
        yield call
        return
    given = [call.ins[i] if i < len(call.ins) else "" for i in range(max(9, len(call.ins) + 2))]
    attributes = dict(call.attributes)
    if call.op in ("QLinearGlobalAveragePool", "QLinearAveragePool") and attributes.pop("channels_last", 0):
        raise Unsupported(call.where, "channels_last is not supported")
    if call.op == "QLinearSoftmax":
        attributes.pop("opset", None)
    passed = []
    for n, at in enumerate(operands):
        passed.append(f"{call.outs[0]}/real{n}")
        axis = weight_axis(call, n)
        yield Call("DequantizeLinear", "", call.name, tuple(given[i] for i in at), (passed[-1],), {"axis": axis})
    if bias := given[BIAS[call.op]] if call.op in BIAS else "":
        scale = f"{call.outs[0]}/bias_scale"
        if given[1] not in constants or given[4] not in constants:
            raise Unsupported(call.where, "its scales must be constants")
        constants[scale] = (constants[given[1]].reshape(-1) * constants[given[4]].reshape(-1)).astype(np.float32)
        passed.append(f"{call.outs[0]}/real_bias")
        yield Call("DequantizeLinear", "", call.name, (bias, scale), (passed[-1],), {"axis": 0})
    real = f"{call.outs[0]}/real" if given[result[0]] else call.outs[0]
    yield Call(inner, "", call.name, tuple(passed), (real,), attributes)
    if given[result[0]]:
        yield Call("QuantizeLinear", "", call.name, (real, given[result[0]], given[result[1]]), call.outs[:1], {})


def weight_axis(call: Call, n: int) -> int:
    """The axis along which operand `n` may have a scale per channel."""
    if call.op == "QGemm":
        return 0 if n == 1 and call.attributes.get("transB") else 1
    return 0 if call.op == "QLinearConv" else -1


HANDLERS: dict[str, Handler] = {"QuantizeLinear": quantize_linear, "DequantizeLinear": dequantize_linear}
