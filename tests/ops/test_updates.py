"""Updates against torch.optim, exact fractions and statistics; their C kernels are held to them by the examples."""

from __future__ import annotations

import math
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from tte.arith import random, stepping
from tte.codegen.project import RUNTIME
from tte.driver import Options, compile_model
from tte.errors import BadModel
from tte.interp import interpret
from tte.ir import Builder, Module, verify
from tte.ops.add import Add
from tte.ops.dequantize import Dequantize
from tte.ops.master_update import MasterUpdate
from tte.ops.residual_update import ResidualUpdate
from tte.ops.tick import Tick
from tte.ops.update import Update
from tte.running.emulate import build, infer
from tte.training.learning import Learning, Optimizer, Rule, emit_update
from tte.types import Array, DType, Quant, TensorType

F32, S8, S16, S32 = DType.F32, DType.S8, DType.S16, DType.S32
CLOCK = np.array([3, 17], np.int32)


def uniform(step: int, seed: int, number: int, size: int) -> Array:
    return random.bits(random.key(step, seed, number), size) / 2**32


@pytest.mark.parametrize(("step", "seed", "number"), [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (999, -5, 2**31 - 1)])
def test_random_bits_are_uniform(step: int, seed: int, number: int) -> None:
    n, cells = 2**18, 256
    bits = random.bits(random.key(step, seed, number), n)
    for shift in (0, 8, 16, 24):
        counts = np.bincount(bits >> shift & 255, minlength=cells)
        chi2 = ((counts - n / cells) ** 2 / (n / cells)).sum()
        assert abs(chi2 - (cells - 1)) < 6 * math.sqrt(2 * (cells - 1)), shift


def test_random_bits_are_independent() -> None:
    """Over steps, seeds, numbers and neighbouring elements; of each pair of bits too."""
    n = 2**14
    rows = [uniform(s, d, k, n) for s in range(8) for d in range(3) for k in range(3)]
    related = np.corrcoef(np.array(rows)) - np.eye(len(rows))
    assert abs(related).max() < 6 / math.sqrt(n)
    for lag in (1, 2, 3, 4, 8, 64, 100, 1024):
        assert abs(np.corrcoef(rows[0][lag:], rows[0][:-lag])[0, 1]) < 6 / math.sqrt(n), lag
    steps = np.array([uniform(s, 1, 2, 4) for s in range(n)])
    assert abs(np.corrcoef(steps[1:, 0], steps[:-1, 0])[0, 1]) < 6 / math.sqrt(n)
    assert abs(np.corrcoef(steps.T) - np.eye(4)).max() < 6 / math.sqrt(n)
    flipped = [random.bits(random.key(s ^ 1, 0, 0), n) ^ random.bits(random.key(s, 0, 0), n) for s in (0, 6, 1000)]
    for changed in np.concatenate(flipped).reshape(3, n):
        assert abs((changed[:, None] >> np.arange(32, dtype=np.uint32) & 1).mean(0) - 0.5).max() < 3 / math.sqrt(n)


def test_keys_differ() -> None:
    found = {random.key(step, seed, number) for step in range(50) for seed in range(20) for number in range(50)}
    assert len(found) == 50 * 20 * 50


def test_a_stochastic_step_is_what_it_says() -> None:
    rng = np.random.default_rng(0)
    size = np.float32(10) ** rng.uniform(-12, 8, 4000).astype(np.float32)
    t = (rng.choice([-1, 1], 4000) * size).astype(np.float32)
    bits = rng.integers(0, 2**32, 4000, np.uint32)
    near = np.trunc(t[::2].astype(np.float64) % 1 * 2**32).astype(np.int64) + rng.integers(-2, 3, 2000)
    bits[::2] = near % 2**32  # where the result changes
    for x, u, got in zip(t, bits, stepping.stochastic(t, bits), strict=True):
        cut = Fraction(math.trunc(Fraction(float(x)) * 2**32), 2**32)
        assert got == math.floor(Fraction(int(u), 2**32) - cut), (x, u)


