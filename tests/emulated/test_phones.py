"""Boards with two units: the same bits wherever a node runs, and no program that outlives the other."""

from __future__ import annotations

import re
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from conftest import usable

from tte.driver import Compiled, Options, compile_model
from tte.errors import BadModel, DoesNotFit, InternalError
from tte.interp import interpret
from tte.ir import Builder, Module
from tte.op import Arrays
from tte.ops.linear import Linear
from tte.ops.quantize import Quantize
from tte.ops.silu import Silu
from tte.record import read_record
from tte.running.beside import PROGRAM, WINDOW, beside
from tte.running.emulate import Fault, Inference, build, infer
from tte.target import Board, load_board, parse_board
from tte.types import Array, DType, Quant, TensorType, Value

PHONES = ("phone-host", "phone-npu")
PLACES = ["cpu", "npu", "npu", "cpu", "cpu", "npu", "cpu"]


def network() -> Module:
    """infer(x f32[5,37]) with linear layers s8 -> s8 and s8 -> f32, floats between them, and one layer of floats."""
    rng, b = np.random.default_rng(0), Builder("infer")
    q = Quant((0.03,), 3)

    def layer(name: str, x: Value, n: int, out: Quant | None = None) -> Value:
        k = x.type.shape[1]
        scales = Quant(tuple(rng.uniform(0.001, 0.01, n).tolist()), 0, 0)
        w = b.constant(f"{name}_w", TensorType((n, k), DType.S8, scales), rng.integers(-127, 128, (n, k), np.int8))
        bias = b.constant(f"{name}_b", TensorType((n,), DType.S32), rng.integers(-500, 500, n, np.int32))
        return b.emit(Linear(out=out), x, w, bias, name=name)[0]

    (y,) = b.emit(Quantize(q), b.input("x", TensorType((5, 37), DType.F32)))
    y = layer("b", layer("a", y, 40, Quant((0.05,), 1)), 33)
    (y,) = b.emit(Silu(), y)
    (y,) = b.emit(Quantize(q), y)
    floats = b.constant("d_w", TensorType((3, 17), DType.F32), rng.standard_normal((3, 17)).astype(np.float32))
    graph = b.finish(*b.emit(Linear(), layer("c", y, 17), floats))
    return Module("net", tuple(b.states), (graph,))


def samples(n: int = 4) -> list[Arrays]:
    rng = np.random.default_rng(1)
    return [(rng.standard_normal((5, 37)).astype(np.float32),) for _ in range(n)]


def expected(module: Module, sample: Arrays) -> Array:
    given = {v.name: a for v, a in zip(module.graph("infer").ins, sample, strict=True)}
    outs, _ = interpret(module.graph("infer"), given, {s.value.name: s.init for s in module.states})
    return next(iter(outs.values()))


def project(folder: Path, name: str, module: Module) -> tuple[Board, Compiled]:
    board = usable(name)
    compiled = compile_model(module, board)
    compiled.write(folder)
    return board, compiled


def check(module: Module, found: Inference, given: list[Arrays]) -> None:
    for (got,), sample in zip(found.outputs, given, strict=True):
        np.testing.assert_array_equal(got, expected(module, sample), strict=True)


@pytest.mark.parametrize("sanitize", [False, True])
@pytest.mark.parametrize("name", ("host", *PHONES))
def test_equal_bits(name: str, sanitize: bool, tmp_path: Path) -> None:
    """On phone-host the sanitizer is that of threads."""
    module = network()
    board, compiled = project(tmp_path, name, module)
    places = PLACES if name != "host" else ["cpu"] * 7
    assert [c.unit for c in compiled.program.functions[0].calls] == places
    assert [layer.unit for layer in read_record(tmp_path).infer.layers] == places
    elf = build(tmp_path, board, sanitize)
    check(module, infer(module, elf, board, samples()), samples())


@pytest.mark.parametrize("name", PHONES)
def test_a_weight_lies_with_its_reader_and_nobody_writes_around_the_arena(name: str, tmp_path: Path) -> None:
    module = network()
    board, _ = project(tmp_path, name, module)
    arrays = {f: re.findall(r"^extern .* net\w*_([abcd]\w*_w)\[", (tmp_path / f).read_text(), re.M) for f in FILES}
    assert [len(arrays[f]) for f in FILES] == [0, 3]
    makefile = tmp_path / "Makefile"
    makefile.write_text(makefile.read_text().replace("GUARD = 0", "GUARD = 64"))
    check(module, infer(module, build(tmp_path, board), board, samples(1)), samples(1))


FILES = ("weights.c", "npu_weights.c")


