"""The loss of a classifier, and its gradient. Floor 2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.arith import floatmath
from tte.op import Arrays, Example, Grows, Kernel, Op, Params, Types, Values
from tte.types import Array, DType, TensorType, Value

F32, S32 = DType.F32, DType.S32


@dataclass(frozen=True, slots=True)
class SoftmaxCrossEntropy(Op):
    """loss[1] = -log scores[label] and scores[1,n] = e**logits / sum of e**logits, for logits[1,n] and label s32[1].

    A label that is none (below 0, or n and more) counts as one with a logit of 0 of its own, that no score belongs to.
    """

    operands = ("logits", "label")
    kernels = (Kernel("tte_softmax_cross_entropy", "softmax_cross_entropy.h", (F32, S32), (F32, F32), per_out=60.0),)

    def infer(self, *types: TensorType) -> Types:
        """logits[1,n] and label[1] give loss[1] and scores[1,n]."""
        logits, label = types
        fits = logits.dtype is F32 and len(logits.shape) == 2 and logits.shape[0] == 1 and logits.shape[1] > 0
        self.expect(fits, f"logits must be f32[1,n], not {logits}")
        self.expect((label.dtype, label.shape) == (S32, (1,)), f"label must be s32[1], not {label}")
        return TensorType((1,), F32), logits

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact: powers are added in order."""
        logits, label = args
        above = logits[0] - logits[0].max()
        e = floatmath.exp(above)
        total = np.zeros(1, logits.dtype)
        for i in range(e.size):
            total = total + e[i]
        own = above[label] if 0 <= label[0] < e.size else np.zeros(1, logits.dtype)
        return floatmath.log(total) - own, (e / total)[None]

    def vjp(self, graph: Grows, grads: tuple[Value | None, ...], ins: Values, outs: Values) -> tuple[Value | None, ...]:
        """scores - (1 at the label); the loss is what is differentiated, so its own gradient is 1 whatever is given."""
        return (*graph.emit(SoftmaxCrossEntropyGrad(), outs[1], ins[1]), None)

    def params(self, ins: Types, outs: Types) -> Params:
        """The number of classes."""
        return {"n": ins[0].size}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """The first class and the last, one far behind, one class alone, a label that is none."""
        t, label = TensorType((1, 10), F32), TensorType((1,), S32)
        values = np.linspace(-3, 4, 10, dtype=np.float32)[None]

        def make(logits: Array, k: int) -> Example:
            return Example(cls(), (TensorType(logits.shape, F32), label), (logits, np.array([k], np.int32)))

        drawn = Example.random(cls(), t, label).args[0]
        return (make(drawn, 0), make(drawn, 9), make(values * 40, 2), make(values[:, :1], 0), make(values, 10))


@dataclass(frozen=True, slots=True)
class SoftmaxCrossEntropyGrad(Op):
    """y[1,n] = scores[1,n] - (1 at the label, else 0): the gradient of softmax_cross_entropy's logits."""

    operands = ("scores", "label")
    kernels = (
        Kernel("tte_softmax_cross_entropy_grad", "softmax_cross_entropy.h", (F32, S32), (F32,), inplace=((0, 0),)),
    )

    def infer(self, *types: TensorType) -> Types:
        """scores[1,n] and label[1] give y[1,n]."""
        scores, label = types
        self.expect(
            scores.dtype is F32 and len(scores.shape) == 2 and scores.shape[0] == 1,
            f"scores must be f32[1,n], not {scores}",
        )
        self.expect((label.dtype, label.shape) == (S32, (1,)), f"label must be s32[1], not {label}")
        return (scores,)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact."""
        p, label = args
        return ((p - (np.arange(p.size) == label[0])).astype(p.dtype),)

    def params(self, ins: Types, outs: Types) -> Params:
        """The number of classes."""
        return {"n": ins[0].size}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """A label, and one that is none."""
        p, label = TensorType((1, 5), F32), TensorType((1,), S32)
        drawn = abs(Example.random(cls(), p, label).args[0])
        return tuple(Example(cls(), (p, label), (drawn, np.array([k], np.int32))) for k in (4, -1))
