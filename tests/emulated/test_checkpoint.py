"""A checkpoint survives every cut of the power, and what was trained goes on to the same bits."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import pytest
from conftest import usable
from learner import learner

from tte.driver import compile_model
from tte.running.emulate import build, run_elf
from tte.states import SEAL, layout

PREFIX, GARBAGE, UNSYNCED = range(3)
GOOD = 3  # checkpoints before the last one that is cut
SYNCS = 2


def project(folder: Path, board_name: str) -> Path:
    board = usable(board_name)
    compile_model(learner(), board).write(folder)
    shutil.copy(Path(__file__).parent / "checkpoint_main.c", folder / "main.c")
    return folder


def cuts(folder: Path, board_name: str, block: int, leaves: int, sanitize: bool = True) -> tuple[int, int, int]:
    """How often the power was cut, the newer states found, and anything wrong."""
    board = usable(board_name)
    raw = run_elf(build(folder, board, sanitize), board, struct.pack("<II", block, leaves), count=False)
    cut, newer, wrong = struct.unpack("<3I", raw.data)
    return cut, newer, wrong


@pytest.mark.parametrize("leaves", [PREFIX, GARBAGE, UNSYNCED], ids=["prefix", "garbage", "unsynced"])
@pytest.mark.parametrize("block", [1, 48])
@pytest.mark.parametrize("board_name", ["host", "cortex-m7"])
def test_no_cut_loses_the_last_good_states(tmp_path: Path, board_name: str, block: int, leaves: int) -> None:
    folder = project(tmp_path, board_name)
    bytes_written = layout(learner().states).bytes + SEAL.size
    cut, newer, wrong = cuts(folder, board_name, block, leaves, sanitize=board_name == "host")
    assert wrong == 0
    assert cut >= (GOOD + 1) * (bytes_written + SYNCS) * 0.8
    assert newer >= GOOD + 1  # at least those that were not cut


FAULTS = {
    "one slot": ("(1u - found.slot) *", "0u *"),
    "no sync at the end": ("||\n        storage->sync(storage->context) != 0) {", ") {"),
    "no crc": ("*whole = seal.crc == tte_seal_crc(crc, &seal);", "*whole = 1;"),
    "the older one": ("(int32_t)(sequence - found->sequence) > 0", "(int32_t)(sequence - found->sequence) < 0"),
    "slots share a block": ("block = storage->block ? storage->block : 1u", "block = 1u + 0u * storage->block"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_seen(tmp_path: Path, fault: str) -> None:
    folder = project(tmp_path, "host")
    header = folder / "tte" / "tte_checkpoint.h"
    old, new = FAULTS[fault]
    text = header.read_text()
    assert old in text
    header.write_text(text.replace(old, new))
    assert cuts(folder, "host", 48, UNSYNCED)[2] > 0
