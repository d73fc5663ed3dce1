"""An ONNX graph under construction: tensors of reals, quantised by QDQ pairs. Floor 4."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tte.errors import Unsupported
from tte.ir import State
from tte.types import Array, DType, Quant, TensorType, Value

Perm: TypeAlias = tuple[int, ...]
FIRST: Perm = (0, 2, 3, 1)  # of a map [n,h,w,c] that is held as [n,c,h,w]
INTEGERS = {DType.S8: np.int8, DType.U8: np.uint8, DType.S32: np.int32}


@dataclass(frozen=True, slots=True)
class Held:
    """A value as a tensor of reals, axis perm[k] of which is axis k of the value; and as integers, if it is any."""

    name: str
    perm: Perm
    integers: str = ""


class Writer:
    """Nodes, initialisers, and how each value of the module is held; `states` are those of the module."""

    def __init__(self, states: Mapping[Value, State]) -> None:
        self.states = states
        self.nodes: list[onnx.NodeProto] = []
        self.arrays: list[onnx.TensorProto] = []
        self.held: dict[Value, Held] = {}
        self.taken: set[str] = set()

    def fresh(self, name: str) -> str:
        """A name that no tensor has yet."""
        found, n = name, 1
        while found in self.taken:
            found, n = f"{name}_{n}", n + 1
        self.taken.add(found)
        return found

    def emit(self, op: str, *ins: str, name: str = "", **attributes: object) -> str:
        """Append a node with one result; it is called `name`, or after the operator."""
        out = self.fresh(name or op.lower())
        node = helper.make_node(op, list(ins), [out], name=out)
        node.attribute.extend(helper.make_attribute(k, v) for k, v in attributes.items() if v is not None)
        self.nodes.append(node)
        return out

    def array(self, name: str, value: Array) -> str:
        """Add an initialiser."""
        found = self.fresh(name)
        self.arrays.append(numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), found))
        return found

    def reals(self, name: str, value: Array, quant: Quant | None, dtype: DType) -> str:
        """A constant as reals: dequantised, where it is integers."""
        held = self.array(name, value)
        if quant is None:
            return held
        scale, zero = self.scaling(name, quant, dtype)
        return self.emit("DequantizeLinear", held, scale, zero, name=f"{name}_real", axis=quant.axis)

    def scaling(self, name: str, quant: Quant, dtype: DType) -> tuple[str, str]:
        """Scale and zero point, of one or of each channel."""
        scale = np.asarray(quant.scale, np.float32)
        scale = scale if quant.axis is not None else scale.reshape(())
        zero = np.full(scale.shape, quant.zero, INTEGERS[dtype])
        return self.array(f"{name}_scale", scale), self.array(f"{name}_zero", zero)

    def tensor(self, v: Value, perm: Perm) -> str:
        """A value as a tensor of reals, held by `perm`."""
        if v in self.states:
            return self.constant(v, perm)
        held = self.held[v]
        moved = tuple(held.perm[perm.index(j)] for j in range(len(perm)))
        if moved == tuple(range(len(perm))):
            return held.name
        return self.emit("Transpose", held.name, name=f"{v.name}_moved", perm=list(moved))

    def constant(self, v: Value, perm: Perm) -> str:
        """A state, held by `perm`; of fewer axes than that, it gets leading ones, as in numpy."""
        t, value = v.type, self.states[v].init
        value = value.reshape((1,) * (len(perm) - value.ndim) + value.shape)
        if t.quant is not None and t.quant.axis is not None:
            raise Unsupported(v.name, "a constant with a scale per channel is exported only as weights")
        return self.reals(v.name, value.transpose([perm.index(j) for j in range(len(perm))]), t.quant, t.dtype)

    def order(self, v: Value) -> Perm:
        """How a value is held; a constant as it is."""
        return self.held[v].perm if v in self.held else own(v.type)

    def keep(self, v: Value, name: str, perm: Perm, low: float, high: float) -> None:
        """Hold a result: clamped, and quantised if its type is."""
        if (low, high) == (0.0, math.inf):
            name = self.emit("Relu", name, name=f"{v.name}_relu")
        elif (low, high) != (-math.inf, math.inf):
            ends = [
                self.array(f"{v.name}_{k}", np.array(x, np.float32)) if abs(x) < math.inf else ""
                for k, x in (("low", low), ("high", high))
            ]
            name = self.emit("Clip", name, *ends, name=f"{v.name}_clip")
        if v.type.quant is None:
            self.held[v] = Held(name, perm)
            return
        scale, zero = self.scaling(v.name, v.type.quant, v.type.dtype)
        q = self.emit("QuantizeLinear", name, scale, zero, name=f"{v.name}_q")
        self.held[v] = Held(self.emit("DequantizeLinear", q, scale, zero, name=f"{v.name}_real"), perm, q)

    def input(self, v: Value) -> onnx.ValueInfoProto:
        """Hold an argument of the model."""
        name = self.fresh(v.source or v.name)
        real = name
        if v.type.quant is not None:
            real = self.emit("DequantizeLinear", name, *self.scaling(v.name, v.type.quant, v.type.dtype))
        self.held[v] = Held(real, own(v.type), name if v.type.quant is not None else "")
        return info(name, v.type)

    def result(self, v: Value) -> onnx.ValueInfoProto:
        """A result as it is held."""
        held = self.held[v]
        return info(held.integers or held.name, v.type)

    def output(self, v: Value) -> onnx.ValueInfoProto:
        """A result of the model, in the order of its axes and in its type, under its own name."""
        held = self.held[v]
        name = self.tensor(v, own(v.type)) if not held.integers else held.integers
        if held.integers and held.perm != own(v.type):
            name = self.emit("Transpose", held.integers, name=f"{v.name}_moved", perm=list(held.perm))
        return info(self.emit("Identity", name, name=v.source or v.name), v.type)


def own(t: TensorType) -> Perm:
    """The order of a value's own axes."""
    return tuple(range(len(t.shape)))


def info(name: str, t: TensorType) -> onnx.ValueInfoProto:
    """An input or output of the model."""
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(t.dtype.numpy), t.shape)
