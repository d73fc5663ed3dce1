"""Passes that simplify: text in, text out, and the meaning stays."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tte.driver import SIMPLIFY, Pass, run_passes
from tte.interp import interpret
from tte.ir import Builder, Module
from tte.ops.add import Add
from tte.ops.clamp import Clamp
from tte.ops.conv import Conv
from tte.ops.linear import Linear
from tte.ops.mul import Mul
from tte.ops.reshape import Reshape
from tte.ops.transpose import Transpose
from tte.passes.simplify.cancel_transposes import cancel_transposes
from tte.passes.simplify.dce import dce
from tte.passes.simplify.fold_constants import fold_constants
from tte.passes.simplify.fuse_activation import fuse_activation
from tte.passes.simplify.merge_affine import merge_affine
from tte.target import load_board
from tte.text import parse
from tte.types import Array, DType, TensorType, Value

HOST = load_board("host")
F32 = DType.F32


def lines(before: str, rewrite: Pass, constants: dict[str, Array] | None = None) -> list[str]:
    """The body of `infer` after a pass and dce."""
    module = run_passes(parse("module m\n" + before, constants or {}), HOST, (rewrite, dce))
    return [line.strip() for line in str(module.graph("infer")).splitlines()[1:]]


def test_transposes_cancel_and_views_merge() -> None:
    before = """graph infer(x: f32[1,2,3,4])
  a: f32[1,3,4,2] = transpose(perm=(0, 2, 3, 1)) x
  b: f32[1,2,3,4] = transpose(perm=(0, 3, 1, 2)) a
  c: f32[6,4] = reshape(shape=(6, 4)) b
  d: f32[2,12] = reshape(shape=(2, 12)) c
  e: f32[2,12] = clamp(low=0.0) d
  f: f32[12,2] = transpose(perm=(1, 0)) e
  g: f32[1,12,2] = reshape(shape=(1, 12, 2)) f
  return g"""
    assert lines(before, cancel_transposes) == [
        "d: f32[2,12] = reshape(shape=(2, 12)) x",
        "e: f32[2,12] = clamp(low=0.0) d",
        "f: f32[12,2] = transpose(perm=(1, 0)) e",
        "g: f32[1,12,2] = reshape(shape=(1, 12, 2)) f",
        "return g",
    ]


def test_a_transpose_of_single_elements_is_a_view() -> None:
    before = """graph infer(x: f32[1,5,1,1])
  y: f32[1,1,1,5] = transpose(perm=(0, 2, 3, 1)) x
  return y"""
    assert lines(before, cancel_transposes) == ["y: f32[1,1,1,5] = reshape(shape=(1, 1, 1, 5)) x", "return y"]


def test_a_clamp_joins_the_op_before_unless_that_is_read() -> None:
    before = """graph infer(x: f32[4])
  a: f32[4] = add(low=-1.0) x, x
  b: f32[4] = clamp(low=0.0, high=6.0) a
  c: f32[4] = mul b, b
  d: f32[4] = clamp(low=0.0) c
  return d, c"""
    assert lines(before, fuse_activation) == [
        "b: f32[4] = add(low=0.0, high=6.0) x, x",
        "c: f32[4] = mul b, b",
        "d: f32[4] = clamp(low=0.0) c",
        "return d, c",
    ]


def test_what_depends_on_constants_becomes_one() -> None:
    before = """state k: f32[2,3] in flash
