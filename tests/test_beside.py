"""A unit beside the cpu: what its board.toml must say."""

from __future__ import annotations

import pytest

from tte.errors import BadModel
from tte.target import Costs, parse_board

TOML = """
summary = "a phone"

[units.cpu]
cc = ["cc"]
costs = { per_128_macs = 20.0, per_byte = 0.25, per_call = 100.0 }

[units.npu]
cc = ["clang"]
ops = ["linear"]
dtypes = ["s8", "s32"]
window = "shared"
align = 128
costs = { per_128_macs = 1.5, per_byte = 0.01, per_call = 2000.0 }

[memories.shared]
origin = 0
size = 65536
use = "shared"
"""


def test_a_board_with_two_units() -> None:
    board = parse_board("mine", TOML)
    npu = board.units["npu"]
    assert (npu.ops, npu.dtypes, npu.window, npu.align) == (("linear",), ("s8", "s32"), "shared", 128)
    assert npu.costs == Costs(1.5, 0.01, 2000.0)
    assert npu.costs.ticks(macs=1280, moved=1001, calls=2) == 15 + 11 + 4000, "rounded up"
    assert board.sram is None, "a shared memory is no limit of the cpu's"


def test_work_that_was_counted() -> None:
    table = "per_call = 2000.0, per_us = 500.0, counted = { linear = [0.5, 2.0] }"
    costs = parse_board("mine", TOML.replace("per_call = 2000.0", table)).units["npu"].costs
    assert costs
    assert costs.of("linear", macs=100, elements=5, moved=7) == (50 + 10) * 2
    assert costs.of("silu", macs=128, elements=5, moved=100) == costs.ticks(128, 100) == (3 + 2 + 4000)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('ops = ["linear"]\n', "", r"mine.units.npu: needs the key 'ops'"),
        ('dtypes = ["s8", "s32"]\n', "", "needs the key 'dtypes'"),
        ('window = "shared"\n', "", "needs the key 'window'"),
        ("costs = { per_128_macs = 1.5, per_byte = 0.01, per_call = 2000.0 }", "", "npu: needs the key 'costs'"),
        ("costs = { per_128_macs = 20.0, per_byte = 0.25, per_call = 100.0 }", "", "cpu: needs the key 'costs'"),
        (", per_call = 2000.0", "", "npu.costs: needs the key 'per_call'"),
        ("per_call = 2000.0", "per_call = 2000.0, per_core = 1.0", "unknown key 'per_core'"),
        ("per_call = 2000.0", "per_call = 2000", "'per_call' must be float"),
        ("per_call = 2000.0", "per_call = -1.0", "numbers from 0 up"),
        ("per_call = 100.0", "per_call = nan", "numbers from 0 up"),
        ("costs = { per_128_macs = 1.5, per_byte = 0.01, per_call = 2000.0 }", "costs = 1", "'costs' must be a table"),
        ("per_call = 2000.0", "per_call = 2000.0, per_us = 0.0", "per_us above"),
        ("per_call = 2000.0", "per_call = 2000.0, counted = { linear = [1.0] }", "counted.linear must be two numbers"),
        ("per_call = 2000.0", "per_call = 2000.0, counted = { linear = 1.0 }", "counted.linear must be two numbers"),
        ("per_call = 2000.0", 'per_call = 2000.0, counted = { linear = [1.0, "x"] }', "numbers from 0 up"),
        ('"s32"]', '"f8"]', "unknown dtype 'f8'"),
        ('window = "shared"', 'window = "vtcm"', "there is no memory 'vtcm' .known: shared"),
        ("align = 128", "align = 96", "power of two, not 96"),
        ("align = 128", "align = 0", "power of two, not 0"),
    ],
)
def test_what_a_unit_lacks_is_told(old: str, new: str, words: str) -> None:
    assert old in TOML
    with pytest.raises(BadModel, match=words):
        parse_board("mine", TOML.replace(old, new))
