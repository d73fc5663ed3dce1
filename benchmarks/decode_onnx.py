"""A language model in ONNX Runtime, timed as decode_ours.c times ours.

    python benchmarks/decode_onnx.py CHECKPOINT TOKENS ROUNDS

The graph is what ONNX Runtime is best at: its own operators for attention, whose caches stay in place, for rotations
and for normalisation; no array is copied between calls. Printed is what decode_ours.c prints.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from tte.frontend.llama2c import import_llama2c
from tte.ir import Module
from tte.ops.attention import Attention
from tte.ops.rms_norm import RmsNorm
from tte.types import Array

OWN = "com.microsoft"
FLOAT, INT32, INT64 = TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64


class Exported:
    """A Llama with tied embeddings as a graph: of tokens s64[1,n] the logits f32[1,1,vocab] after the last one.

    `at` s64[1] is the position of the first, `seen` s32[1] that of the last, `total` s32 one more. Caches are
    f32[1,heads,seq,head], read as keys0, values0.. and written as new_keys0, new_values0..
    """

    def __init__(self, module: Module) -> None:
        self.weights = {s.value.name: s.init for s in module.states}
        nodes = module.graph("decode").nodes
        self.attention = next(n.op for n in nodes if isinstance(n.op, Attention))
        self.eps = next(n.op.eps for n in nodes if isinstance(n.op, RmsNorm))
        self.layers = sum(isinstance(n.op, Attention) for n in nodes)
        self.vocab, dim = self.weights["embedding_w"].shape
        self.head, self.seq = dim // self.attention.heads, len(self.weights["rotations"])
        self.nodes: list[onnx.NodeProto] = []
        self.arrays: list[onnx.TensorProto] = []

    @property
    def caches(self) -> list[str]:
        """Their names."""
        return [f"{kind}{i}" for i in range(self.layers) for kind in ("keys", "values")]

    @property
    def cache(self) -> tuple[int, ...]:
        """The shape of each."""
        return 1, self.attention.kv_heads, self.seq, self.head

    def emit(
        self, op: str, *ins: str, out: str = "", more: tuple[str, ...] = (), domain: str = "", **attributes: object
    ) -> str:
        """Append a node; its first result."""
        out = out or f"v{len(self.nodes)}"
        node = helper.make_node(op, list(ins), [out, *more], domain=domain)
        node.attribute.extend(helper.make_attribute(k, v) for k, v in attributes.items())
        self.nodes.append(node)
        return out

    def array(self, name: str, value: Array) -> str:
        """Add a constant."""
        self.arrays.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def product(self, name: str, x: str, out: str = "") -> str:
        """x . w^T."""
        return self.emit("MatMul", x, self.array(name, self.weights[name].T), out=out)

    def norm(self, name: str, x: str) -> str:
        """Divided by the root mean square."""
        weight = self.array(name, self.weights[name])
        return self.emit("SimplifiedLayerNormalization", x, weight, epsilon=self.eps, axis=-1)

    def turned(self, x: str, heads: int) -> str:
        """Neighbours turned by their positions."""
        given = x, "at", "cosines", "sines"
        return self.emit("RotaryEmbedding", *given, domain=OWN, interleaved=1, num_heads=heads, rotary_embedding_dim=0)

    def layer(self, i: int, x: str) -> str:
        """Attention and the feed-forward layer, each added to what it reads."""
        op, y = self.attention, self.norm(f"attention_norm{i}_w", x)
        q, k, v = (self.product(f"{part}{i}_w", y) for part in "qkv")
        ins = self.turned(q, op.heads), self.turned(k, op.kv_heads), v, f"keys{i}", f"values{i}", "seen", "total"
        new = f"new_keys{i}", f"new_values{i}"
        y = self.emit("GroupQueryAttention", *ins, more=new, domain=OWN, num_heads=op.heads, kv_num_heads=op.kv_heads)
        x = self.emit("Add", x, self.product(f"o{i}_w", y))
        y = self.norm(f"ffn_norm{i}_w", x)
        gate = self.product(f"gate{i}_w", y)
        gate = self.emit("Mul", gate, self.emit("Sigmoid", gate))
        y = self.emit("Mul", gate, self.product(f"up{i}_w", y))
        return self.emit("Add", x, self.product(f"down{i}_w", y))

    def model(self) -> onnx.ModelProto:
        """The whole."""
        for i, name in enumerate(("cosines", "sines")):
            self.array(name, self.weights["rotations"][..., i])
        x = self.emit("Gather", self.array("embedding", self.weights["embedding_w"]), "tokens")
        for i in range(self.layers):
            x = self.layer(i, x)
        last = self.emit("Gather", x, self.array("last", np.array([-1])), axis=1)
        classifier = self.array("classifier", self.weights["embedding_w"].T)
        self.emit("MatMul", self.norm("norm_w", last), classifier, out="logits")
        plain = [("tokens", INT64, (1, "n")), ("at", INT64, (1,)), ("seen", INT32, (1,)), ("total", INT32, ())]
        ins = [helper.make_tensor_value_info(*one) for one in plain]
        ins += [helper.make_tensor_value_info(name, FLOAT, self.cache) for name in self.caches]
        outs = [helper.make_tensor_value_info("logits", FLOAT, (1, 1, self.vocab))]
        outs += [helper.make_tensor_value_info(f"new_{name}", FLOAT, self.cache) for name in self.caches]
        graph = helper.make_graph(self.nodes, "decoder", ins, outs, self.arrays)
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid(OWN, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=9)


class Call:
    """A session bound to arrays for `n` tokens at once; its caches are given."""

    def __init__(self, session: ort.InferenceSession, n: int, vocab: int, caches: dict[str, ort.OrtValue]) -> None:
        self.session, self.binding = session, session.io_binding()
        self.tokens, self.at = np.zeros((1, n), np.int64), np.zeros(1, np.int64)
        self.seen, self.total = np.zeros(1, np.int32), np.zeros((), np.int32)
        self.logits = np.zeros((1, 1, vocab), np.float32)
        for name in ("tokens", "at", "seen", "total"):
            self.binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(getattr(self, name)))
        self.binding.bind_ortvalue_output("logits", ort.OrtValue.ortvalue_from_numpy(self.logits))
        for name, value in caches.items():
            self.binding.bind_ortvalue_input(name, value)
            self.binding.bind_ortvalue_output(f"new_{name}", value)

    def run(self, at: int) -> int:
        """The likeliest token after those in `tokens`, whose first stands at a position."""
        self.at[0], self.seen[0], self.total[...] = at, at + self.tokens.size - 1, at + self.tokens.size
        self.session.run_with_iobinding(self.binding)
        return int(self.logits.argmax())


def opened(module: Module) -> tuple[Exported, ort.InferenceSession, dict[str, ort.OrtValue]]:
    """The graph, a session of one thread, and caches."""
    exported, options = Exported(module), ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    model = exported.model().SerializeToString()
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    caches = {n: ort.OrtValue.ortvalue_from_numpy(np.zeros(exported.cache, np.float32)) for n in exported.caches}
    return exported, session, caches


def main() -> None:
    """Seconds of each round, the tokens, and the logits of the prompt's last one."""
    path, count, rounds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    exported, session, caches = opened(import_llama2c(path, "timed"))
    decode, prefill = (Call(session, n, exported.vocab, caches) for n in (1, count))
    tokens = [1] * (count + 1)
    for _ in range(rounds):
        begun = time.process_time()
        for at in range(count):
            decode.tokens[0, 0] = tokens[at]
            tokens[at + 1] = decode.run(at)
        between = time.process_time()
        prefill.tokens[0] = tokens[:count]
        following = prefill.run(0)
        print(f"{between - begun:.9f} {time.process_time() - between:.9f}")
    print(*tokens, following)
    print(*prefill.logits.ravel())


if __name__ == "__main__":
    main()
