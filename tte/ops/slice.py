"""The first channels of a map. Floor 2."""

from __future__ import annotations

from dataclasses import dataclass

from tte.op import Arrays, Example, Kernel, Op, Params, Types
from tte.types import DType, Quant, TensorType

F32, S8 = DType.F32, DType.S8


@dataclass(frozen=True, slots=True)
class Slice(Op):
    """y[...,channels] = the first `channels` of x[...,c], copied: what is kept of a map whose rest may be forgotten."""

    channels: int

    kernels = (
        Kernel("tte_slice_s8", "slice.h", (S8,), (S8,), form="flat", per_out=3.0),
        Kernel("tte_slice_f32", "slice.h", (F32,), (F32,), form="flat", per_out=3.0),
    )

    def infer(self, *types: TensorType) -> Types:
        """x[...,c] gives y[...,channels]."""
        (x,) = types
        self.expect(x.shape != () and 0 < self.channels <= x.shape[-1], f"{x} has no {self.channels} channels")
        self.expect(x.quant is None or x.quant.axis is None, f"{x} has a scale per channel")
        return (TensorType((*x.shape[:-1], self.channels), x.dtype, x.quant),)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Elements stay as they are."""
        return (args[0][..., : self.channels],)

    def params(self, ins: Types, outs: Types) -> Params:
        """Pixels, channels of y and of x."""
        c = ins[0].shape[-1]
        return {"pixels": ins[0].size // c, "channels": self.channels, "x_pitch": c}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Both element types."""
        shape = (1, 3, 4, 7)
        return (
            Example.random(cls(3), TensorType(shape, S8, Quant((0.1,), 3))),
            Example.random(cls(4), TensorType(shape, F32)),
        )
