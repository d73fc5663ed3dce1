"""The printed form of a module reads back to the same module; what does not read is an error in words."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tte.errors import BadModel
from tte.ir import Builder, Module
from tte.op import Op
from tte.ops import all_ops
from tte.ops.add import Add
from tte.ops.linear import Linear
from tte.store import ARRAYS, TEXT, arrays, files, load
from tte.text import parse
from tte.types import DType, Quant, Rounding, TensorType


def same(module: Module) -> None:
    again = parse(str(module), arrays(module))
    assert str(again) == str(module)
    assert (again.name, again.graphs, again.host) == (module.name, module.graphs, module.host)
    for a, b in zip(again.states, module.states, strict=True):
        assert (a.value, a.storage) == (b.value, b.storage)
        np.testing.assert_array_equal(a.init, b.init)
    assert files(again) == files(module)


@pytest.mark.parametrize("op", all_ops().values(), ids=all_ops())
def test_every_op_reads_back(op: type[Op]) -> None:
    for i, e in enumerate(op.examples()):
        b = Builder("infer")
        values = [b.input(f"x{i}", t) for i, t in enumerate(e.ins)]
        same(Module(f"m{i}", (), (b.finish(*b.emit(e.op, *values)),)))


def model(source: str = "the layer/weights:0", n: int = 40) -> Module:
    scales = tuple(np.random.default_rng(1).random(n) * 10.0 ** np.arange(-n, 0))
    b = Builder("infer")
    x = b.input(source, TensorType((1, 3), DType.S8, Quant((1 / 3,), -5)))
    w = b.constant(source, TensorType((n, 3), DType.S8, Quant(scales, 0, 0)), np.ones((n, 3), np.int8))
    bias = b.constant("b", TensorType((n,), DType.S32), np.arange(n, dtype=np.int32))
    layer = Linear(low=-1.5, high=math.inf, out=Quant((4e-9,), 127), rounding=Rounding.ONNX)
    (y,) = b.emit(layer, x, w, bias, name=source, source=source)
    before = Builder("infer.before")
    a = before.input("a", TensorType((1, 3), DType.F32))
    return Module("net", tuple(b.states), (b.finish(y),), (before.finish(*before.emit(Add(), a, a)),))


@pytest.mark.parametrize(
    "source", ["conv1/Relu:0", 'quo"te', "*/ int x; /*", "/*/", "tab\t\nline", "\u4e2d\\", "", "in"]
)
def test_any_name_reads_back_and_fits_a_comment(source: str) -> None:
    module = model(source)
    same(module)
    text = str(module)
    assert "*/" not in text
    assert "/*" not in text
    assert text.isascii()
    assert parse(text, arrays(module)).graph("infer").nodes[0].source == source


def test_scales_keep_their_bits() -> None:
    module = model()
    again = parse(str(module), arrays(module))
    assert again.states[0].value.type == module.states[0].value.type


def test_a_stored_module_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    for name, data in files(model()).items():
        assert data == files(model())[name]
        (tmp_path / name).write_bytes(data)
    assert str(load(tmp_path)) == str(model())
    (tmp_path / ARRAYS).write_bytes(b"PK")
    with pytest.raises(BadModel, match="cannot be read"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("module", "modul", "line 1: expected 'module'"),
        ("linear", "linnear", "there is no op 'linnear'"),
        ("low=", "lo=", "there is no attribute 'lo'"),
        ("rounding=onnx", "rounding=up", "cannot read 'up'"),
        ("s8[", "s7[", "there is no element type 's7'"),
        (" in flash", " in air", "there is no storage 'air'"),
        ("in flash", "in flash flash", "does not end where it should"),
        ("[1,3]", "[1,?]", "cannot read"),
        ("[1,3]", "[1,3.5]", "is not an integer"),
        ("return", "retrun", "has no return|expected"),
        ("scales x", "scales y", "is not among the constants"),
        ("zero 127", "zero 127 127", "expected '}'"),
    ],
)
def test_what_does_not_read_is_an_error_in_words(old: str, new: str, words: str) -> None:
    module = model()
    assert old in str(module)
    with pytest.raises(BadModel, match=words):
        parse(str(module).replace(old, new), arrays(module))


def test_every_cut_is_an_error_in_words() -> None:
    module = model()
    text, constants = str(module), arrays(module)
    for end in range(text.index("graph") + 1, len(text) - 2):
        try:
            parse(text[:end], constants)
        except BadModel:
            continue
        assert text[:end].splitlines()[-1].startswith("  return"), text[:end]
    assert TEXT == "module.txt"
