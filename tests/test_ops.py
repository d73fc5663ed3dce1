"""Every op: its examples cover all its kernels."""

from __future__ import annotations

import pytest

from tte.op import Op
from tte.ops import all_ops


@pytest.mark.parametrize("op", all_ops().values(), ids=all_ops())
def test_every_kernel_has_an_example(op: type[Op]) -> None:
    given = [(e.ins, outs, e.op.params(e.ins, outs)) for e in op.examples() for outs in [e.op.results(*e.ins)]]
    assert not [k.symbol for k in op.kernels if not any(k.fits(*g) for g in given)]
