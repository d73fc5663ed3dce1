"""The subgraphs of a decoder's layer from its shapes and the units' costs, without a program. Floor 5."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tte.passes.npu.stages import Stage
from tte.target import Costs
from tte.types import NPU

F32 = 4  # bytes, of s32 too

# One layer and a chunk of 256 tokens of Qwen1.5-1.8B in microseconds, two thirds of them on the NPU: its matmuls as
# their products at dim 2048 and hidden 5504; norms, attention and shadows on the CPU are fitted to published totals of
# mllm-NPU: at 4 chunks 2,167 ms in order, 1,260 of them the NPU's.
TWO_TO_ONE = (
    Stage("norm", "cpu", 1240),
    Stage("qkv", NPU, 3264),
    Stage("attention", "cpu", 3840, attention=True, growth=1920),
    Stage("o", NPU, 1088),
    Stage("norm", "cpu", 1482),
    Stage("ffn", NPU, 8773),
)


@dataclass(frozen=True, slots=True)
class LayerShape:
    """What decides the work of a layer with a gated feed-forward network, `kv` being all heads of the keys.

    `hot` is the share of a matrix product's input channels that have a shadow.
    """

    dim: int
    hidden: int
    kv: int
    hot: float = 0.0


QWEN = LayerShape(dim=2048, hidden=5504, kv=2048, hot=0.03)  # Qwen1.5-1.8B, 24 layers of 16 heads


@dataclass(frozen=True, slots=True)
class Work:
    """A call: its op, products, elements of its results, and bytes that it reads and writes but for constants."""

    op: str
    macs: int
    elements: int
    moved: int


def layer_stages(shape: LayerShape, chunk: int, cpu: Costs, npu: Costs, threads: int = 1) -> tuple[Stage, ...]:
    """Its subgraphs for chunks of so many tokens: s8 goes to the NPU, sums in s32 come from it.

    So many threads of the CPU, each as fast as `cpu` says, share attention, as passes/threads.py has it.
    A matmul's graph holds its s8 weights and a scale for each column, those behind it the weights of hot channels;
    attention's a row of scores. Activations aren't counted, as all graphs share the arena.
    """
    d, h, kv = shape.dim, shape.hidden, shape.kv
    parts = _Parts(shape, chunk, cpu, npu, threads)
    norm = (parts.each("rms_norm", d, 2 * F32), parts.each("quantize", d, F32 + 1))
    qkv = parts.sums(d, d + 2 * kv)
    rows = parts.each("rope", d + kv, 2 * F32), parts.each("cache_rows", 2 * kv, 2 * F32)
    swiglu = parts.each("silu", h, 2 * F32), parts.each("mul", h, 3 * F32), parts.each("quantize", h, F32 + 1)
    add = parts.each("add", d, 3 * F32)
    return (
        parts.floats("norm", norm, crossing=d),
        parts.matmul("qkv", d, d + 2 * kv),
        parts.floats("rope", (*qkv, *rows), hot=(d, d + 2 * kv)),
        parts.attention(),
        parts.floats("quantize", (parts.each("quantize", d, F32 + 1),), crossing=d),
        parts.matmul("o", d, d),
        parts.floats("norm", (*parts.sums(d, d), add, *norm), crossing=d, hot=(d, d)),
        parts.matmul("gate, up", d, 2 * h),
        parts.floats("swiglu", (*parts.sums(d, 2 * h), *swiglu), crossing=h, hot=(d, 2 * h)),
        parts.matmul("down", h, d),
        parts.floats("add", (*parts.sums(h, d), add), hot=(h, d)),
    )


@dataclass(frozen=True, slots=True)
class _Parts:
    """Makes the stages."""

    shape: LayerShape
    chunk: int
    cpu: Costs
    npu: Costs
    threads: int

    def each(self, op: str, elements: int, moved: int) -> Work:
        """Elementwise, so many elements a token, each with so many bytes."""
        return Work(op, 0, self.chunk * elements, self.chunk * elements * moved)

    def sums(self, k: int, n: int) -> tuple[Work, ...]:
        """What makes floats of a matmul's sums: shadows, if there are any, and scales."""
        shadow = Work("shadow", self.chunk * int(k * self.shape.hot) * n, self.chunk * n, self.chunk * 2 * F32 * n)
        return (*((shadow,) if self.shape.hot else ()), self.each("dequantize", n, 2 * F32))

    def floats(self, name: str, works: Iterable[Work], crossing: int = 0, hot: tuple[int, int] = (0, 0)) -> Stage:
        """Calls on the CPU, a token's `crossing` bytes of whose result cross; `hot`: the shape of shadowed weights."""
        cost = sum(self.cpu.of(w.op, w.macs, w.elements, w.moved) for w in works)
        return Stage(name, "cpu", cost, crossing=self.chunk * crossing, bytes=int(hot[0] * self.shape.hot) * hot[1])

    def matmul(self, name: str, k: int, n: int) -> Stage:
        """By k * n weights on the NPU."""
        cost = self.npu.of("linear", self.chunk * k * n, self.chunk * n, self.chunk * (k + F32 * n))
        return Stage(name, NPU, cost, crossing=F32 * self.chunk * n, bytes=k * n + F32 * n)

    def attention(self) -> Stage:
        """It takes longer with each chunk."""
        d, chunk, kv = self.shape.dim, self.chunk, self.shape.kv
        seen = chunk * (chunk + 1) // 2  # pairs of a token and one that it sees
        moved, row = chunk * F32 * 2 * (d + kv), F32 * chunk
        first = self.cpu.of("attention", 2 * d * seen, chunk * d, moved)
        both = self.cpu.of("attention", 2 * d * (seen + chunk * chunk), chunk * d, moved + chunk * F32 * 2 * kv)
        cost, growth = (-(-ticks // self.threads) for ticks in (first, both - first))
        return Stage("attention", "cpu", cost, attention=True, growth=growth, bytes=row, bytes_growth=row)
