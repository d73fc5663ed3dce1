"""Small networks as a user has them, made from a seed, and parts of the data beside the repository."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx_models import Net, prepared, quantized

from tte.types import Array

WORDS = (59, 40)  # a spectrogram of wakeword6
DATA = {
    "words": "audio/wakeword6_logmel_59x40_u8.npz",
    "digits": "images/mnist_12k_10k.npz",
    "things": "images/cifar10_train3k.npz",
    "commands": "audio/mlperf_kws_mfcc_int8_1000.npz",
}


def write_some(shared: Path, data: str, out: Path, train: int, tests: int) -> None:
    """So many samples of a data set, drawn from a seed, as a .npz that `tte train` takes."""
    with np.load(shared / "data" / DATA[data]) as held:
        x, y = (held[k if k in held else f"{k}_train"] for k in "xy")
        names = {"classes": held["classes"]} if "classes" in held else {}
    drawn = np.random.default_rng(0).permutation(len(x))[: train + tests]
    np.savez(out, x=x[drawn], y=y[drawn], is_test=np.arange(train + tests) >= train, allow_pickle=False, **names)


def mlp(seed: int = 0) -> onnx.ModelProto:
    """Two hidden layers, from 784 pixels to ten scores; no softmax at its end."""
    n = Net(seed, (1, 784))
    a = n.add("Relu", n.gemm("x", 784, 64))
    b = n.add("Relu", n.gemm(a, 64, 32))
    return n.model(n.gemm(b, 32, 10))


def mlp_int8(seed: int = 0) -> onnx.ModelProto:
    """The same in QDQ form, by ONNX Runtime's tool."""
    return quantized(prepared(mlp(seed)), unsigned=False, per_channel=True, qdq=True)


def dscnn(seed: int = 0) -> onnx.ModelProto:
    """The layers of MLPerf Tiny's keyword network on spectrograms, NCHW, from here to softmax over six words.

    Batch norms stay nodes of their own; their statistics are those of random waves, as training from noise begins with.
    """
    n = Net(seed, (1, 1, *WORDS))
    waves = np.abs(n.rng.normal(0.2, 0.1, (16, 1, *WORDS)))
    seen = torch.tensor((waves + n.rng.random((16, 1, 1, WORDS[1])) * 0.3).astype(np.float32))
    x, seen = _normed(n, "x", seen, 64, (10, 4), stride=2)
    for _ in range(4):
        x, seen = _normed(n, x, seen, 64, (3, 3), groups=64)
        x, seen = _normed(n, x, seen, 64, (1, 1))
    flat = n.add("Flatten", n.add("GlobalAveragePool", x))
    return n.model(n.add("Softmax", n.gemm(flat, 64, 6)))


def _normed(
    n: Net, x: str, seen: torch.Tensor, co: int, kernel: tuple[int, int], groups: int = 1, stride: int = 1
) -> tuple[str, torch.Tensor]:
    """Convolution, batch norm, relu: the value's name, and what it is for `seen`."""
    inside = seen.shape[1] // groups
    w = (n.rng.standard_normal((co, inside, *kernel)) * (2 / (inside * kernel[0] * kernel[1])) ** 0.5).astype(
        np.float32
    )
    pads = [kernel[0] // 2, kernel[1] // 2]
    y = n.add("Conv", x, n.constant(w), group=groups, kernel_shape=list(kernel), pads=pads * 2, strides=[stride] * 2)
    sums = F.conv2d(seen, torch.tensor(w), None, stride, pads, 1, groups)
    mean, var = sums.mean((0, 2, 3)), sums.var((0, 2, 3))
    held: tuple[Array, ...] = (np.ones(co), np.zeros(co), mean.numpy(), var.numpy())
    y = n.add("BatchNormalization", y, *(n.constant(a.astype(np.float32)) for a in held))
    return n.add("Relu", y), F.batch_norm(sums, mean, var).relu()


OWN: dict[str, Callable[[], onnx.ModelProto]] = {"dscnn": dscnn, "mlp": mlp, "mlp_int8": mlp_int8}
