"""What a language model's bytes are for. Floor 4."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from tte.op import Op
from tte.ops.gather import Gather
from tte.ops.linear import Linear
from tte.ops.linear_groups import LinearGroups
from tte.ops.linear_rows import LinearRows
from tte.ops.shadow import Shadow
from tte.program import Call, MemoryPlan
from tte.record import Language
from tte.types import Array

# Arrays by name, and the symbol of each that a call reads, which may be cast.
Constants: TypeAlias = tuple[Mapping[str, Array], Mapping[tuple[Call, str], str]]
KINDS = ("embedding", "matrices and biases", "shadows", "norms and tables")


def language(chunk: int, context: int, plan: MemoryPlan, constants: Iterable[Constants]) -> Language:
    """What to tell of a language model, all of whose states are caches; `constants` are those of each unit."""
    flash = Counter[str]()
    for one in constants:
        flash.update(flash_by_kind(one))
    return Language(chunk, context, sum(s.bytes for s in plan.states), {k: flash[k] for k in KINDS})


def flash_by_kind(constants: Constants) -> Mapping[str, int]:
    """Bytes of the arrays by kind, which sum up to all; one that several ops read is of the first kind in `KINDS`."""
    arrays, symbols = constants
    found = dict.fromkeys(arrays, KINDS[-1])
    for (call, _), symbol in symbols.items():
        name = symbol.rpartition(")")[2]
        found[name] = min(found[name], _kind(call.node.op), key=KINDS.index)
    return {kind: sum(a.nbytes for name, a in arrays.items() if found[name] == kind) for kind in KINDS}


def _kind(op: Op) -> str:
    match op:
        case Gather():
            return KINDS[0]
        case Linear() | LinearRows() | LinearGroups():
            return KINDS[1]
        case Shadow():
            return KINDS[2]
        case _:
            return KINDS[3]
