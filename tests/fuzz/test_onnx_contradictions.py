"""ONNX models that contradict themselves: each compiles, or is refused in one line of words."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import onnx
import pytest
from contradictions import contradictory
from onnx import TensorProto, helper, numpy_helper
from onnx_models import NETS, quantized
from onnx_oracle import folded

from tte.driver import Options, compile_model
from tte.errors import InternalError, TteError
from tte.frontend.onnx import import_onnx
from tte.target import load_board


@cache
def whole() -> list[bytes]:
    floats = [make(0) for make in NETS.values()]
    forms = ((False, True, True), (True, False, False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [m.SerializeToString() for m in (*floats, *(quantized(m, *f) for m in floats for f in forms))]


def attempt(first: int, last: int) -> None:
    for seed in range(first, last):
        data = contradictory(whole()[seed % len(whole())], seed)
        try:
            compile_model(folded(data), load_board("host"), Options(simplify=()))
        except InternalError:
            raise
        except TteError as error:
            assert "\n" not in str(error), seed
            assert len(str(error)) < 2000, seed


def test_contradictions_are_refused() -> None:
    attempt(0, 300)


@pytest.mark.full
@pytest.mark.parametrize("part", range(6))
def test_many_contradictions_are_refused(part: int) -> None:
    attempt(1000 * (part + 1), 1000 * (part + 2))


def one_node(
    op: str, shape: tuple[int, ...], *constants: object, dtype: int = TensorProto.FLOAT, **attributes: object
) -> bytes:
    tensors = [numpy_helper.from_array(a, f"c{i}") for i, a in enumerate(constants)]  # type: ignore[arg-type]
    node = helper.make_node(op, ["x", *(t.name for t in tensors)], ["y"], name="it", **attributes)
    ports = (helper.make_tensor_value_info("x", dtype, shape), helper.make_tensor_value_info("y", dtype, None))
    graph = helper.make_graph([node], "g", [ports[0]], [ports[1]], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()


def refused(data: bytes) -> str:
    with pytest.raises(TteError) as caught:
        import_onnx(data, "m")
    return str(caught.value)


def test_what_is_refused_is_named() -> None:

    def f(*shape: int, value: float = 1.0) -> np.ndarray:
        return np.full(shape, value, np.float32)

    assert "LSTM it: this operator is not supported (supported: Add, AveragePool, " in refused(one_node("LSTM", (1, 2)))
    assert "c0 holds NaN or infinity" in refused(one_node("Conv", (1, 1, 4, 4), f(1, 1, 3, 3, value=np.nan)))
    assert "scale -0.5 of c0 is not usable" in refused(one_node("QuantizeLinear", (1, 2), f(value=-0.5)))
    assert "scale 0 of c0 is not usable" in refused(one_node("QuantizeLinear", (1, 2), f(value=0)))
    assert "scale nan of c0 is not usable" in refused(one_node("QuantizeLinear", (1, 2), f(value=np.nan)))
    assert "2 groups of 4" in refused(one_node("Conv", (1, 4, 4, 4), f(2, 4, 3, 3), group=2))
    assert "the filter of" in refused(one_node("Conv", (1, 1, 2, 2), f(1, 1, 3, 3)))
    assert "cannot become" in refused(one_node("Reshape", (1, 6), np.array([4, -1])))
    assert "is not an ONNX file" in refused(b"\x0anonsense")
    assert "is not an ONNX model" in refused(b"")
    text = refused(one_node("Relu", (1, "h", 4)))  # type: ignore[arg-type]
    assert text == "x: its shape [1, h, 4] is not fixed (only the batch may be open; export with fixed sizes)"


def test_cycles_and_missing_data_are_refused() -> None:
    model = onnx.ModelProto.FromString(one_node("Add", (1, 2)))
    model.graph.node[0].input.append("y")
    assert "its input y is not computed before it" in refused(model.SerializeToString())
    model = onnx.ModelProto.FromString(one_node("Relu", (1, 2)))
    model.graph.node.add().CopyFrom(model.graph.node[0])
    assert "y is computed twice" in refused(model.SerializeToString())


def test_data_beside_the_model_only() -> None:

    model = onnx.ModelProto.FromString(one_node("Add", (1, 2), np.ones(2, np.float32)))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/hostname")
    assert "put it beside the model" in refused(model.SerializeToString())
