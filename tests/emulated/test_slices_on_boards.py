"""Every way to cut a kernel's channels gives the bits of the whole, with operands in place and in rings."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from conftest import usable

from tte.codegen import cfmt
from tte.codegen.project import RUNTIME
from tte.op import Example, Kernel, Slices, Types
from tte.ops import all_ops
from tte.shapes.channels import cut, parameters, parts
from tte.types import Array, DType, TensorType


@dataclass(frozen=True)
class Case:
    """An example, `n` channels at a time; with `rings` what is cut along its last axis is copied out and in."""

    example: Example
    kernel: Kernel
    slices: Slices
    n: int
    rings: bool

    @property
    def outs(self) -> Types:
        return self.example.op.results(*self.example.ins)

    @property
    def named(self) -> list[tuple[str, TensorType, int | None]]:
        """Name, type and axis of each operand and result."""
        e, s = self.example, self.slices
        ins = [(e.op.operand(i), t, a) for i, (t, a) in enumerate(zip(e.ins, s.ins, strict=True))]
        return ins + [(f"y{o or ''}", t, a) for o, (t, a) in enumerate(zip(self.outs, s.outs, strict=True))]

    def __str__(self) -> str:
        way = "rings" if self.rings else "in place"
        return f"{self.kernel.symbol}: {self.example.op}: {self.slices.ins} to {self.slices.outs}, {self.n}, {way}"


def cases() -> Iterator[Case]:
    for op in all_ops().values():
        kernels = [k for k in op.kernels if k.form == "channels" and not k.pack and not k.isa]
        for e in op.examples() if kernels else ():
            outs = e.op.results(*e.ins)
            for s in e.op.slices(e.ins, outs):
                pairs = zip((*e.ins, *outs), (*s.ins, *s.outs), strict=True)
                counts = [t.shape[a] for t, a in pairs if a is not None]
                for n in (n for n in range(1, min(counts)) if all(c % n == 0 for c in counts)):
                    given, made = parts(e.ins, s.ins, n), parts(outs, s.outs, n)
                    params = parameters(e.op, e.ins, outs, s, n)
                    able = [k for k in kernels if k.fits(given, made, params)]
                    yield from (Case(e, k, s, n, rings) for k in able for rings in (False, True))


def ringed(case: Case, t: TensorType, axis: int | None) -> bool:
    return case.rings and axis is not None and axis == len(t.shape) - 1 > 0 and t.dtype is not DType.U1


def pointer(case: Case, name: str, t: TensorType, axis: int | None) -> str:
    if axis is None or t.dtype is DType.U1:
        return name
    return f"{name}_ring" if ringed(case, t, axis) else f"{name} + c * {cut(t, axis).inner}"


def in_c(number: int, case: Case) -> str:
    """A function that writes the results to stdout."""
    e, names = case.example, case.named
    rings = {name for name, t, a in names if ringed(case, t, a)}
    params = parameters(e.op, e.ins, case.outs, case.slices, case.n, rings)
    whole = e.op.params(e.ins, case.outs)
    arrays = {k: np.asarray(v) for k, v in whole.items() if not isinstance(v, (int, float))}
    scalars = [f".{k} = {cfmt.number(v)}" for k, v in params.items() if isinstance(v, (int, float))]
    text = [f"static void case{number}(void)", "{"]
    text.append(f"    static const {case.kernel.struct} p = {{ {', '.join(scalars)} }};")
    given = {e.op.operand(i): stored(t, a) for i, (t, a) in enumerate(zip(e.ins, e.args, strict=True))} | arrays
    text += [f"    static {cfmt.array(k, v)} = {cfmt.initialiser(v)};" for k, v in given.items()]
    results = names[len(e.ins) :]
    text += [f"    static {t.dtype.c} {name}[{t.bytes // t.dtype.numpy.itemsize}];" for name, t, _ in results]
    text += [f"    static {t.dtype.c} {n}_ring[{t.size}];" for n, t, _ in names if n in rings]
    asked = parts(e.ins, case.slices.ins, case.n), parts(case.outs, case.slices.outs, case.n)
    scratch = case.kernel.scratch(*asked, params)
    text += [f"    static _Alignas(8) int8_t scratch[{scratch}];"] if scratch else []
    places = {name: pointer(case, name, t, a) for name, t, a in names} | {k: k for k in arrays}
    order = [*[n for n, _, _ in names[: len(e.ins)]], *arrays, *[n for n, _, _ in results]]
    order = [*order, *(["scratch"] if scratch else []), "c"]
    if case.kernel.takes:
        order = [order[0], *case.kernel.takes]
        places |= {n: "NULL" for n in order if n not in places and n != "c"}
    places |= {"scratch": "scratch"} if scratch else {}
    until = min(t.shape[a] for _, t, a in names if a is not None)
    text.append(f"    for (int32_t c = 0; c < {until}; c += {case.n}) {{")
    for name, t, a in names[: len(e.ins)]:
        text += copied(case, name, t, inward=True) if ringed(case, t, a) else []
    text.append(f"        {case.kernel.symbol}(&p, {', '.join(places.get(n, n) for n in order)});")
    for name, t, a in results:
        text += copied(case, name, t, inward=False) if ringed(case, t, a) else []
    text += ["    }", *(f"    fwrite({n}, {t.bytes}, 1, stdout);" for n, t, _ in results), "}"]
    return "\n".join(text)


def stored(t: TensorType, a: Array) -> Array:
    return np.frombuffer(t.encode(a), np.uint8) if t.dtype is DType.U1 else a


def copied(case: Case, name: str, t: TensorType, inward: bool) -> list[str]:
    """Channels c to c + n of all pixels, to the ring or from it."""
    whole, ring = f"{name}[i * {t.shape[-1]} + c + j]", f"{name}_ring[i * {case.n} + j]"
    pixels = math.prod(t.shape[:-1])
    to, what = (ring, whole) if inward else (whole, ring)
    return [
        f"        for (int32_t i = 0; i < {pixels}; i++)",
        f"            for (int32_t j = 0; j < {case.n}; j++) {to} = {what};",
    ]


def test_channels_by_themselves(tmp_path: Path) -> None:
    usable("host")
    found = list(cases())
    assert {c.kernel.symbol for c in found} == {
        k.symbol for op in all_ops().values() for k in op.kernels if k.form == "channels" and not k.isa and not k.pack
    }
    headers = sorted({c.kernel.header for c in found})
    lines = [f'#include "tte/kernels/{h}"' for h in headers] + ["#include <stdio.h>"]
    lines += [in_c(i, case) for i, case in enumerate(found)]
    lines += ["int main(void)", "{", *(f"    case{i}();" for i in range(len(found))), "    return 0;", "}", ""]
    (tmp_path / "tte").symlink_to(RUNTIME)
    (tmp_path / "slices.c").write_text("\n".join(lines))
    argv = ["cc", "-std=c11", "-O1", "-ffp-contract=off", "-I.", "-o", "slices", "slices.c", "-lm"]
    subprocess.run(argv, cwd=tmp_path, check=True)
    data, at, wrong = subprocess.run([tmp_path / "slices"], check=True, capture_output=True).stdout, 0, []
    for case in found:
        e = case.example
        for want, t in zip(e.op.reference(e.args, e.ins, case.outs), case.outs, strict=True):
            got = t.decode(data[at : at + t.bytes])
            at += t.bytes
            wrong += [str(case)] if not np.array_equal(got, want, equal_nan=t.dtype is DType.F32) else []
    assert not wrong, "\n".join(wrong)
