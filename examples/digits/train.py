"""Trains a small CNN on scikit-learn's handwritten digits, quantises it to int8, and writes it as ONNX.

    pip install scikit-learn
    python examples/digits/train.py

writes digits-int8.onnx and digits-test.npz beside this file; both are committed. The network: three 3x3 convolutions
(12, 24 and 32 channels, the last two with stride 2), each with ReLU, the mean over the remaining 2x2, and a linear
layer. Training is plain numpy, with seeds. Quantisation is what any exporter does: a scale for each output channel of
the weights, a scale and a zero point for each activation, from its range on the training digits.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, checker, helper, numpy_helper, save
from sklearn.datasets import load_digits

Array = npt.NDArray[np.float32]
HERE = Path(__file__).parent
SEED, TESTS, EPOCHS, BATCH, RATE = 7, 360, 40, 32, 2e-3
CHANNELS, STRIDES, CLASSES = (1, 12, 24, 32), (1, 2, 2), 10
WHITE = 16  # a digit's pixels are 0 to 16; the network sees them as 0 to 1


def taps(x: Array, stride: int) -> Array:
    """What each output of a 3x3 convolution sees of x[n,h,w,c], zeros outside: [n, oh, ow, c, 3, 3]; a view."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))[:, ::stride, ::stride]


def forward(weights: list[Array], x: Array) -> list[Array]:
    """All activations: the input [n,8,8,1], three convolutions, the mean, the logits."""
    found = [x]
    for i, stride in enumerate(STRIDES):
        y = np.einsum("nhwcij,ocij->nhwo", taps(found[-1], stride), weights[2 * i], optimize=True)
        found.append(np.maximum(y + weights[2 * i + 1], 0))
    mean = found[-1].mean((1, 2))
    return [*found, mean, mean @ weights[-2].T + weights[-1]]


def gradients(weights: list[Array], x: Array, labels: npt.NDArray[np.int64]) -> list[Array]:
    """Of the mean cross-entropy, for each of the weights."""
    *maps, mean, logits = forward(weights, x)
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    p[np.arange(len(x)), labels] -= 1
    p /= len(x)
    found = [p.sum(0), p.T @ mean]
    h, w = maps[-1].shape[1:3]
    dy = np.broadcast_to((p @ weights[-2])[:, None, None] / (h * w), maps[-1].shape)
    for i in reversed(range(len(STRIDES))):
        dy = dy * (maps[i + 1] > 0)
        seen = taps(maps[i], STRIDES[i])
        found += [dy.sum((0, 1, 2)), np.einsum("nhwcij,nhwo->ocij", seen, dy, optimize=True)]
        back = np.einsum("nhwo,ocij->nhwcij", dy, weights[2 * i], optimize=True)
        n, height, width, c = maps[i].shape
        dx = np.zeros((n, height + 2, width + 2, c), np.float32)
        for ky in range(3):
            for kx in range(3):
                dx[:, ky : ky + height : STRIDES[i], kx : kx + width : STRIDES[i]] += back[..., ky, kx]
        dy = dx[:, 1:-1, 1:-1]
    return found[::-1]


