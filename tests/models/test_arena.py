"""The arenas of the eight networks, with inputs, outputs and scratch inside, on every set of kernels."""

from __future__ import annotations

from pathlib import Path

import pytest

from tte.driver import Options, compile_model
from tte.frontend.onnx import import_onnx
from tte.frontend.tflite import import_tflite
from tte.target import load_board

BYTES = {
    "mlperf_kws_dscnn_int8.tflite": 16_160,
    "mlperf_ic_resnet8_int8.tflite": 51_456,
    "mlperf_ic_large_int8.tflite": 128_640,
    "mlperf_vww_mobilenetv1_int8.tflite": 64_624,
    "mlperf_ad_autoencoder_int8.tflite": 768,
    "mlperf_sww_int8.tflite": 7_200,
    "mcunet_vww_int8.tflite": 98_000,
    "mcunet-5fps-int8.onnx": 164_000,
}


@pytest.mark.parametrize("board", ["cortex-m3", "cortex-m7", "cortex-m55", "riscv32", "aarch64", "hexagon"])
@pytest.mark.parametrize("name", BYTES)
def test_fast_kernels_leave_the_arena_small(name: str, board: str, shared: Path) -> None:
    path = shared / "models" / name
    module = import_onnx(path) if path.suffix == ".onnx" else import_tflite(path)
    options = Options(io=frozenset({"quantized"}), memory="fast")
    plan = compile_model(module, load_board(board), options).plan
    assert plan.bound <= plan.arena <= BYTES[name]
