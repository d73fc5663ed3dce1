"""What Python says of a kernel and what its C header says are the same: symbols, and the fields of parameters."""

from __future__ import annotations

import re

import pytest

from tte.codegen.project import RUNTIME
from tte.op import Kernel, Op
from tte.ops import all_ops


def text_of(header: str, seen: set[str]) -> str:
    """A header after those that it includes, without comments."""
    if header in seen:
        return ""
    seen.add(header)
    text = re.sub(r"/\*.*?\*/", "", (RUNTIME / header).read_text(), flags=re.S)
    return "".join(text_of(h, seen) for h in re.findall(r'#include "tte/(.+)"', text)) + text


def structs(header: str) -> dict[str, dict[str, str]]:
    """Type of every field of every struct, by the struct's name; macros that stand for fields are replaced."""
    text = text_of(header, set())
    macros = dict(re.findall(r"^#define (\w+)((?:.*\\\n)*.*)$", text, flags=re.M))
    found: dict[str, dict[str, str]] = {}
    for body, name in re.findall(r"typedef struct \{([^}]*)\} (\w+);", text):
        words = re.sub(r"\w+", lambda m: macros.get(m[0], m[0]), body).replace("\\\n", " ")
        declared = (d.split(None, 1) for d in words.split(";") if d.strip())
        found[name] = {field.strip(" \n"): kind for kind, fields in declared for field in fields.split(",")}
    for old, new in re.findall(r"typedef (\w+) (\w+);", text):
        if old in found:
            found[new] = found[old]
    return found


def kernels() -> list[tuple[type[Op], Kernel]]:
    return [(op, k) for op in all_ops().values() for k in op.kernels]


@pytest.mark.parametrize(("op", "kernel"), kernels(), ids=lambda x: getattr(x, "symbol", None) or x.label())
def test_parameters_are_the_fields_of_the_struct(op: type[Op], kernel: Kernel) -> None:
    fields = structs(f"kernels/{kernel.header}")[kernel.struct]
    assert f"TTE_KERNEL {kernel.symbol}(" in (RUNTIME / "kernels" / kernel.header).read_text()
    for e in op.examples():
        outs = e.op.results(*e.ins)
        params = e.op.params(e.ins, outs)
        if kernel.fits(e.ins, outs, params):
            scalars = {n: v for n, v in params.items() if isinstance(v, (int, float))}
            assert {n: "float" if isinstance(v, float) else "int32_t" for n, v in scalars.items()} == fields, e.op


def test_every_kernel_in_c_belongs_to_an_op() -> None:
    headers = sorted((RUNTIME / "kernels").glob("*.h"))
    written = {s for h in headers for s in re.findall(r"TTE_KERNEL (\w+)\(", h.read_text())}
    assert written == {k.symbol for _, k in kernels()}
    assert {h.name for h in headers} == {k.header for _, k in kernels()}
