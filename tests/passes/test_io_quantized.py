"""`--io quantized`: what moves to the host, and that the whole still means the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tte.driver import Options, compile_model, run_passes
from tte.ends import after, before, own_inputs, own_outputs
from tte.errors import BadModel
from tte.interp import interpret
from tte.ir import Builder, Module, verify
from tte.ops.add import Add
from tte.ops.dequantize import Dequantize
from tte.ops.quantize import Quantize
from tte.ops.requantize import Requantize
from tte.ops.reshape import Reshape
from tte.ops.transpose import Transpose
from tte.passes.quantize.io_quantized import io_quantized
from tte.passes.simplify.dce import dce
from tte.target import load_board
from tte.types import DType, Quant, TensorType, Value

HOST = load_board("host")
A, B = Quant((0.05,), 3), Quant((0.1,), -7)
NHWC, NCHW = (0, 2, 3, 1), (0, 3, 1, 2)


def image() -> Module:
    """A float NCHW image in, float NCHW out, and the sum in s8 between."""
    b = Builder("infer")
    x = b.input("x", TensorType((1, 3, 4, 5), DType.F32))
    (q,) = b.emit(Quantize(A), *b.emit(Transpose(NHWC), x), name="q")
    (s,) = b.emit(Add(out=B), q, q, name="s")
    (y,) = b.emit(Transpose(NCHW), *b.emit(Dequantize(), s, name="d"), name="y")
    return Module("m", (), (b.finish(y),))


def test_the_device_takes_and_gives_nhwc_in_s8() -> None:
    module = dce(io_quantized(image(), HOST), HOST)
    assert (
        str(module)
        == """module m
graph infer(q: s8[1,4,5,3]{0.05, zero 3})
  s: s8[1,4,5,3]{0.1, zero -7} = add(out={0.1, zero -7}) q, q
  return s
host graph infer.before(x: f32[1,3,4,5])
  transpose: f32[1,4,5,3] = transpose(perm=(0, 2, 3, 1)) x
  q: s8[1,4,5,3]{0.05, zero 3} = quantize(out={0.05, zero 3}) transpose
  return q
host graph infer.after(s: s8[1,4,5,3]{0.1, zero -7})
  d: f32[1,4,5,3] = dequantize s
  y: f32[1,3,4,5] = transpose(perm=(0, 3, 1, 2)) d
  return y
"""
    ), module


def test_arena_shrinks_to_bytes() -> None:
    plans = [compile_model(image(), HOST, Options(io=frozenset(io))).plan for io in ((), ("quantized",))]
    assert [p.arena for p in plans] == [2 * 4 * 60, 64]


@st.composite
def modules(draw: st.DrawFn) -> Module:
    """Conversions at the ends, at times read by others, given out in the middle, or without anything behind them."""
    b = Builder("infer")
    kinds = {"f32": TensorType((1, 2, 3, 4), DType.F32), "u8": TensorType((1, 2, 3, 4), DType.U8, Quant((0.05,), 131))}
    values: list[Value] = []
    for i in range(draw(st.integers(1, 2))):
        values.append(b.input(f"x{i}", kinds[draw(st.sampled_from(sorted(kinds)))]))
    made: list[Value] = []
    for _ in range(draw(st.integers(1, 9))):
        x = draw(st.sampled_from(values[-3:]))
        match x.type.dtype, draw(st.sampled_from(["convert", "move", "shape", "compute"])):
            case DType.F32, "convert":
                made += b.emit(Quantize(draw(st.sampled_from((A, B)))), x)
            case DType.S8, "convert":
                to = draw(st.sampled_from((Dequantize(), Requantize(B), Requantize(A, dtype=DType.U8))))
                made += b.emit(to, x)
            case DType.U8, _:
                made += b.emit(Requantize(A), x)
            case _, "move":
                made += b.emit(Transpose(draw(st.sampled_from((NHWC, NCHW)))), x)
            case _, "shape":
                made += b.emit(Reshape(x.type.shape[::-1]), x)
            case dtype, _:
                made += b.emit(Add(out=A if dtype is DType.S8 else None), x, x)
        values.append(made[-1])
    outs = draw(st.lists(st.sampled_from(made[-4:]), min_size=1, max_size=3, unique=True))
    return Module("m", (), (b.finish(*outs),))


@settings(deadline=None)
@given(modules(), st.booleans())
def test_the_meaning_stays(module: Module, twice: bool) -> None:
    rng = np.random.default_rng(0)
    graph = module.graph("infer")
    given_ = tuple(rng.integers(0, 99, v.type.shape).astype(v.type.dtype.numpy) for v in graph.ins)
    expected, _ = interpret(graph, {v.name: a for v, a in zip(graph.ins, given_, strict=True)}, {})
    moved = run_passes(module, HOST, (io_quantized, dce, *((io_quantized,) if twice else ())))
    assert own_inputs(moved) == graph.ins
    assert own_outputs(moved) == graph.outs
    device = moved.graph("infer")
    through, _ = interpret(device, {v.name: a for v, a in zip(device.ins, before(moved, given_), strict=True)}, {})
    results = after(moved, tuple(through[v.name] for v in device.outs))
    for value, result in zip(graph.outs, results, strict=True):
        np.testing.assert_array_equal(result, expected[value.name])


def test_host_graphs_are_verified() -> None:
    module = io_quantized(image(), HOST)
    for graph in module.host:
        wrong = replace(graph, ins=()), replace(graph, nodes=()), replace(graph, name="infer.elsewhere")
        for g in wrong:
            with pytest.raises(BadModel):
                verify(replace(module, host=(g,)))
