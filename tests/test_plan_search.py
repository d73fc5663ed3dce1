"""tte plan: what it measures is what a device would learn, and being killed changes nothing."""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from commands import DIGITS, Call, refused
from conftest import installed, usable
from small_nets import residual

from tte.codegen.svg import svg
from tte.data.dataset import Samples
from tte.driver import Options, Training, compile_model
from tte.errors import TteError
from tte.ir import Module
from tte.op import Arrays
from tte.pictures.plans import Spot, plan_picture, useful
from tte.running.device import Device
from tte.running.emulate import build
from tte.training.bench import HOST, Cards, Lesson, drawn, trainer
from tte.training.learning import Learning
from tte.training.notebook import Notebook
from tte.training.plan import Part, TrainPlan, load_plan
from tte.training.switches import ON, Switches, settings
from tte.training.tail import entries, tail, trained, trunk
from tte.training.workers import workers
from tte.types import Array, DType

TURN = Path(__file__).parents[1] / "examples" / "digits" / "turn.py"
PLAN = TrainPlan(4, parts=(Part(1, 0.5), Part(4, 0.25)))  # of `residual`: cut at the stem, which the add reads too


def device(module: Module, folder: Path) -> Device:
    compiled = compile_model(module, HOST, Options(memory="fast", simplify=()))
    compiled.write(folder)
    return Device(compiled.module, build(folder, HOST), HOST)


def examples(n: int, dtype: DType = DType.S8) -> list[Arrays]:
    rng = np.random.default_rng(0)
    x = rng.integers(-128, 128, (n, 1, 6, 6, 3), np.int8)
    x = x if dtype is DType.S8 else (x / 128).astype(np.float32)
    return [(x[i], np.array([i % 4], np.int32)) for i in range(n)]


@pytest.mark.parametrize(("dtype", "plan"), [(DType.S8, PLAN), (DType.S8, TrainPlan()), (DType.F32, TrainPlan())])
def test_a_tail_learns_what_the_whole_learns(dtype: DType, plan: TrainPlan, tmp_path: Path) -> None:
    """The same bits, where channels are permuted on both sides of the cut, and where passes change what follows it."""
    usable("host")
    module, passes = residual(dtype), Training(plan, Learning(rate=0.01)).passes(())
    full, _ = trained(module, passes, (), HOST)
    names = entries(module, full)
    assert len(names) == 1
    _, orders = trained(module, passes, names, HOST)
    assert (orders[0].tolist() == sorted(orders[0].tolist())) == (plan != PLAN)
    whole, part = device(full, tmp_path / "whole"), device(tail(full, names, HOST), tmp_path / "tail")
    assert len(part.module.graph("infer").nodes) < len(whole.module.graph("infer").nodes)
    given = device(trunk(module, names, HOST), tmp_path / "trunk").infer([e[:1] for e in examples(20, dtype)])
    rates = [0.01] * 20
    a = whole.train(examples(20, dtype), rates)
    b = part.train([(x[..., orders[0]], e[1]) for (x,), e in zip(given, examples(20, dtype), strict=True)], rates)
    assert all(np.array_equal(u, v) for x, y in zip(a, b, strict=True) for u, v in zip(x, y, strict=True))
    assert whole.exported == part.exported


def weights(device: Device) -> dict[str, Array]:
    return {k: v for k, v in device.states.items() if not k.endswith(ON) and k not in ("clock", "rate")}


def test_switches(tmp_path: Path) -> None:
    """All on, nothing changes; what is off stays, and the rest learns as if nothing else could."""
    usable("host")
    most = TrainPlan(5, parts=tuple(Part(i) for i in (1, 2, 3)))
    plain, _ = trained(residual(), Training(most).passes(()), (), HOST)
    switched = Switches(most)(plain, HOST)
    one, other = device(plain, tmp_path / "plain"), device(switched, tmp_path / "switched")
    one.train(examples(9), [0.02] * 9)
    other.train(examples(9), [0.02] * 9)
    assert all(np.array_equal(v, other.states[k]) for k, v in one.states.items())
    off = device(switched, tmp_path / "off")
    before = weights(off)
    off.states = dict(settings(most, TrainPlan(1, parts=(Part(1, 0.25), Part(2, 0.5))), switched))
    off.train(examples(9), [0.02] * 9)
    moved = {k: v != before[k] for k, v in weights(off).items()}
    assert {k for k, v in moved.items() if v.any()} == {
        "expand_w",
        "depthwise_w",
        "last_b",
        "head_w_real",
        "head_b_real",
    }
    assert moved["expand_w"].any(axis=(0, 1, 2)).sum() <= 2
    assert moved["depthwise_w"].any(axis=(1, 2, 3)).sum() <= 6


def test_a_score_is_what_is_told(tmp_path: Path) -> None:
    """Of a network that has learned its few examples by heart, and of one that hasn't begun."""
    usable("host")
    full, _ = trained(residual(), Training(TrainPlan("all", "all")).passes(()), (), HOST)
    some = examples(8)
    cards = Cards((np.stack([x for x, _ in some]),), np.array([i % 4 for i in range(8)], np.int32))
    made = trainer(tail(full, ("x",), HOST))
    learned = made.score(Lesson(cards, cards, 0.02, 0), {}, 40)
    assert learned.right == 1.0
    assert learned.sure > 0.5
    none = made.score(Lesson(cards, cards, 0.0, 0), {}, 1)
    assert none.sure < learned.sure
    assert made.score(Lesson(cards, cards, 0.02, 0), {}, 40) == learned
    assert 0 <= made.score(Lesson(cards, cards, 1e30, 0), {}, 40).sure < learned.sure