def train(x: Array, labels: npt.NDArray[np.int64]) -> list[Array]:
    """Weights and biases in turn, by Adam with a falling rate."""
    rng = np.random.default_rng(SEED)
    weights: list[Array] = []
    for c, o in pairwise(CHANNELS):
        weights += [rng.normal(0, (2 / (9 * c)) ** 0.5, (o, c, 3, 3)).astype(np.float32), np.zeros(o, np.float32)]
    weights += [rng.normal(0, 0.1, (CLASSES, CHANNELS[-1])).astype(np.float32), np.zeros(CLASSES, np.float32)]
    first, second = ([np.zeros_like(w) for w in weights] for _ in range(2))
    steps = EPOCHS * (len(x) // BATCH)
    for step in range(steps):
        chosen = rng.integers(0, len(x), BATCH)
        for i, g in enumerate(gradients(weights, x[chosen], labels[chosen])):
            first[i] += 0.1 * (g - first[i])
            second[i] += 0.001 * (g * g - second[i])
            mean, square = first[i] / (1 - 0.9 ** (step + 1)), second[i] / (1 - 0.999 ** (step + 1))
            weights[i] -= RATE * (1 - step / steps) * mean / (np.sqrt(square) + 1e-7)
    return weights


class Network:
    """An ONNX graph in which every tensor is int8 between QuantizeLinear and DequantizeLinear."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def constant(self, name: str, value: npt.NDArray[np.generic]) -> str:
        """Store an array."""
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, op: str, ins: list[str], out: str, **attributes: object) -> str:
        """Append a node."""
        self.nodes.append(helper.make_node(op, ins, [out], name=f"{out}_{op}", **attributes))
        return out

    def activation(self, x: str, seen: Array) -> str:
        """x rounded to int8, with a scale that covers what was seen of it."""
        low, high = min(float(seen.min()), 0.0), max(float(seen.max()), 0.0)
        scale = np.float32((high - low) / 255)
        zero = np.int8(np.clip(round(-128 - low / float(scale)), -128, 127))
        return self.pair(x, scale, zero)

    def pair(self, x: str, scale: np.float32, zero: np.int8) -> str:
        """QuantizeLinear, then DequantizeLinear."""
        q = [self.constant(f"{x}_scale", scale), self.constant(f"{x}_zero", zero)]
        self.node("QuantizeLinear", [x, *q], f"{x}_q")
        return self.node("DequantizeLinear", [f"{x}_q", *q], f"{x}_dq")

    def layer(self, op: str, x: str, x_scale: float, w: Array, b: Array, out: str, **attributes: object) -> str:
        """A layer with s8 weights, a scale per output channel, and an s32 bias."""
        scale = (np.abs(w.reshape(len(w), -1)).max(1) / 127).astype(np.float32)
        integers = np.rint(w / scale.reshape(-1, *[1] * (w.ndim - 1))).astype(np.int8)
        product = (scale * np.float32(x_scale)).astype(np.float32)
        names = []
        for what, value, s in (
            ("w", integers, scale),
            ("b", np.rint(b / product).astype(np.int32), product),
        ):
            name = f"{out}_{what}"
            zero = self.constant(f"{name}_zero", np.zeros(len(w), value.dtype))
            ins = [self.constant(name, value), self.constant(f"{name}_scale", s), zero]
            names.append(self.node("DequantizeLinear", ins, f"{name}_dq", axis=0))
        return self.node(op, [x, *names], out, **attributes)

    def scale(self, x: str) -> float:
        """The scale that was given to the activation x."""
        return float(numpy_helper.to_array(next(c for c in self.constants if c.name == f"{x}_scale")))


def quantised(weights: list[Array], seen: list[Array]) -> Network:
    """The trained network; `seen` are its activations on the training digits."""
    n = Network()
    x, name = n.pair("image", np.float32(1 / WHITE), np.int8(0)), "image"
    for i, stride in enumerate(STRIDES):
        out = f"conv{i + 1}"
        shape = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [stride, stride]}
        n.layer("Conv", x, n.scale(name), *weights[2 * i : 2 * i + 2], f"{out}_sum", **shape)
        n.node("Relu", [f"{out}_sum"], out)
        x, name = n.activation(out, seen[i + 1]), out
    n.node("GlobalAveragePool", [x], "pool")
    n.node("Flatten", [n.activation("pool", seen[-2])], "mean")
    flat = n.pair("mean", np.float32(n.scale("pool")), zero_of(n, "pool"))
    n.layer("Gemm", flat, n.scale("pool"), *weights[-2:], "logits", transB=1)
    n.activation("logits", seen[-1])
    return n


def zero_of(n: Network, x: str) -> np.int8:
    """The zero point that was given to the activation x."""
    return np.int8(numpy_helper.to_array(next(c for c in n.constants if c.name == f"{x}_zero")))


def main() -> None:
    """Train, quantise, write; tell the accuracy of the float network."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(SEED).permutation(len(images))
    x, labels = images[order].reshape(-1, 8, 8, 1).astype(np.float32) / WHITE, labels[order]
    weights = train(x[TESTS:], labels[TESTS:])
    right = (forward(weights, x[:TESTS])[-1].argmax(1) == labels[:TESTS]).mean()
    n = quantised(weights, forward(weights, x[TESTS:]))
    ends = [helper.make_tensor_value_info(*e) for e in (("image", 1, [1, 1, 8, 8]), ("logits_dq", 1, [1, CLASSES]))]
    graph = helper.make_graph(n.nodes, "digits", ends[:1], ends[1:], n.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    save(model, HERE / "digits-int8.onnx")
    test = (x[:TESTS, :, :, 0] * WHITE).astype(np.uint8)
    np.savez_compressed(HERE / "digits-test.npz", images=test, labels=labels[:TESTS].astype(np.uint8))
    print(f"float network: {right:.1%} of {TESTS} test digits")


if __name__ == "__main__":
    main()
