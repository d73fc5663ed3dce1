"""ONNX's own node tests, run by the interpreter on the imported model: an oracle that nobody here wrote."""

from __future__ import annotations

import re
import warnings
from functools import cache

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.backend.test.case.test_case import TestCase as Case
from onnx.backend.test.loader import load_model_tests
from onnx_oracle import folded, run

from tte.errors import TteError
from tte.frontend.onnx import HANDLERS
from tte.types import Array

# Cases of operators that the importer has, but in a form that it refuses by name, and why.
REFUSED = {
    "_cast": "numbers of types that tte has not",
    "_u?int(2|4|8|16|32|64)($|_)|e4m3fn|e5m2|float4e2m1": "arithmetic on integers outside of QDQ, and other types",
    "int8_(min|max|inbounds)|div_int32_trunc": "arithmetic on integers outside of QDQ",
    "(edge|reflect|wrap)_pad": "an s32 input",
    "pool_3d": "three spatial dimensions",
    "pool_2d_dilations|with_argmax": "dilated pools, and where the greatest element lies",
    "batchnorm_(example|epsilon)": "batch 2, and training",
    "training_dropout|dropout_default_mask": "training",
    "quantizelinear_(axis|blocked)": "activations quantised per channel or block",
    "test_div$": "a quotient of two computed tensors",
    "identity_(sequence|opt)": "no tensor",
    "split_zero_size": "an empty tensor",
    "gather_2d_indices|gather_elements|gathernd": "a table of indices",
    "reshape_allowzero": "an empty tensor",
    "slice_start_out_of_bounds": "an empty tensor",
    "resize.*(linear|cubic|tf_crop)": "interpolation",
    "test_maxpool_2d_uint8": "an integer input whose scale nothing tells",
}


@cache
def cases() -> dict[str, Case]:
    """Models and data of the operators that the importer has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = load_model_tests(kind="node")
    return {c.name: c for c in found if {n.op_type for n in c.model.graph.node} <= HANDLERS.keys()}


def baked(model: onnx.ModelProto, given: dict[str, Array], keep: int) -> bytes:
    """The model with all inputs but the first `keep` made constants, as they are in networks."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for port in list(copy.graph.input)[keep:]:
        copy.graph.input.remove(port)
        copy.graph.initializer.append(numpy_helper.from_array(given[port.name], port.name))
    return copy.SerializeToString()


def computed(model: onnx.ModelProto, given: dict[str, Array]) -> list[Array]:
    """Its outputs, with as many computed inputs as the importer takes."""
    for keep in range(len(given), 1, -1):
        try:
            return run(folded(baked(model, given, keep)), given)
        except TteError:
            continue
    return run(folded(baked(model, given, 1)), given)


def reason(name: str) -> str:
    return next((why for pattern, why in REFUSED.items() if re.search(pattern, name)), "")


def test_as_many_cases_as_there_were() -> None:
    """A guard against testing nothing."""
    assert sum(not reason(name) for name in cases()) >= 170


@pytest.mark.parametrize("op", HANDLERS)
def test_equals_what_onnx_says(op: str) -> None:
    """Every case of the operator, or a refusal in one line where the table says so."""
    for name, case in cases().items():
        if case.model.graph.node[0].op_type == op:
            if reason(name):
                refused(name, case)
            else:
                equal(name, case)


def equal(name: str, case: Case) -> None:
    for ins, outs in case.data_sets:
        given = {p.name: np.asarray(a) for p, a in zip(case.model.graph.input, ins, strict=True)}
        for ours, theirs in zip(computed(case.model, given), outs, strict=True):
            assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype), name
            np.testing.assert_allclose(ours, theirs, case.rtol, max(case.atol, 1e-6), err_msg=name)


def refused(name: str, case: Case) -> None:
    try:
        folded(case.model.SerializeToString())
    except TteError as error:
        assert "\n" not in str(error), name
    else:
        raise AssertionError(f"{name} is not refused")