def test_threads_without_order_are_seen(tmp_path: Path) -> None:
    """The check for races can fail: counters that order nothing."""
    module = network()
    board, _ = project(tmp_path, "phone-host", module)
    queue = tmp_path / "tte" / "tte_queue.h"
    queue.write_text(queue.read_text().replace("__ATOMIC_ACQUIRE", "__ATOMIC_RELAXED"))
    with pytest.raises(Fault, match="data race"):
        infer(module, build(tmp_path, board, sanitize=True), board, samples())


def left_behind(folder: Path) -> list[str]:
    """Processes whose programs lie in `folder`."""
    found = list[str]()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [line for line in found if str(folder) in line]


@pytest.mark.parametrize(("file", "words"), [("npu.c", "the program of the npu ended"), ("model.c", "SIG")])
def test_when_one_unit_fails_both_end(file: str, words: str, tmp_path: Path) -> None:
    module = network()
    board, _ = project(tmp_path, "phone-npu", module)
    source = (tmp_path / file).read_text()
    step = re.search(r"\n( +step_linear_\w+)\(.*?\);", source, re.S)
    assert step
    (tmp_path / file).write_text(source.replace(step[0], "\n    __builtin_trap();" + step[0]))
    elf, start = build(tmp_path, board), time.monotonic()
    with pytest.raises((InternalError, Fault), match=words):
        infer(module, elf, board, samples())
    assert not left_behind(tmp_path)
    assert time.monotonic() - start < 60


def test_the_npu_ends_when_nobody_is_left_to_end_it(tmp_path: Path) -> None:
    """Its parent, a shell, is gone after a second."""
    board, _ = project(tmp_path, "phone-npu", network())
    build(tmp_path, board)
    (tmp_path / WINDOW).write_bytes(bytes(1 << 16))
    subprocess.run(["sh", "-c", f"{board.npu.run[0]} {tmp_path / PROGRAM} & sleep 2"], cwd=tmp_path, check=True)
    deadline = time.monotonic() + 60
    while left_behind(tmp_path):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_an_npu_that_does_not_stop_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board, _ = project(tmp_path, "phone-npu", network())
    elf = build(tmp_path, board)
    monkeypatch.setattr("tte.running.beside.END_SECONDS", 1)
    with pytest.raises(InternalError, match="did not end"), beside(elf, board, tmp_path):
        deadline = time.monotonic() + 20
        while not left_behind(tmp_path) and time.monotonic() < deadline:  # until it has started
            time.sleep(0.05)
        assert left_behind(tmp_path)
    assert not left_behind(tmp_path)


def test_what_the_caller_owns_stays_on_the_cpu() -> None:
    """Its buffers lie outside the window: the first layer here reads one, the last writes one."""
    b, s8 = Builder("infer"), Quant((0.1,), 0)
    x = b.input("x", TensorType((1, 8), DType.S8, s8))
    for name in "abc":
        w = b.constant(f"{name}_w", TensorType((8, 8), DType.S8, Quant((0.01,))), np.eye(8, dtype=np.int8))
        bias = b.constant(f"{name}_b", TensorType((8,), DType.S32), np.zeros(8, np.int32))
        (x,) = b.emit(Linear(out=s8), x, w, bias, name=name)
    module = Module("net", tuple(b.states), (b.finish(x),))
    for io, places in ((frozenset[str](), ["npu"] * 3), (frozenset({"caller"}), ["cpu", "npu", "cpu"])):
        compiled = compile_model(module, load_board("phone-host"), Options(io=io))
        assert [c.unit for c in compiled.program.functions[0].calls] == places


def test_the_window_holds_the_arena() -> None:
    text = "".join((Path(__file__).parents[2] / "boards" / "phone-host" / "board.toml").read_text())
    small = parse_board("small", re.sub(r"size = \w+", "size = 512", text))
    with pytest.raises(DoesNotFit, match="both units of small see 512"):
        compile_model(network(), small)


def test_there_is_one_unit_beside_the_cpu() -> None:
    with pytest.raises(BadModel, match="has a unit 'gpu'"):
        parse_board("mine", 'summary = "x"\n[units.cpu]\ncc = ["cc"]\n[units.gpu]\ncc = ["cc"]\n')


def test_a_model_without_use_for_an_npu_has_one_program(tmp_path: Path) -> None:
    b = Builder("infer")
    x = b.input("x", TensorType((2, 3), DType.F32))
    module = Module("plain", (), (b.finish(*b.emit(Silu(), x)),))
    board, compiled = project(tmp_path, "phone-npu", module)
    elf, given = build(tmp_path, board), [(np.ones((2, 3), np.float32),)]
    assert not (tmp_path / PROGRAM).exists()
    assert not {"npu.c", "board/beside.h"} & set(compiled.files)
    check(module, infer(module, elf, board, given), given)