graph infer(x: f32[3,2])
  t: f32[3,2] = transpose(perm=(1, 0)) k
  u: f32[3,2] = add t, t
  y: f32[3,2] = add x, u
  z: f32[3,2] = clamp(low=0.0) t
  return y, z"""
    module = parse("module m\n" + before, {"k": np.arange(6, dtype=np.float32).reshape(2, 3)})
    after = run_passes(module, HOST, (fold_constants, dce))
    assert [n.op.label() for n in after.graph("infer").nodes] == ["add", "clamp"]  # what is returned stays computed
    found = {s.value.name: s.init for s in after.states}
    np.testing.assert_array_equal(found[after.graph("infer").nodes[0].ins[1].name], 2 * np.arange(6).reshape(2, 3).T)


def network(seed: int) -> Module:
    """Float layers with factors, clamps, views and transposes in any order."""
    rng = np.random.default_rng(seed)
    b = Builder("infer")

    def const(*shape: int) -> Value:
        return b.constant("k", TensorType(shape, F32), rng.standard_normal(shape).astype(np.float32))

    made = [b.input("x", TensorType((1, 4, 4, 3), F32))]
    for _ in range(12):
        v = made[-1 if rng.random() < 0.8 else int(rng.integers(len(made)))]
        c, n = v.type.shape[-1], v.type.size
        match int(rng.integers(8)):
            case 0 if len(v.type.shape) == 4 and v.type.shape[0] == 1:
                new = b.emit(Conv(), v, const(c, 1, 1, 1), const(c))
            case 1 if len(v.type.shape) == 4 and v.type.shape[0] == 1:
                new = b.emit(Conv(pads=(1, 1, 1, 1)), v, const(3, 3, 3, c), const(3))
            case 2:
                new = b.emit(Linear(), *b.emit(Reshape((n // c, c)), v), const(4, c), const(4))
            case 3:
                new = b.emit(Clamp(float(rng.normal()) - 1, math.inf if rng.random() < 0.5 else 1.0), v)
            case 4:
                new = b.emit(Transpose(tuple(map(int, rng.permutation(len(v.type.shape))))), v)
            case 5:
                new = b.emit(Reshape(((1, n // c, 1, c), (n, 1), (1, 1, n, 1))[int(rng.integers(3))]), v)
            case 6:
                new = b.emit(Add(), v, const(*v.type.shape))
            case _:
                new = b.emit(Mul(-9.0, 9.0), v, v)
        made += new
    outs = list(dict.fromkeys([made[-1], made[int(rng.integers(1, len(made)))]]))
    return Module("m", tuple(b.states), (b.finish(*outs),))


@pytest.mark.parametrize("seed", range(40))
def test_the_meaning_stays(seed: int) -> None:
    """Bit for bit, but for factors that move into weights."""
    module = network(seed)
    x = {"x": np.random.default_rng(seed).standard_normal((1, 4, 4, 3)).astype(np.float32)}
    wanted, _ = interpret(module.graph("infer"), x, {s.value.name: s.init for s in module.states})
    for passes, exact in (
        ((cancel_transposes, fuse_activation, fold_constants), True),
        ((merge_affine,), False),
        (SIMPLIFY, False),
    ):
        after = run_passes(module, HOST, passes)
        got, _ = interpret(after.graph("infer"), x, {s.value.name: s.init for s in after.states})
        for ours, theirs in zip(got.values(), wanted.values(), strict=True):
            scale = 0.0 if exact else 1e-4 * float(np.abs(theirs).max())
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=scale)


def test_factors_move_into_the_layer_before() -> None:
    rng = np.random.default_rng(0)
    shapes = {"w": (4, 3, 3, 3), "b": (4,), "f": (4, 1, 1, 1), "o": (4,)}
    constants = {k: rng.standard_normal(s).astype(np.float32) for k, s in shapes.items()}
    states = "\n".join(f"state {k}: f32[{','.join(map(str, s))}] in flash" for k, s in shapes.items())
    before = f"""{states}
graph infer(x: f32[1,5,5,3])
  y: f32[1,3,3,4] = conv x, w, b
  z: f32[1,3,3,4] = conv(low=0.0) y, f, o
  u: f32[1,3,3,4] = clamp(high=1.0) z
  return u"""
    first, *rest = lines(before, merge_affine, constants)
    assert first.startswith("y: f32[1,3,3,4] = conv(low=0.0) x, ")
    assert rest == ["u: f32[1,3,3,4] = clamp(high=1.0) y", "return u"]
