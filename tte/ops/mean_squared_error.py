"""The mean squared error, and its gradient. Floor 2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.op import Arrays, Example, Grows, Kernel, Op, Params, Types, Values
from tte.types import DType, TensorType, Value

F32 = DType.F32


@dataclass(frozen=True, slots=True)
class MeanSquaredError(Op):
    """loss[1] = mean of (prediction - target)**2 over all elements."""

    operands = ("prediction", "target")
    kernels = (Kernel("tte_mean_squared_error", "mean_squared_error.h", (F32, F32), (F32,), per_mac=4.0),)

    def infer(self, *types: TensorType) -> Types:
        """prediction and target of one shape give loss[1]."""
        prediction, target = types
        fits = prediction.dtype is F32 and prediction == target and prediction.size > 0
        self.expect(fits, f"{prediction} and {target} must be equal, f32, not empty")
        return (TensorType((1,), F32),)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact: squares are added in order."""
        d = (args[0] - args[1]).ravel()
        total = np.zeros(1, d.dtype)
        for v in d:
            total = total + v * v
        return ((total / d.dtype.type(d.size)).astype(d.dtype),)

    def vjp(self, graph: Grows, grads: tuple[Value | None, ...], ins: Values, outs: Values) -> tuple[Value | None, ...]:
        """Of the prediction; the loss is what is differentiated, so its own gradient is 1 whatever is given."""
        return (*graph.emit(MeanSquaredErrorGrad(), *ins), None)

    def params(self, ins: Types, outs: Types) -> Params:
        """The number of elements."""
        return {"n": ins[0].size}

    def macs(self, ins: Types, outs: Types) -> int:
        """Squares."""
        return ins[0].size

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """A vector, a map."""
        return tuple(Example.random(cls(), TensorType(s, F32), TensorType(s, F32)) for s in ((1, 7), (1, 2, 3, 4)))


@dataclass(frozen=True, slots=True)
class MeanSquaredErrorGrad(Op):
    """y = 2 * (prediction - target) / n: the gradient of mean_squared_error, of n elements."""

    operands = ("prediction", "target")
    kernels = (
        Kernel(
            "tte_mean_squared_error_grad",
            "mean_squared_error.h",
            (F32, F32),
            (F32,),
            params="tte_mean_squared_error",
            inplace=((0, 0), (1, 0)),
        ),
    )

    def infer(self, *types: TensorType) -> Types:
        """Two tensors of one shape give one."""
        prediction, target = types
        self.expect(prediction.dtype is F32 and prediction == target, f"{prediction} and {target} must be equal, f32")
        return (prediction,)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact."""
        d = args[0] - args[1]
        return (((d + d) / d.dtype.type(d.size)).astype(d.dtype),)

    def params(self, ins: Types, outs: Types) -> Params:
        """The number of elements."""
        return {"n": ins[0].size}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """A vector."""
        return (Example.random(cls(), TensorType((1, 7), F32), TensorType((1, 7), F32)),)