def test_stochastic_steps_are_right_on_average() -> None:
    """Over equally spaced u the mean of floor(u - t) is -t, to the spacing; so it is over random bits, to 6 sigma."""
    even = np.arange(2**16, dtype=np.uint32) << np.uint32(16)
    for t in (0, 1e-4, -1e-4, 0.3, -0.4999, 0.5, -0.5, 0.75, -1.25, 7.125, -1000.001):
        given = np.full(2**16, t, np.float32)
        assert abs(stepping.stochastic(given, even).mean() + float(np.float32(t))) <= 2**-16
        p = abs(t) % 1
        mean = stepping.stochastic(given, random.bits(random.key(1, 2, 3), 2**16)).mean()
        assert abs(mean + float(np.float32(t))) <= 6 * math.sqrt(p * (1 - p) / 2**16) + 1e-9, t


def test_steps_at_the_ends() -> None:
    given = np.float32([np.nan, np.inf, -np.inf, 1e30, -1e30, 0, -0.0])
    for bits in (0, 2**32 - 1):
        stepped = stepping.stochastic(given, np.full(7, bits, np.uint32))
        assert stepped.tolist() == [0, -(2**30), 2**30, -(2**30), 2**30, 0, 0]


def scaled(shape: tuple[int, ...], dtype: DType, seed: int = 0) -> tuple[TensorType, Array]:
    rng = np.random.default_rng(seed)
    scales = tuple(rng.uniform(1e-3, 0.1, shape[0]).tolist())
    w = rng.integers(-100, 100, shape).astype(dtype.numpy)
    return TensorType(shape, dtype, Quant(scales, 0, 0)), w


def step(op: Update, t: TensorType, w: Array, d: Array, rate: float, clock: Array = CLOCK) -> Array:
    types = t, TensorType(t.shape, F32), stepping.RATE, stepping.CLOCK
    return op.reference((w, d, np.array([rate], d.dtype), clock), types, op.results(*types))[0]


@pytest.mark.parametrize("dtype", [S8, S32])
def test_no_gradient_and_frozen_channels_move_nothing(dtype: DType) -> None:
    t, w = scaled((6, 3, 3, 5), dtype)
    w.flat[:3] = np.iinfo(dtype.numpy).min, np.iinfo(dtype.numpy).max, 0
    d = np.zeros(t.shape, np.float32)
    for k in range(20):
        np.testing.assert_array_equal(step(Update(k), t, w, d, 1.0), w)
    d[:] = 1e-3
    moved = step(Update(1, frozen=(0, 4)), t, w, d, 1.0)
    assert [bool((moved[c] != w[c]).any()) for c in range(6)] == [False, True, True, True, False, True]


def test_integers_saturate() -> None:
    for dtype, huge in ((S8, 1e5), (S32, 1e30)):
        ends = np.iinfo(dtype.numpy)
        t = TensorType((2,), dtype, Quant((1.0,)))
        w = np.array([ends.max - 5, ends.min + 5], dtype.numpy)
        moved = step(Update(), t, w, np.array([-huge, huge], np.float32), 1.0)
        assert moved.tolist() == [ends.max, ends.min]


def test_the_mean_of_an_update_is_the_exact_step() -> None:
    t, w = scaled((4, 1, 1, 6), S8)
    d = np.random.default_rng(1).normal(0, 0.3, t.shape).astype(np.float32)
    n, rate = 4000, 0.01
    total = np.zeros(t.shape)
    for k in range(n):
        total += step(Update(9), t, w, d, rate, np.array([k, 5], np.int32)).astype(np.float64) - w
    exact = rate * d.astype(np.float64) / np.asarray(t.scaling.scale).reshape(-1, 1, 1, 1)
    p = abs(exact) % 1
    assert (abs(total / n + exact) <= 5 * np.sqrt(p * (1 - p) / n) + 1e-6).all()


