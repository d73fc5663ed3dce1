"""The command line: what it prints, what it leaves behind, and how it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from commands import DIGITS, Call, refused
from conftest import installed, usable
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from tte.cli import console
from tte.cli import options as cli_options
from tte.errors import InternalError
from tte.interp import interpret
from tte.running import session
from tte.running.session import open_project
from tte.target import Board, boards

KEYS = {"model", "board", "outputs", "layers", "instructions", "arena_bytes", "sram_bytes", "weights_bytes"}
KEYS |= {"code_bytes", "flash_bytes", "stack_bytes"}


def dense(path: str, *shape: int, n: int = 1, name: str = "x") -> None:
    """A float model x . w with x[shape]."""
    w = numpy_helper.from_array(np.ones((shape[-1], n), np.float32), "w")
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)]
    outs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, (*shape[:-1], n))]
    graph = helper.make_graph([helper.make_node("MatMul", [name, "w"], ["y"])], "g", ends, outs, [w])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    Path(path).write_bytes(model.SerializeToString())


def test_compile_run_report(tte: Call) -> None:
    usable("cortex-m4")
    code, out, err = tte("compile", DIGITS, "--board", "cortex-m4", "-o", "p", "--json")
    compiled = json.loads(out)
    assert (code, err, out.count("\n")) == (0, "", 1)
    assert compiled.keys() >= KEYS
    np.save("x.npy", image := np.random.default_rng(1).random((1, 1, 8, 8), np.float32))
    code, out, _ = tte("run", "p", "--board", "cortex-m4", "--input", "x.npy", "--output", "y.npy", "--json")
    ran = json.loads(out)
    assert code == 0
    assert ran.keys() >= KEYS
    assert 0 < ran["instructions"] == sum(row["instructions"] for row in ran["layers"])
    assert ran["arena_bytes"] + ran["stack_bytes"] <= ran["sram_bytes"] < 256 * 1024
    assert ran["weights_bytes"] + ran["code_bytes"] <= ran["flash_bytes"] < 1024 * 1024
    module = open_project(Path("p")).module
    graph = module.graph("infer")
    expected, _ = interpret(graph, {graph.ins[0].name: image}, {s.value.name: s.init for s in module.states})
    np.testing.assert_array_equal(np.load("y.npy"), expected[graph.outs[0].name])
    assert ran["outputs"][0]["values"] == np.load("y.npy").ravel().tolist()
    assert "instructions<br>counted" not in Path("p/report.html").read_text()
    code, out, _ = tte("report", "p", "--why")
    assert code == 0
    assert "conv2_sum_Conv: tte_conv_s8" in out
    assert f"{ran['flash_bytes']:,}" in Path("p/report.html").read_text()
    assert json.loads(tte("report", "p", "--json")[1])["layers"][1].keys() >= {"name", "op", "kernel", "macs"}


def test_report_draws_and_compares(tte: Call) -> None:
    usable("cortex-m4")
    installed("matplotlib")
    tte("compile", DIGITS, "--board", "cortex-m4", "-o", "p", "--no-build")
    code, out, err = tte("report", "p", "--frontier", "--counted", "--png", "p.png", "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    (here,) = (p for p in told["frontier"] if p["here"])
    assert here["instructions"] == told["instructions"]
    assert here["code_bytes"] == told["code_bytes"]
    assert told["gap_bytes"] == told["arena_bytes"] - told["bound_bytes"]
    assert Path("p.png").read_bytes().startswith(b"\x89PNG")
    assert "instructions, counted" in Path("p/report.html").read_text()
    assert "Peak at " in tte("report", "p")[1]
    assert "instructions, counted" not in Path("p/report.html").read_text()
    refused(tte("report", "p", "--counted"), "--frontier")


def test_less_sram(tte: Call) -> None:
    usable("cortex-m4")
    code, out, _ = tte("compile", DIGITS, "--board", "cortex-m4", "-o", "p", "--sram", "7K")
    assert (code, "has 7,168" in out) == (0, True)
    assert "LENGTH = 0x1c00\n" in Path("p/board/memory.ld").read_text()
    assert "has 7,168" in tte("report", "p")[1]
    refused(tte("compile", DIGITS, "--board", "cortex-m4", "-o", "q", "--sram", "5K"), "1024 beside the stack")


def test_run_of_a_model_leaves_nothing(tte: Call) -> None:
    usable("host")
    code, out, err = tte("run", DIGITS)
    assert (code, err) == (0, "")
    assert "logits_dq: float32[1, 10]" in out
    assert list(Path().iterdir()) == []
    assert json.loads(tte("run", DIGITS, "--json", "--io", "quantized")[1])["instructions"] is None


def test_io_and_fast_numerics(tte: Call) -> None:
    usable("host")
    for i, options in enumerate(([], ["--io", "quantized"], ["--io", "caller"], ["--io", "quantized,rows"])):
        tte("compile", DIGITS, "--board", "host", "-o", f"p{i}", "--no-build", *options)
        code, _, err = tte("run", f"p{i}", "--seed", "3", "--output", f"y{i}.npy")
        assert (code, err) == (0, "")
        np.testing.assert_array_equal(np.load(f"y{i}.npy"), np.load("y0.npy"))
    assert "host graph infer.before" in Path("p1/module.txt").read_text()
    tte("compile", DIGITS, "--board", "host", "-o", "fast", "--no-build", "--numerics", "fast", "--trace", "trace")
    assert "conv(rounding=" not in Path("fast/module.txt").read_text()
    assert "rounding=single" in Path("fast/module.txt").read_text()
    assert [p.name for p in Path("trace").iterdir() if "fast_numerics" in p.name]


def test_a_project_is_replaced_but_nothing_else(tte: Call) -> None:
    build = ("compile", DIGITS, "--no-build", "--board")
    assert tte(*build, "host", "-o", "p")[0] == 0
    assert tte(*build, "cortex-m3", "-o", "p")[0] == 0
    assert "arm-none-eabi-gcc" in Path("p/Makefile").read_text()
    Path("p/build/model").mkdir(parents=True)
    Path("p/build/model/main.o").touch()
    assert tte(*build, "host", "-o", "p")[0] == 0
    Path("p/app.c").write_text("mine")
    refused(tte(*build, "host", "-o", "p"), "app.c", "did not write")
    assert Path("p/app.c").read_text() == "mine"
    Path("mine").mkdir()
    assert tte(*build, "host", "-o", "mine")[0] == 0
    Path("full").mkdir()
    Path("full/notes").write_text("mine")
    refused(tte(*build, "host", "-o", "full"), "full", "not empty")
    refused(tte(*build, "host", "-o", "full/notes"), "is a file")
    assert sorted(p.name for p in Path().iterdir()) == ["full", "mine", "p"]


def test_models_that_are_none(tte: Call) -> None:
    Path("empty.onnx").touch()
    Path("text.tflite").write_text("not a model")
    Path("text.onnx").write_text("not a model")
    Path("x.pb").touch()
    Path("folder").mkdir()
    for model, words in (
        ("no.onnx", "no such file"),
        ("empty.onnx", "empty"),
        ("x.pb", ".tflite, .onnx"),
        ("folder", "director"),
        ("text.onnx", "text"),
        ("text.tflite", "text"),
    ):
        refused(tte("compile", model, "--board", "host", "-o", "p"), model.split(".")[0], words)
        refused(tte("run", model), words)
    assert not Path("p").exists()


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["frobnicate"], "No such command"),
        (["compile", DIGITS, "-o", "p"], "--board"),
        (["compile", DIGITS, "--board", "cortex-m99", "-o", "p"], "known: aarch64"),
        (["compile", DIGITS, "--board", "../host", "-o", "p"], "known: aarch64"),
        (["compile", DIGITS, "--board", "host", "-o", "p", "--io", "float"], "known: caller"),
        (["compile", DIGITS, "--board", "host", "-o", "p", "--memory", "tiny"], "known: fast"),
        (["compile", DIGITS, "--board", "host", "-o", "p", "--numerics", "wrong"], "known: exact"),
        (["compile", DIGITS, "--board", "host", "-o", "/proc/nowhere/p"], "/proc"),
        (["compile", DIGITS, "--board", "cortex-m4", "-o", "p", "--sram", "many"], "such as 128K"),
        (["compile", DIGITS, "--board", "cortex-m4", "-o", "p", "--sram", "1K"], "1024 bytes"),
        (["compile", DIGITS, "--board", "host", "-o", "p", "--sram", "4K"], "no limit"),
        (["run", DIGITS, "--mean", "a"], "--mean"),
        (["report", "nowhere"], "nowhere"),
        (["run", "nowhere"], "no such file"),
    ],
)
def test_wrong_command_lines(tte: Call, argv: list[str], words: str) -> None:
    refused(tte(*argv), words)
    assert list(Path().iterdir()) == []


def test_wrong_inputs(tte: Call) -> None:
    usable("host")
    tte("compile", DIGITS, "--board", "host", "-o", "p")
    np.save("double.npy", np.zeros((1, 1, 8, 8)))
    assert tte("run", "p", "--input", "double.npy")[0] == 0
    np.save("flat.npy", np.zeros(64, np.float32))
    np.save("int.npy", np.zeros((1, 1, 8, 8), np.int8))
    np.save("object.npy", np.array([{}]), allow_pickle=True)
    np.savez("many.npz", np.zeros(1))
    Path("many.npz").rename("many.npy")
    Path("text.npy").write_text("text")
    Path("text.png").write_text("text")
    Image.new("L", (9, 8)).save("wide.png")
    for name, words in (
        ("flat.npy", "float32[1, 1, 8, 8]"),
        ("int.npy", "int8[1, 1, 8, 8]"),
        ("object.npy", "object.npy"),
        ("many.npy", "one array"),
        ("text.npy", "not a .npy"),
        ("text.png", "image"),
        ("wide.png", "9 x 8"),
        ("none.png", "no such file"),
    ):
        refused(tte("run", "p", "--input", name), words)
    refused(tte("run", "p", *["--input", "double.npy"] * 2), "has 1 inputs, not 2")
    refused(tte("run", "p", *["--output", "y.npy"] * 2), "has 1 outputs, not 2")
    refused(tte("run", "p", "--board", "cortex-m4"), "compiled for host")
    refused(tte("run", "p", "--io", "quantized"), "is compiled")


def test_an_image_is_scaled_as_documented(tte: Call) -> None:
    usable("host")
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    Image.fromarray(pixels).save("x.png")
    real = pixels.reshape(1, 1, 8, 8).astype(np.float32) / np.float32(255)
    for name, value in (("a.npy", real), ("b.npy", (real - np.float32(0.5)) / np.float32(0.25))):
        np.save(name, value)
    tte("compile", DIGITS, "--board", "host", "-o", "p")
    for image, array in ((["x.png"], "a.npy"), (["x.png", "--mean", "0.5", "--std", "0.25"], "b.npy")):
        first = tte("run", "p", "--json", "--input", *image)[1]
        assert json.loads(first)["outputs"] == json.loads(tte("run", "p", "--json", "--input", array)[1])["outputs"]


def test_a_model_that_does_not_fit(tte: Call) -> None:
    usable("cortex-m4")
    dense("wide.onnx", 1, 200_000)
    refused(tte("compile", "wide.onnx", "--board", "cortex-m4", "-o", "p"), "wide", "bytes of sram", "x 800000")
    dense("heavy.onnx", 1, 500, n=600)
    refused(tte("compile", "heavy.onnx", "--board", "cortex-m4", "-o", "p"), "bytes of flash", "1048576")
    dense("tight.onnx", 1, 500, n=523)
    refused(tte("compile", "tight.onnx", "--board", "cortex-m4", "-o", "p"), "too large for flash")
    assert not Path("p").exists()
    assert not [p for p in Path().iterdir() if p.suffix != ".onnx"]


def test_faults_of_ours_are_one_line_and_leave_nothing(tte: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(error: BaseException) -> Callable[..., None]:
        def compile_model(*_: object) -> None:
            raise error

        return compile_model

    for error, code in ((InternalError("here", "two\nlines"), 1), (KeyError("x"), 1), (KeyboardInterrupt(), 130)):
        monkeypatch.setattr(session, "compile_model", broken(error))
        refused(tte("compile", DIGITS, "--board", "host", "-o", "p"), code=code)
        assert list(Path().iterdir()) == []


def test_without_tools_it_compiles_all_the_same(tte: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "missing_tools", lambda _: ("gcc",))
    code, out, err = tte("compile", DIGITS, "--board", "hexagon", "-o", "p", "--json")
    assert code == 0
    assert json.loads(out)["flash_bytes"] is None
    assert "tte doctor" in err


def test_progress_after_two_seconds(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(console, "PATIENCE", 0.01)
    with console.progress("counting sheep"):
        console.threading.Event().wait(0.1)
    assert "counting sheep" in capsys.readouterr().err


def test_lists(tte: Call) -> None:
    told = json.loads(tte("boards", "--json")[1])["boards"]
    assert [b["name"] for b in told] == list(boards())
    assert "cortex-m55" in tte("boards")[1]
    ops = json.loads(tte("ops", "--json")[1])["ops"]
    assert {"conv", "linear", "softmax"} <= {op["name"] for op in ops}
    assert all(op["doc"] for op in ops)
    assert "linear" in tte("ops")[1]


def test_doctor_names_one_command(tte: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(folder: Path, board: Board) -> Path:
        raise InternalError(board.name, "broken")

    monkeypatch.setattr("tte.cli.about.missing_tools", lambda b: ("cc",) if b.name in {"hexagon", "riscv32"} else ())
    monkeypatch.setattr("tte.cli.about.build", build)
    told = json.loads(tte("doctor", "--json")[1])
    trouble = {b["name"]: b["trouble"] for b in told["boards"]}
    assert trouble["hexagon"] == "missing: cc"
    assert "broken" in trouble["host"]
    assert {"clang-19", "gcc-riscv64-unknown-elf", "qemu-user", "gcc"} <= set(told["install"].split())


def test_words_of_options_are_those_of_the_driver() -> None:
    for word in ("fast", "balanced", "smallest"):
        assert cli_options.options(None, word, None, None).memory == word
