"""What the TFLite importer knows while it walks the operators. Floor 3."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import tflite
from tflite import ActivationFunctionType as Activation

from tte.errors import BadModel, TteError, Unsupported
from tte.frontend.tflite_file import File, Operator, Tensor
from tte.ir import Builder, Module, identifier
from tte.op import Op
from tte.types import Array, DType, Quant, TensorType, Value

RANGES = {
    Activation.NONE: (-math.inf, math.inf),
    Activation.RELU: (0.0, math.inf),
    Activation.RELU_N1_TO_1: (-1.0, 1.0),
    Activation.RELU6: (0.0, 6.0),
}


Handler: TypeAlias = "Callable[[Scope], Value]"


class Scope:
    """Grows one graph; `values` are the tensors so far, `folded` those that operators computed from constants."""

    def __init__(self, file: File, handlers: Mapping[str, Handler]) -> None:
        self.file, self.handlers = file, handlers
        self.b = Builder("infer")
        self.values: dict[int, Value] = {}
        self.folded: dict[int, Array] = {}
        self.constants: dict[tuple[int, str], Value] = {}
        self.op = Operator("", 0, (), (), None, 0)

    def module(self, name: str) -> Module:
        """Convert inputs, then every operator in the order of the file."""
        for i in self.file.ins:
            self.values[i] = self.b.input(self.file.tensors[i].name, self.type(i))
        for op in self.file.operators:
            self.op = op
            handler = self.handlers.get(self.op.name)
            if handler is None:
                known = ", ".join(sorted(self.handlers))
                raise Unsupported(
                    f"{self.op} {self.out.name!r}", f"{self.op.name} is not supported", f"tte knows {known}"
                )
            if len(self.op.outs) != 1:
                raise BadModel(str(self.op), f"has {len(self.op.outs)} outputs, not 1")
            self.define(handler(self))
        for i in self.file.outs:
            if i not in self.values or i in self.file.ins:
                raise Unsupported(self.file.tensors[i].name, "an output that no operator computes")
        graph = self.b.finish(*(self.values[i] for i in self.file.outs))
        return Module(identifier(name), tuple(self.b.states), (graph,))

    def define(self, value: Value) -> None:
        """`value` is the current operator's result; the file must agree about its type."""
        i = self.op.outs[0]
        if value.type != self.type(i):
            raise BadModel(f"{self.op} {self.out.name!r}", f"gives {value.type}, but the file says {self.type(i)}")
        if i in self.values or self.file.tensors[i].data is not None:
            raise BadModel(str(self.op), f"{self.out.name!r} is computed twice")
        self.values[i] = value

    @property
    def out(self) -> Tensor:
        """The current operator's first result."""
        return self.file.tensors[self.op.outs[0]] if self.op.outs else Tensor("?", None, "", None, False)

    def type(self, i: int) -> TensorType:
        """The type of a tensor that tte can hold."""
        t = self.file.tensors[i]
        if t.dynamic:
            raise Unsupported(t.name, "has dimensions that are not known", "export the model with fixed shapes")
        if t.type is None:
            raise Unsupported(t.name, f"elements of type {t.stated} are not supported")
        if 0 in t.type.shape:
            raise Unsupported(t.name, "has no elements")
        return t.type

    def has(self, position: int) -> bool:
        """True if the operator has an input there."""
        return position < len(self.op.ins) and self.op.ins[position] != -1

    def index(self, position: int) -> int:
        """The tensor at an input, which must be there."""
        if not self.has(position):
            raise BadModel(str(self.op), f"has no input {position}")
        return self.op.ins[position]

    def x(self, position: int = 0, kinds: tuple[DType, ...] = (DType.F32, DType.S8)) -> Value:
        """An input of the operator as a value of one of these kinds."""
        i = self.index(position)
        tensor = self.file.tensors[i]
        if i not in self.values and tensor.data is None:
            raise BadModel(f"{self.op} {self.out.name!r}", f"reads {tensor.name!r} before it is computed")
        if self.type(i).dtype not in kinds:
            hint = "make input and output int8, or float" if self.type(i).dtype is DType.U8 else ""
            raise Unsupported(
                f"{self.op} {self.out.name!r}", f"{tensor.stated} {tensor.name!r} is not supported here", hint
            )
        return self.values[i] if i in self.values else self.constant(position, "", tensor.data)

    def array(self, position: int) -> Array:
        """An input that must be a constant."""
        tensor = self.file.tensors[self.index(position)]
        data = self.folded.get(self.index(position), tensor.data)
        if data is None:
            raise Unsupported(f"{self.op} {self.out.name!r}", f"{tensor.name!r} must be a constant")
        return data

    def integers(self, position: int) -> tuple[int, ...]:
        """An input that must be a constant list of integers."""
        return tuple(int(v) for v in self.array(position).astype(np.int64).ravel())

    def fold(self, value: Array) -> Value:
        """The result, known now: a constant for whoever reads it."""
        i = self.op.outs[0]
        self.folded[i] = value
        return self.b.constant(self.out.name, self.type(i), value)

    def constant(self, position: int, layout: str, value: Array | None, type: TensorType | None = None) -> Value:
        """An input's value in some layout, as a state that all its readers share."""
        i = self.index(position)
        if (i, layout) not in self.constants:
            array = self.array(position) if value is None else value
            self.constants[i, layout] = self.b.constant(self.file.tensors[i].name, type or self.type(i), array)
        return self.constants[i, layout]

    def emit(self, op: Op, *ins: Value) -> Value:
        """Append a node; what it refuses is reported by the operator's name."""
        try:
            return self.b.emit(op, *ins, name=self.out.name, source=str(self.op))[0]
        except TteError as error:
            raise type(error)(f"{self.op} {self.out.name!r}", str(error)) from error

    @property
    def quant(self) -> Quant | None:
        """The quantisation of the result."""
        return self.type(self.op.outs[0]).quant

    def activation(self, kind: int) -> tuple[float, float]:
        """The range of a fused activation."""
        if kind not in RANGES:
            raise Unsupported(
                str(self.op), f"fused activation {kind} is not supported", "NONE, RELU, RELU6, RELU_N1_TO_1"
            )
        return RANGES[kind]

    def pads(
        self, kind: int, x: TensorType, size: tuple[int, ...], stride: tuple[int, ...]
    ) -> tuple[int, int, int, int]:
        """Top, left, bottom, right of SAME or VALID; `size` is that of the dilated window."""
        if min(*size, *stride) < 1:
            raise BadModel(str(self.op), f"window {size} with stride {stride}")
        if kind == tflite.Padding.VALID:
            return 0, 0, 0, 0
        if len(x.shape) != 4:
            raise BadModel(str(self.op), f"{x} must have four dimensions")
        total = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(x.shape[1:3], size, stride, strict=True)]
        return total[0] // 2, total[1] // 2, -(-total[0] // 2), -(-total[1] // 2)

    def layer(self, layout: str, weights: Array, axis: int) -> tuple[Value, Value]:
        """The weights of a layer with output channels first, and its bias, zeros where the file has none."""
        x, kind = self.x().type, self.type(self.index(1))
        if (x.dtype, kind.dtype) not in ((DType.F32, DType.F32), (DType.S8, DType.S8)):
            what = f"{x.dtype.label} activations by {kind.dtype.label} weights are not supported"
            raise Unsupported(f"{self.op} {self.out.name!r}", what, "convert to full int8, or to float")
        quant = kind.quant
        if quant and quant.axis is not None:
            if quant.axis != axis:
                raise Unsupported(str(self.op), f"weights scaled along axis {quant.axis}")
            quant = Quant(quant.scale, quant.zero, 0)
        w = self.constant(1, layout, weights, TensorType(weights.shape, kind.dtype, quant))
        bias = TensorType(weights.shape[:1], DType.F32 if x.dtype is DType.F32 else DType.S32)
        if not self.has(2):
            return w, self.b.constant(f"{self.out.name} bias", bias, np.zeros(bias.shape, bias.dtype.numpy))
        if self.type(self.index(2)).dtype is not bias.dtype:
            raise Unsupported(str(self.op), f"a bias of type {self.file.tensors[self.index(2)].stated}")
        return w, self.constant(2, "bias", self.array(2).reshape(-1), bias)
