"""Quantisation folds into ops: text in, text out. What it computes is held against ONNX Runtime in tests/ops."""

from __future__ import annotations

import numpy as np
import pytest

from tte.driver import run_passes
from tte.passes.quantize.fold_qdq import fold_qdq
from tte.passes.simplify.dce import dce
from tte.target import load_board
from tte.text import parse
from tte.types import Array

W = np.array([[1, -2], [3, 4], [-5, 6]], np.int8)
B = np.array([7, 8, -(2**31)], np.int32)
LAYER = """state w: s8[3,2]{(0.5, 0.25, 4e-09), zero 0, axis 0} in flash
state b: s32[3]{(BIAS), zero 0, axis 0} in flash
graph infer(x: s8[1,2]{0.5, zero 1})
  xr: f32[1,2] = dequantize x
  wr: f32[3,2] = dequantize w
  br: f32[3] = dequantize b
  y: f32[1,3] = linear(low=0.0) xr, wr, br
"""


def lines(before: str, constants: dict[str, Array] | None = None) -> list[str]:
    module = run_passes(parse("module m\n" + before, constants or {}), load_board("host"), (fold_qdq, dce))
    return [line.strip() for line in str(module.graph("infer")).splitlines()[1:]]


def test_a_layer_between_quantisers_is_one_of_integers() -> None:
    before = LAYER.replace("BIAS", "0.25, 0.125, 2e-09") + (
        "  q: s8[1,3]{0.1, zero -3} = quantize(out={0.1, zero -3}, rounding=onnx) y\n  return q"
    )
    assert lines(before, {"w": W, "b": B}) == [
        "q: s8[1,3]{0.1, zero -3} = linear(low=0.0, out={0.1, zero -3}, rounding=onnx) x, w, b",
        "return q",
    ]


def test_a_layer_whose_float_is_read_dequantises_itself() -> None:
    before = LAYER.replace("BIAS", "0.25, 0.125, 2e-09") + "  return y"
    assert lines(before, {"w": W, "b": B}) == ["y: f32[1,3] = linear(low=0.0) x, w, b", "return y"]


def test_a_bias_of_another_scale_stays_float() -> None:
    before = LAYER.replace("BIAS", "0.25, 0.126, 2e-09") + (
        "  q: s8[1,3]{0.1, zero -3} = quantize(out={0.1, zero -3}, rounding=onnx) y\n  return q"
    )
    assert [line.split(" = ")[-1].split(" ")[0].split("(")[0] for line in lines(before, {"w": W, "b": B})] == [
        *["dequantize"] * 3,
        "linear",
        "quantize",
        "return",
    ]


def test_a_pair_of_quantisers_is_nothing_or_a_change_of_scale() -> None:
    before = """graph infer(x: s8[4]{0.5, zero 1})
  r: f32[4] = dequantize x
  a: s8[4]{0.5, zero 1} = quantize(out={0.5, zero 1}, rounding=onnx) r
  b: s8[4]{0.1, zero 0} = quantize(out={0.1, zero 0}, rounding=onnx) r
  c: s8[2,2]{0.5, zero 1} = reshape(shape=(2, 2)) a
  return b, c, a"""
    assert lines(before) == [
        "a: s8[4]{0.5, zero 1} = reshape(shape=(4)) x",  # an output must be computed
        "b: s8[4]{0.1, zero 0} = requantize(out={0.1, zero 0}, rounding=onnx) x",
        "c: s8[2,2]{0.5, zero 1} = reshape(shape=(2, 2)) a",
        "return b, c, a",
    ]


def test_what_is_read_as_float_too_is_not_computed_twice() -> None:
    before = """graph infer(x: s8[4]{0.5, zero 1})
  r: f32[4] = dequantize x
  y: f32[4] = add r, r
  q: s8[4]{2.0, zero 0} = quantize(out={2.0, zero 0}, rounding=onnx) y
  return q, y"""
    assert [line.split(" = ")[-1] for line in lines(before)] == [
        "dequantize x",
        "add r, r",
        "quantize(out={2.0, zero 0}, rounding=onnx) y",
        "return q, y",
    ]


@pytest.mark.parametrize(("value", "op"), [(0.0, "pad"), (0.3, "requantize")])
def test_a_border_moves_only_if_it_is_exact(value: float, op: str) -> None:
    """0.3 is no multiple of 0.5: the border takes the scale of the result."""
    before = f"""graph infer(x: s8[4]{{0.5, zero 1}})
  r: f32[4] = dequantize x
  y: f32[6] = pad(before=(1), after=(1), value={value}) r
  q: s8[6]{{0.1, zero 0}} = quantize(out={{0.1, zero 0}}, rounding=onnx) y
  return q"""
    first, second, _ = lines(before)
    assert first.split(" = ")[1].startswith(op)
    assert second.split(" = ")[1].startswith("requantize" if op == "pad" else "pad(before=(1), after=(1), value=0.3")


def test_litert_is_left_alone() -> None:
    before = """graph infer(x: s8[4]{0.5, zero 1})
  r: f32[4] = dequantize x
  q: s8[4]{0.1, zero 0} = quantize(out={0.1, zero 0}) r
  return q"""
    assert lines(before) == [line.strip() for line in before.splitlines()[1:]]


def test_sums_are_not_moved_as_integers() -> None:
    """No kernel joins s32; a view of them costs nothing."""
    before = """graph infer(x: s32[2,3]{0.3, zero 0})
  xr: f32[2,3] = dequantize x
  flat: f32[6] = reshape(shape=(6,)) xr
  y: f32[4,3] = concat(axis=0) xr, xr
  return flat, y"""
    moved = lines(before)
    assert "y: f32[4,3] = concat(axis=0) xr, xr" in moved
    assert not [line for line in moved if line.startswith("flat: f32[6] = reshape")]
