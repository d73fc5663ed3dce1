"""Plans: what they mean, and how they are refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from siblings import SIBLINGS, sibling
from small_nets import plan, residual

from tte.driver import SIMPLIFY, run_passes
from tte.errors import TteError
from tte.frontend.onnx import import_onnx
from tte.ir import Module
from tte.passes.quantize.io_quantized import io_quantized
from tte.passes.simplify.dce import dce
from tte.passes.training.head import Head
from tte.passes.training.layers import resolve
from tte.target import load_board
from tte.training.plan import GENERIC, Part, TrainPlan, load_plan, parse_plan, plans

HOST = load_board("host")
WHOLE = (*SIMPLIFY, io_quantized, dce)


@pytest.mark.parametrize("name", [*plans(), "last-12", "bias-only", "bias-only-22", "head-only", "full"])
def test_a_plan_is_its_text(name: str) -> None:
    assert parse_plan("p", str(load_plan(name))) == load_plan(name)


def test_plans_say_what_the_paper_says() -> None:
    """ANCHORS, "Training"."""
    found = load_plan("mcunet-5fps-99kb")
    ratios = {21: 1.0, 24: 1.0, 27: 1.0, 30: 1.0, 36: 0.125, 39: 0.25}
    assert (found.biases, {p.layer: p.ratio for p in found.parts}) == (22, ratios)
    assert load_plan("last-3") == TrainPlan(3, 3)
    assert len(plans()) == 7


def test_a_plan_in_a_file_may_name_layers_and_channels(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('biases = ["stem", 2]\nselect = "first"\n[[layer]]\nname = "project"\nchannels = [3, 1]\n')
    found = {x.node.source: (x.bias, x.count, x.listed) for x in resolve(load_plan(str(path)), residual().graphs[0])}
    assert found["stem"] == (True, 0, ())
    assert found["depthwise"] == (True, 0, ())
    assert found["project"] == (False, 2, (3, 1))
    assert found["head"] == (True, 10, ())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("biases = 1.5", "biases must be a number of layers"),
        ("biases = -1", "biases must be"),
        ("biases = [true]", "not the index of a layer"),
        ("bias = 3", "unknown key 'bias'"),
        ("[[layer]]\nratio = 0.5", "needs conv or name"),
        ("[[layer]]\nconv = 1\nname = 'a'", "needs conv or name"),
        ("[[layer]]\nconv = 1\nratio = 0.5\nchannels = [0]", "a ratio or channels"),
        ("[[layer]]\nconv = 'a'", '"a" is not the index'),
        ("[[layer]]\nname = 3", "3 is not a name"),
        ("[[layer]]\nconv = 1\nratio = 0", "ratio must lie above 0"),
        ("[[layer]]\nconv = 1\nratio = nan", "ratio must lie above 0"),
        ("[[layer]]\nconv = 1\nratio = 1.01", "not above 1"),
        ("[[layer]]\nconv = 1\nchannels = []", "at least one index"),
        ("[[layer]]\nconv = 1\nchannels = [2, 2]", "names one twice"),
        ("layer = 3", "[[layer]] tables"),
        ("select = 'best'", "norm or first"),
        ("head = 1", "true or false"),
        ("biases =", "Invalid value"),
    ],
)
def test_plans_that_make_no_sense_are_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(TteError, match=re.escape(said)) as error:
        parse_plan("mine.toml", text)
    assert str(error.value).startswith("mine.toml") and "\n" not in str(error.value)


def test_a_plan_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(TteError, match="no plan or file 'nothing'") as error:
        load_plan("nothing")
    assert all(name in str(error.value) for name in (*GENERIC, *plans()))
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(TteError, match="cannot be read"):
        load_plan(str(tmp_path / "bytes.toml"))


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (TrainPlan(6), "biases of the last 6 layers: ?(.*)there are 5 before the head"),
        (TrainPlan(0, 6), "trains weights of the last 6"),
        (plan(Part(6)), "there is no layer 6"),
        (plan(Part("nowhere")), "no layers are called 'nowhere'"),
        (plan(Part(1, 0.5), Part("expand")), "names the layer 'expand' twice"),
        (plan(Part("project", 1.0, (12,))), "layer 3 .project.: has no channel 12"),
    ],
)
def test_plans_that_do_not_fit_the_model_are_refused(bad: TrainPlan, said: str) -> None:
    with pytest.raises(TteError, match=said.replace(": ?(.*)", ".*")):
        resolve(bad, residual().graphs[0])


def trained_bytes(module: Module, chosen: TrainPlan) -> int:
    """Bytes of trained weights (one each) and biases (four each)."""
    found = resolve(chosen, module.graph("infer"))
    weights = sum(x.node.ins[1].type.size // x.total * x.count for x in found)
    return weights + sum(4 * x.node.ins[2].type.size for x in found if x.bias)


@pytest.mark.parametrize(("name", "size"), [("mobilenetv2-0.35", 36_082), ("proxylessnas-0.3", 35_688)])
def test_siblings_train_as_many_bytes_as_published(name: str, size: int) -> None:
    """RECIPES, Training: P with an int8 head for 10 classes."""
    module = Head(10, "int8")(sibling(name), HOST)
    assert trained_bytes(module, load_plan(f"{name}-49kb")) == size
    assert name in SIBLINGS


@pytest.fixture(scope="module")
def mcunet(shared: Path) -> Module:
    return run_passes(import_onnx(shared / "models/mcunet-5fps-int8.onnx", "mcunet"), HOST, WHOLE)


@pytest.mark.parametrize(("scheme", "size"), [("49kb", 32_104), ("99kb", 73_288)])
def test_mcunet_trains_as_many_bytes_as_published(mcunet: Module, scheme: str, size: int) -> None:
    module = Head(10, "int8")(mcunet, HOST)
    assert trained_bytes(module, load_plan(f"mcunet-5fps-{scheme}")) == size