def test_samples_are_drawn_class_by_class() -> None:
    labels = np.repeat(np.arange(4, dtype=np.int32), (40, 40, 40, 8))
    samples = Samples(np.arange(128), labels)
    learn, held = drawn(samples, 64, 32, 0)
    assert not {*learn.x.tolist()} & {*held.x.tolist()}
    assert np.bincount(learn.labels).tolist() == [20, 20, 20, 4]
    assert np.bincount(held.labels).tolist() == [10, 10, 10, 2]
    assert drawn(samples, 64, 32, 1)[0].x.tolist() != learn.x.tolist()
    assert [len(part) for part in drawn(samples, 999, 999, 0)] == [86, 42]
    with pytest.raises(TteError, match="too few"):
        drawn(samples.only(np.arange(2)), 9, 9, 0)


def test_a_notebook_survives(tmp_path: Path) -> None:
    path = tmp_path / "n.jsonl"
    notes = Notebook(path, "a")
    notes.add("q", {"x": 0.1})
    Notebook(path, "b").add("q", {"x": 0.2})
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:20])
    found = Notebook(path, "a")
    assert found.get("q") == {"x": 0.1}
    found.add("r", {"x": 1 / 3})
    assert Notebook(path, "a").get("r") == {"x": 1 / 3}
    assert Notebook(path, "b").get("r") is None


def square(x: int) -> int:
    return x * x


@pytest.mark.parametrize("jobs", [1, 2])
def test_workers(jobs: int) -> None:
    with workers(jobs, None) as work:
        assert dict(work(square, [3, 4, 5])) == {3: 9, 4: 16, 5: 25}


def test_workers_of_a_cluster() -> None:
    installed("distributed")
    from distributed import LocalCluster  # noqa: PLC0415 an extra

    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        workers(1, cluster.scheduler_address) as work,
    ):
        assert dict(work(square, [3, 4])) == {3: 9, 4: 16}


def test_the_picture() -> None:
    spots = [Spot(100, 40.0, "head", False), Spot(300, 50.0, "a", True), Spot(250, 30.0, "b", False)]
    assert [s.name for s in useful(spots)] == ["head", "a"]
    drawn = svg(plan_picture(spots, 320, "toy"))
    assert drawn.startswith("<svg")
    assert "head: 100 B, 40.0%" in drawn


LIMIT = "20000"


def command(out: str) -> list[str]:
    return [
        *("plan", DIGITS, "--data", "turned.npz", "--board", "cortex-m4", "--sram", LIMIT, "--jobs", "1"),
        *("--samples", "60", "--held", "40", "--epochs", "1", "-o", out),
    ]


def test_killed_and_resumed(tte: Call) -> None:
    """The plan fits; a search that was killed goes on from what it had written, to the same bytes."""
    usable("host")
    runpy.run_path(str(TURN))["main"](Path("turned.npz"))
    code, out, _ = tte(*command("whole.toml"), "--json", "--picture", "p.svg")
    told = json.loads(out)
    best = told["finals"][0]
    assert code == 0
    assert best["compiled"]["arena"] <= told["room"] < int(LIMIT)
    assert best["score"]["sure"] == max(f["score"]["sure"] for f in told["finals"])
    assert "<svg" in Path("p.svg").read_text()
    _, out, _ = tte(
        *("compile", DIGITS, "--board", "cortex-m4", "--sram", LIMIT, "--train", "--plan", "whole.toml"),
        *("--no-build", "--memory", "smallest", "-o", "p", "--json"),
    )
    assert json.loads(out)["arena_bytes"] == best["compiled"]["arena"]
    notes = Path("killed.jsonl")
    argv = [sys.executable, "-c", "from tte.cli.main import app; app()", *command("killed.toml")]
    for lines in (3, 8):
        process = subprocess.Popen(argv, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
        while process.poll() is None and (not notes.exists() or notes.read_bytes().count(b"\n") < lines):
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    known = len(notes.read_bytes().splitlines())
    assert lines <= known < len(Path("whole.jsonl").read_bytes().splitlines())
    assert tte(*command("killed.toml"))[0] == 0
    assert Path("killed.toml").read_bytes() == Path("whole.toml").read_bytes()
    assert sorted(notes.read_bytes().splitlines()) == sorted(Path("whole.jsonl").read_bytes().splitlines())
    assert load_plan("killed.toml").head


def test_wrong_plan_command_lines(tte: Call) -> None:
    usable("host")
    runpy.run_path(str(TURN))["main"](Path("turned.npz"))
    right = [*command("p.toml"), "--sram"]
    refused(tte(*right, "5000"), "--sram", "the head alone takes")
    refused(tte(*right, "many"), "--sram", "no number of bytes")
    refused(tte(*command("p.toml"), "--head", "3"), "10 classes, the model 3 outputs")
    refused(tte(*command("p.toml"), "--picture", "p.gif"), "p.gif")
    refused(tte(*command("p")), "p: is no .toml")
    refused(tte(*command("p.toml"), "--dask", "tcp://127.0.0.1:1"), "--dask")
    assert not Path("p.toml").exists()
