"""Every op, on every example, with every kernel, on every board: bits equal to the reference. One ELF per board."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from examples import cases

from tte.emulate import build, run_elf
from tte.target import Board


def test_kernels_equal_the_reference(board: Board, tmp_path: Path) -> None:
    compiled, found = cases(board)
    compiled.write(tmp_path)
    elf = build(tmp_path, board)
    data = b""
    for i, case in enumerate(found):
        e = case.example
        given = [t.encode(a) for j, (t, a) in enumerate(zip(e.ins, e.args, strict=True)) if j not in e.consts]
        data += struct.pack("<I", i) + b"".join(given)
    said, at, wrong = run_elf(elf, board, data).data, 0, []
    for case, graph in zip(found, compiled.module.graphs, strict=True):
        assert said[at : at + 4] == bytes(4), case
        at += 4
        outs = tuple(v.type for v in graph.outs)
        for expected, t in zip(case.example.op.reference(case.example.args, case.example.ins, outs), outs, strict=True):
            got = t.decode(said[at : at + t.bytes])
            at += t.bytes
            if not np.allclose(got, expected, case.example.rtol, case.example.rtol):
                wrong.append(f"{case.kernel}: {case.example.op}: {(got != expected).sum()} of {t.size} differ")
    assert not wrong, "\n".join(wrong)
