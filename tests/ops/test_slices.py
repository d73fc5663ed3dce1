"""Kernels that can compute some channels by themselves: slice after slice they give the bits of the whole, in C."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from conftest import usable

from tte.codegen import cfmt
from tte.codegen.project import RUNTIME
from tte.op import Example, Kernel, Op, Slices
from tte.ops import all_ops
from tte.types import TensorType

FLAGS = "-std=c11 -O1 -ffp-contract=off -fno-math-errno -fno-strict-aliasing"
CHECKS = "-fsanitize=address,undefined -fno-sanitize-recover=all"
SLICED = {n: op for n, op in all_ops().items() if any(k.form == "channels" for k in op.kernels)}


@dataclass(frozen=True)
class Case:
    """An example computed by a kernel, `group` channels at a time."""

    example: Example
    kernel: Kernel
    slices: Slices
    group: int

    @property
    def outs(self) -> tuple[TensorType, ...]:
        return self.example.op.results(*self.example.ins)

    @property
    def channels(self) -> int:
        pairs = (*zip(self.example.ins, self.slices.ins, strict=True), *zip(self.outs, self.slices.outs, strict=True))
        return min(t.shape[axis] for t, axis in pairs if axis is not None)

    def cut(self, t: TensorType, axis: int | None) -> TensorType:
        if axis is None:
            return t
        quant = t.quant
        if quant and quant.axis == axis:
            quant = replace(quant, scale=quant.scale[: self.group])
        return replace(t, shape=tuple(self.group if k == axis else n for k, n in enumerate(t.shape)), quant=quant)

    @property
    def fits(self) -> bool:
        """True if the kernel can compute so few channels."""
        ins = tuple(map(self.cut, self.example.ins, self.slices.ins))
        outs = tuple(map(self.cut, self.outs, self.slices.outs))
        return self.kernel.fits(ins, outs, self.example.op.params(ins, outs))

    def code(self, number: int) -> str:
        """A function that computes the example, and writes its results."""
        e, k, op = self.example, self.kernel, self.example.op
        ins = tuple(map(self.cut, e.ins, self.slices.ins))
        outs = tuple(map(self.cut, self.outs, self.slices.outs))
        params, whole = op.params(ins, outs), op.params(e.ins, self.outs)
        names = [op.operand(i) for i in range(len(ins))], [f"y{i or ''}" for i in range(len(outs))]
        places = [
            *zip(names[0], e.ins, self.slices.ins, strict=True),
            *zip(names[1], self.outs, self.slices.outs, strict=True),
        ]
        text, known = [], {"c": "c"}
        for name, a in zip(names[0], e.args, strict=True):
            data = np.packbits(a, bitorder="little") if a.dtype == np.uint8 else a
            text.append(f"{cfmt.array(name, data)} = {cfmt.initialiser(data)};")
        for name, t in zip(names[1], self.outs, strict=True):
            text.append(f"static {t.dtype.c} {name}[{t.size}];")
        for name, t, axis in places:
            step = 0 if axis is None else t.size // t.shape[0] if axis == 0 else 1
            known[name] = f"{name} + c * {step}"
            if axis is not None and f"{name}_pitch" in params and axis == len(t.shape) - 1:
                params[f"{name}_pitch"] = t.shape[-1]
        for name, value in whole.items():
            if isinstance(value, np.ndarray):
                text.append(f"{cfmt.array(name, value)} = {cfmt.initialiser(value)};")
                known[name] = name
        scratch = k.scratch(ins, outs, params)
        if scratch:
            text.append(f"static _Alignas(8) int8_t scratch[{scratch}];")
            known["scratch"] = "scratch"
        arrays = [n for n, v in whole.items() if isinstance(v, np.ndarray)]
        order = [*names[0], *arrays, *names[1], *(["scratch"] if scratch else []), "c"]
        passed = [known.get(n, "NULL") for n in ([names[0][0], *k.takes] if k.takes else order)]
        scalars = ", ".join(f".{n} = {cfmt.number(v)}" for n, v in params.items() if not isinstance(v, np.ndarray))
        call = f"{k.symbol}(&p, {', '.join(passed)});"
        loop = f"for (int32_t c = 0; c < {self.channels}; c += {self.group}) {{ {call} }}"
        write = " ".join(f"fwrite({n}, 1, {t.bytes}, stdout);" for n, t in zip(names[1], self.outs, strict=True))
        body = "\n".join(f"static {line}" if line.startswith("const") else line for line in text)
        struct = f"static const {k.struct} p = {{ {scalars} }};"
        return "\n".join([f"static void f{number}(void)", "{", body, struct, loop, write, "}"])


def cases(op: type[Op]) -> Iterator[Case]:
    for e in op.examples():
        outs = e.op.results(*e.ins)
        for k in op.kernels:
            if k.form == "channels" and not k.isa and k.fits(e.ins, outs, e.op.params(e.ins, outs)):
                for s in e.op.slices(e.ins, outs):
                    found = (Case(e, k, s, group) for group in (1, 2, 3, 4))
                    yield from (c for c in found if c.channels % c.group == 0 and c.channels > c.group and c.fits)


@pytest.mark.parametrize("op", SLICED.values(), ids=SLICED)
def test_slices_make_the_whole(op: type[Op], tmp_path: Path) -> None:
    usable("host")
    found = list(cases(op))
    assert found
    functions = [c.code(i) for i, c in enumerate(found)]
    headers = [f'#include "tte/kernels/{h}"' for h in sorted({c.kernel.header for c in found})]
    calls = " ".join(f"f{i}();" for i in range(len(found)))
    text = "\n".join(
        ["#include <stdio.h>", '#include "tte/tte.h"', *headers, *functions, f"int main(void) {{ {calls} return 0; }}"]
    )
    (tmp_path / "main.c").write_text(text)
    (tmp_path / "tte").symlink_to(RUNTIME)
    subprocess.run(["gcc", *FLAGS.split(), *CHECKS.split(), "-I.", "main.c", "-o", "slices"], cwd=tmp_path, check=True)
    said, at = subprocess.run([tmp_path / "slices"], capture_output=True, check=True).stdout, 0
    for c in found:
        for want, t in zip(c.example.op.reference(c.example.args, c.example.ins, c.outs), c.outs, strict=True):
            np.testing.assert_array_equal(
                t.decode(said[at : at + t.bytes]), want, f"{c.kernel.symbol} {c.group} {c.slices} {c.example.op}"
            )
            at += t.bytes
