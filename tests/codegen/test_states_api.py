"""What the API of states refuses and promises, called from outside: export, import, checkpoint, restore, set_*."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from conftest import usable
from learner import CLASSES, INPUTS, learner

from tte.driver import compile_model
from tte.states import SEAL, layout

HERE = Path(__file__).parent
NAMES = re.findall(r"X\((\w+),", (HERE.parents[1] / "runtime_c" / "tte.h").read_text())
STATES = layout(learner().states)
CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint32)
SYNC = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)


class Storage(ctypes.Structure):
    """tte_storage over a bytearray; `fails` names what does not work."""

    _fields_ = (
        ("context", ctypes.c_void_p),
        ("block", ctypes.c_uint32),
        ("read", CALLBACK),
        ("write", CALLBACK),
        ("sync", SYNC),
    )

    def __init__(self, block: int = 1) -> None:
        self.memory = bytearray(os.urandom(1024))
        self.fails = ""
        self.written: list[tuple[int, int]] = []
        super().__init__(None, block, CALLBACK(self._read), CALLBACK(self._write), SYNC(self._sync))

    def _read(self, _: object, at: int, to: int, size: int) -> int:
        ctypes.memmove(to, bytes(self.memory[at : at + size]), size)
        return int(self.fails == "read")

    def _write(self, _: object, at: int, source: int, size: int) -> int:
        self.memory[at : at + size] = ctypes.string_at(source, size)
        self.written.append((at, size))
        return int(self.fails == "write")

    def _sync(self, _: object) -> int:
        return int(self.fails == "sync")


class Library:
    """The learner as a shared library with an arena; calls return the names of statuses."""

    def __init__(self, folder: Path) -> None:
        compile_model(learner(), usable("host")).write(folder)
        argv = [
            "gcc",
            "-shared",
            "-fPIC",
            "-O1",
            "-ffp-contract=off",
            "-I.",
            "model.c",
            "weights.c",
            "-lm",
            "-o",
            "l.so",
        ]
        subprocess.run(argv, cwd=folder, check=True)
        self.dll = ctypes.CDLL(str(folder / "l.so"))
        self.dll.learner_train_step_input.restype = ctypes.c_void_p
        told = re.search(r"ARENA_BYTES (\d+)u", (folder / "model.h").read_text())
        assert told
        self.room = ctypes.create_string_buffer(int(told[1]) + 16)
        self.arena = -(-ctypes.addressof(self.room) // 8) * 8
        assert self("init", ctypes.c_size_t(int(told[1]))) == "TTE_OK"

    def __call__(self, function: str, *given: object, arena: int | None = -1) -> str:
        at = ctypes.c_void_p(self.arena if arena == -1 else arena)
        return NAMES[getattr(self.dll, f"learner_{function}")(at, *given)]

    def train(self, steps: int = 1) -> None:
        for _ in range(steps):
            image = ctypes.c_void_p(self.dll.learner_train_step_input(ctypes.c_void_p(self.arena), ctypes.c_size_t(0)))
            ctypes.memmove(image, bytes(range(50, 50 + INPUTS)), INPUTS)
            assert self("train_step", 1, None) == "TTE_OK"

    @property
    def states(self) -> bytes:
        return ctypes.string_at(self.arena, STATES.bytes)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


def test_initial_states_are_the_modules(library: Library) -> None:
    assert library.states == STATES.pack({s.value.name: s.init for s in learner().states})


@pytest.mark.parametrize("label", [-1, CLASSES, 2**31 - 1, -(2**31)])
def test_a_label_that_is_none_is_refused(library: Library, label: int) -> None:
    before = library.states
    assert library("train_step", label, None) == "TTE_ERR_LABEL"
    assert library.states == before


def test_the_loss_is_given_back(library: Library) -> None:
    loss = ctypes.c_float(-1)
    assert library("train_step", 0, ctypes.byref(loss)) == "TTE_OK"
    assert loss.value > 0


def test_rate_and_seed_are_states(library: Library) -> None:
    assert library("set_rate", ctypes.c_float(0.25)) == "TTE_OK"
    assert library("set_seed", ctypes.c_uint32(2**32 - 1)) == "TTE_OK"
    found = STATES.unpack(library.states)
    assert found["rate"].tolist() == [0.25]
    assert found["clock"].tolist() == [0, -1]


def test_an_export_comes_back(library: Library) -> None:
    library.train(3)
    kept = library.states
    to = ctypes.create_string_buffer(STATES.sealed + 1)
    odd = ctypes.c_void_p(ctypes.addressof(to) + 1)
    assert library("export", odd) == "TTE_OK"
    assert to.raw[1:] == STATES.seal(kept)
    assert STATES.unseal(to.raw[1:], "export") == kept
    library.train()
    assert library.states != kept
    assert library("import", odd) == "TTE_OK"
    assert library.states == kept


@pytest.mark.parametrize("at", [0, 20, STATES.bytes - 1, STATES.bytes + 8, STATES.sealed - 1])
def test_what_is_damaged_or_anothers_is_not_imported(library: Library, at: int) -> None:
    before = library.states
    sealed = bytearray(STATES.seal(bytes(STATES.bytes)))
    sealed[at] ^= 1
    assert library("import", bytes(sealed)) == "TTE_ERR_CRC"
    sealed[STATES.bytes] ^= 1
    assert library("import", bytes(sealed)) == "TTE_ERR_MODEL"
    assert library.states == before


def test_null_and_unaligned_pointers_are_refused(library: Library) -> None:
    for function, extra in {
        "set_rate": ctypes.c_float(1),
        "set_seed": ctypes.c_uint32(1),
        "export": bytes(STATES.sealed),
        "import": bytes(STATES.sealed),
        "checkpoint": ctypes.byref(Storage()),
        "restore": ctypes.byref(Storage()),
    }.items():
        assert library(function, extra, arena=None) == "TTE_ERR_NULL", function
        assert library(function, extra, arena=library.arena + 4) == "TTE_ERR_ALIGN", function
    for function in ("export", "import", "checkpoint", "restore"):
        assert library(function, None) == "TTE_ERR_NULL", function


@pytest.mark.parametrize("fails", ["read", "write", "sync"])
def test_a_storage_that_fails_is_told_and_loses_nothing(library: Library, fails: str) -> None:
    storage = Storage()
    library.train()
    kept = library.states
    assert library("checkpoint", ctypes.byref(storage)) == "TTE_OK"
    library.train()
    storage.fails, storage.written = fails, []
    assert library("checkpoint", ctypes.byref(storage)) == "TTE_ERR_STORAGE"
    assert fails != "read" or not storage.written
    storage.fails = ""
    assert library("restore", ctypes.byref(storage)) == "TTE_OK"
    assert fails == "sync" or library.states == kept


def test_nothing_to_restore_changes_nothing(library: Library) -> None:
    before = library.states
    assert library("restore", ctypes.byref(Storage())) == "TTE_ERR_EMPTY"
    assert library.states == before


@pytest.mark.parametrize(("sequences", "newest"), [((2**32 - 1, 0), 1), ((0, 2**32 - 1), 0), ((7, 6), 0), ((5, 6), 1)])
def test_sequences_wrap_around(library: Library, sequences: tuple[int, int], newest: int) -> None:
    storage = Storage()
    blocks = [bytes([1 + slot]) * STATES.bytes for slot in range(2)]
    for slot, (block, sequence) in enumerate(zip(blocks, sequences, strict=True)):
        told = struct.pack("<3I", STATES.model, STATES.bytes, sequence)
        sealed = block + told + struct.pack("<I", zlib.crc32(block + told))
        storage.memory[slot * STATES.sealed : (slot + 1) * STATES.sealed] = sealed
    assert library("restore", ctypes.byref(storage)) == "TTE_OK"
    assert library.states == blocks[newest]
    assert library("checkpoint", ctypes.byref(storage)) == "TTE_OK"
    assert storage.written == [((1 - newest) * STATES.sealed, STATES.bytes), (storage.written[1][0], SEAL.size)]
    assert SEAL.unpack_from(storage.memory, storage.written[1][0])[2] == (sequences[newest] + 1) % 2**32


@pytest.mark.parametrize("block", [0, 1, 100, 256])
def test_slots_begin_at_blocks_and_writes_only_rise(library: Library, block: int) -> None:
    storage = Storage(block)
    for _ in range(4):
        storage.written = []
        assert library("checkpoint", ctypes.byref(storage)) == "TTE_OK"
        (first, size), (seal, _) = storage.written
        assert first % max(block, 1) == 0
        assert seal == first + size
        assert seal + SEAL.size <= 2 * -(-STATES.sealed // max(block, 1)) * max(block, 1)


def test_killed_at_every_write_it_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    """The process kills itself, in turn, at places of three checkpoints; the next process goes on from what is left."""
    compile_model(learner(), usable("host")).write(tmp_path)
    sources = [str(HERE / "killed_main.c"), "model.c", "weights.c", "-lm"]
    argv = ["gcc", "-std=gnu11", "-O1", "-ffp-contract=off", "-I.", *sources, "-o", "killed"]
    subprocess.run(argv, cwd=tmp_path, check=True)

    def run(file: str, budget: int) -> subprocess.CompletedProcess[bytes]:
        (tmp_path / file).touch()
        argv = [str(tmp_path / "killed"), file, "9", str(budget)]
        return subprocess.run(argv, cwd=tmp_path, capture_output=True, check=False)

    whole = run("whole", 2**31)
    assert whole.returncode == 0
    assert whole.stdout[:4] == bytes(4)
    edges = {0, 1, STATES.bytes - 1, STATES.bytes, STATES.bytes + 1, STATES.sealed - 1}
    for budget in sorted(
        {3 * STATES.sealed - 1, *range(0, 3 * STATES.sealed, 17), *(STATES.sealed + e for e in edges)}
    ):
        name = f"cut{budget}"
        assert run(name, budget).returncode == -signal.SIGKILL
        after = run(name, 2**31)
        assert after.returncode == 0
        assert struct.unpack("<i", after.stdout[:4])[0] == 3 * (budget // STATES.sealed)
        assert after.stdout[4:] == whole.stdout[4:]
