"""The subgraphs of a decoder's layer from its shapes and the units' costs, without a program. Floor 5."""

from __future__ import annotations

from dataclasses import dataclass

from tte.passes.npu.stages import Stage
from tte.target import Costs
from tte.types import NPU

F32 = 4  # bytes


@dataclass(frozen=True, slots=True)
class LayerShape:
    """What decides the work of a layer with a gated feed-forward network, `kv` being all heads of the keys."""

    dim: int
    hidden: int
    kv: int


def layer_stages(shape: LayerShape, chunk: int, cpu: Costs, npu: Costs) -> tuple[Stage, ...]:
    """Its subgraphs for chunks of so many tokens: s8 goes to the NPU, f32 comes from it.

    A matmul's graph holds its s8 weights and a scale for each column; attention's a row of scores. Activations aren't
    counted, as all graphs share the arena.
    """
    d, h, kv = shape.dim, shape.hidden, shape.kv

    def floats(name: str, read: int, write: int) -> Stage:
        """Elementwise on the CPU, of so many f32 and s8 a token."""
        return Stage(name, "cpu", cpu.ticks(0, chunk * (F32 * read + write)), crossing=chunk * write)

    def matmul(name: str, k: int, n: int) -> Stage:
        """By k * n weights on the NPU."""
        cost = npu.ticks(chunk * k * n, chunk * (k + F32 * n))
        return Stage(name, NPU, cost, crossing=F32 * chunk * n, bytes=k * n + F32 * n)

    seen = chunk * (chunk + 1) // 2  # pairs of a token and one that it sees
    moved = chunk * (F32 * (d + 2 * kv) + d)
    first = cpu.ticks(2 * d * seen, moved)
    second = cpu.ticks(2 * d * (seen + chunk * chunk), moved + chunk * F32 * 2 * kv)
    attention = Stage(
        "attention",
        "cpu",
        first,
        attention=True,
        growth=second - first,
        crossing=chunk * d,
        bytes=F32 * chunk,
        bytes_growth=F32 * chunk,
    )
    return (
        floats("norm", 2 * d, d),
        matmul("qkv", d, d + 2 * kv),
        attention,
        matmul("o", d, d),
        floats("norm", 2 * d, d),
        matmul("gate, up", d, 2 * h),
        floats("swiglu", 2 * h, h),
        matmul("down", h, d),
    )