@pytest.mark.parametrize("qas", [True, False])
def test_quantization_aware_scaling_is_plain_descent_on_real_weights(qas: bool) -> None:
    """dq = rate * G_q / s**2 with G_q the gradient by the integer (RECIPES); without it, dq = rate * G_q."""
    t, w = scaled((5, 2, 2, 3), S8)
    s = torch.tensor(t.scaling.scale, dtype=torch.float64).reshape(-1, 1, 1, 1)
    rng = np.random.default_rng(2)
    x, q = torch.from_numpy(rng.normal(size=t.shape)), torch.tensor(w, dtype=torch.float64, requires_grad=True)
    torch.tanh((s * q * x).sum((1, 2, 3))).square().sum().backward()
    assert q.grad is not None
    real = (s * q).detach().requires_grad_()
    torch.tanh((real * x).sum((1, 2, 3))).square().sum().backward()
    assert real.grad is not None
    rate = np.array([0.37])
    steps = stepping.scaled(real.grad.numpy(), rate, stepping.factor(t, qas, ()))
    want = 0.37 * (q.grad / s**2 if qas else q.grad).numpy()
    np.testing.assert_allclose(steps, want, rtol=1e-12)
    if qas:
        np.testing.assert_allclose(s.numpy() * steps, 0.37 * real.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize(("rest", "bits"), [(S8, 8), (S16, 16)])
def test_a_residual_loses_nothing(rest: DType, bits: int) -> None:
    """w and r are one number of fixed point, which follows the sum of all steps, of those below its last bit too."""
    t, w = scaled((4, 1, 1, 600), S8)
    first, r = w.copy(), np.zeros(t.shape, rest.numpy)
    types = t, TensorType(t.shape, rest), TensorType(t.shape, F32), stepping.RATE, stepping.CLOCK
    op, rng, steps = ResidualUpdate(5), np.random.default_rng(3), 200
    total, scale = np.zeros(t.shape), np.asarray(t.scaling.scale).reshape(-1, 1, 1, 1)
    for number in range(steps):
        d = (scale / 2**bits * rng.normal(0.3, 0.1, t.shape)).astype(np.float32)  # a third of the last bit
        now = np.array([number, 0], np.int32)
        w, r = op.reference((w, r, d, np.float32([1]), now), types, op.results(*types))
        total += d / scale
    off = (w + r / 2**bits - (first - total)) * 2**bits
    deviation = 0.5 * np.sqrt(steps)  # at most, of a sum of so many random roundings
    assert abs(off).max() < 6 * deviation
    assert abs(off.mean()) < 6 * deviation / np.sqrt(off.size)


def test_a_residual_saturates() -> None:
    t = TensorType((2,), S8, Quant((1.0,)))
    types = t, TensorType((2,), S8), TensorType((2,), F32), stepping.RATE, stepping.CLOCK
    given = np.array([127, -128], np.int8), np.array([100, -100], np.int8), np.float32([-1e9, 1e9]), np.float32([1])
    w, r = ResidualUpdate().reference((*given, np.zeros(2, np.int32)), types, types[:2])
    assert (w.tolist(), r.tolist()) == ([127, -128], [127, -128])


def test_a_master_is_torch_s_float_weight() -> None:
    t, w = scaled((4, 1, 1, 6), S8)
    scale = torch.tensor(t.scaling.scale, dtype=torch.float64).reshape(-1, 1, 1, 1)
    real = torch.nn.Parameter(torch.from_numpy(w) * scale)
    descent = torch.optim.SGD([real], 0.02)
    types = t, TensorType(t.shape, F32), TensorType(t.shape, F32), stepping.RATE
    master, op, rng = w.astype(np.float64), MasterUpdate(), np.random.default_rng(4)
    for _ in range(50):
        d = rng.normal(0, 0.3, t.shape)
        real.grad = torch.from_numpy(d)
        descent.step()
        w, master = op.reference((w, master, d, np.array([0.02])), types, types[:2])
        want = (real.detach() / scale).numpy()
        np.testing.assert_allclose(master, want, rtol=1e-10, atol=1e-10)
        np.testing.assert_array_equal(w, np.rint(want).clip(-128, 127))


def trainer(learning: Learning, t: TensorType, init: Array) -> Module:
    """A graph that takes a gradient and moves w; it returns w as it was."""
    b = Builder("infer")
    w = b.state("w", t, init)
    rate = b.state("rate", stepping.RATE, np.array([learning.rate], np.float32))
    clock = b.state("clock", stepping.CLOCK, np.array([0, learning.seed], np.int32))
    g = b.input("g", TensorType(t.shape, F32))
    shown = b.emit(Dequantize(), w) if t.dtype is S8 else b.emit(Add(), w, g)
    pairs = emit_update(b, learning, b.states[0], g, rate, clock, 0)
    graph = b.finish(*shown, updates=(*pairs, (clock, b.emit(Tick(), clock)[0])))
    module = Module("trainer", tuple(b.states), (graph,))
    verify(module)
    return module


def torch_optimizer(learning: Learning, w: torch.nn.Parameter) -> torch.optim.Optimizer:
    if learning.optimizer == "adam":
        return torch.optim.Adam([w], learning.rate, (learning.beta1, learning.beta2), learning.eps)
    return torch.optim.SGD([w], learning.rate, learning.beta1 if learning.optimizer == "momentum" else 0)


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize(("kind", "tolerance"), [(np.float64, 1e-7), (np.float32, 3e-5)])
def test_float_weights_follow_torch(
    optimizer: Optimizer, accumulate: int, kind: type[np.floating], tolerance: float
) -> None:
    """In f64 all but the learning rate, which is given as f32 here, is exact."""
    learning = Learning(optimizer=optimizer, accumulate=accumulate, rate=0.0625)
    rng = np.random.default_rng(5)
    t = TensorType((4, 3), F32)
    module = trainer(learning, t, rng.normal(size=t.shape).astype(np.float32))
    states: dict[str, Array] = {s.value.name: s.init for s in module.states}
    states = {k: v.astype(kind) if v.dtype.kind == "f" else v for k, v in states.items()}
    w = torch.nn.Parameter(torch.from_numpy(states["w"].astype(np.float64)))
    descent = torch_optimizer(learning, w)
    for i in range(30):
        g = rng.normal(size=t.shape)
        w.grad = (w.grad if i % accumulate else torch.zeros_like(w)) + torch.from_numpy(g) / accumulate
        if i % accumulate == accumulate - 1:
            descent.step()
        _, states = interpret(module.graphs[0], {"g": g.astype(kind)}, states)
        np.testing.assert_allclose(states["w"], w.detach().numpy(), rtol=tolerance, atol=tolerance)
    assert states["clock"].tolist() == [30, 0]


def test_kept_states_are_those_that_are_needed() -> None:
    t, w = scaled((4, 6), S8)

    def kept(learning: Learning, t: TensorType = t, w: Array = w) -> dict[str, str]:
        return {s.value.name: str(s.value.type.dtype) for s in trainer(learning, t, w).states[3:]}

    assert kept(Learning()) == {}
    assert kept(Learning(rule="residual8")) == {"w_r": "s8"}
    assert kept(Learning(rule="residual16", optimizer="momentum")) == {"w_m": "f32", "w_r": "s16"}
    assert kept(Learning(rule="master", optimizer="adam", accumulate=2)) == dict.fromkeys(
        ("w_acc", "w_m", "w_v", "w_master"), "f32"
    )
    assert kept(Learning(rule="master"), TensorType((4, 6), F32), w.astype(np.float32)) == {}


def test_what_cannot_be_is_refused() -> None:
    t, _ = scaled((4, 6), S8)
    with pytest.raises(BadModel, match="mean"):
        Learning(accumulate=0)
    with pytest.raises(BadModel, match="rate"):
        Learning(rate=math.nan)
    with pytest.raises(BadModel, match="needs a scale"):
        Update().results(TensorType((4, 6), S8), TensorType((4, 6), F32), stepping.RATE, stepping.CLOCK)
    with pytest.raises(BadModel, match="no channels"):
        Update(frozen=(4,)).results(t, TensorType((4, 6), F32), stepping.RATE, stepping.CLOCK)


RULES: tuple[Rule, ...] = ("stochastic", "residual8", "residual16", "master")


@pytest.mark.parametrize("name", ["host", "cortex-m7"])
def test_many_steps_on_the_device(name: str, tmp_path: Path) -> None:
    """The states after 40 steps are the reference's, bit for bit, under every rule, and with all that is kept."""
    from conftest import usable  # noqa: PLC0415

    board, rng = usable(name), np.random.default_rng(6)
    t = TensorType((5, 3), S8, Quant((0.01,)))
    init = rng.integers(-128, 128, t.shape).astype(np.int8)
    optimizers: tuple[Optimizer, ...] = ("sgd", "momentum", "adam", "momentum")
    for i, (rule, optimizer) in enumerate(zip(RULES, optimizers, strict=True)):
        module = trainer(Learning(rule=rule, optimizer=optimizer, accumulate=1 + i % 2, rate=0.02, seed=i), t, init)
        given = [(rng.normal(0, 0.3, t.shape).astype(np.float32),) for _ in range(40)]
        compile_model(module, board, Options(simplify=())).write(tmp_path / rule)
        found = infer(module, build(tmp_path / rule, board), board, given, count=False).outputs
        states: dict[str, Array] = {s.value.name: s.init for s in module.states}
        (out,) = module.graphs[0].outs
        for k, ((g,), (got,)) in enumerate(zip(given, found, strict=True)):
            outs, states = interpret(module.graphs[0], {"g": g}, states)
            np.testing.assert_array_equal(got, outs[out.name], f"{rule}, step {k}")
        assert (states["w"] != init).any()


SLICED = """
#include "tte/kernels/update.h"
#include <stdio.h>
#include <string.h>
enum { CHANNELS = 6, ROW = 5, CUT = 2 };
int main(void)
{
    int8_t w[CHANNELS * ROW], whole[CHANNELS * ROW], cut[CHANNELS * ROW];
    float d[CHANNELS * ROW], factor[CHANNELS];
    const float rate[1] = {0.5f};
    const int32_t clock[2] = {11, 12}, number[1] = {13};
    for (int i = 0; i < CHANNELS * ROW; i++) {
        w[i] = (int8_t)(37 * i % 200 - 100);
        d[i] = (float)(i % 7 - 3) / 8.0f;
        factor[i / ROW] = (float)(1 + i / ROW);
    }
    const tte_update_params all = {CHANNELS, ROW}, some = {CUT, ROW};
    tte_update_s8(&all, w, d, rate, clock, factor, number, whole, 0);
    for (int32_t c = 0; c < CHANNELS; c += CUT) {
        tte_update_s8(&some, w + c * ROW, d + c * ROW, rate, clock, factor, number, cut + c * ROW, c);
    }
    return memcmp(whole, cut, sizeof whole) != 0 || memcmp(whole, w, sizeof whole) == 0;
}
"""


def test_channels_by_themselves_take_the_same_steps(tmp_path: Path) -> None:
    (tmp_path / "tte").symlink_to(RUNTIME)
    (tmp_path / "sliced.c").write_text(SLICED)
    subprocess.run(["cc", "-std=c11", f"-I{tmp_path}", "-o", "sliced", "sliced.c"], cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "sliced"], check=False).returncode == 0
