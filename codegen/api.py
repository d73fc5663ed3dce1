"""What the generated API of train_step has beside that of other functions. Floor 4."""

from __future__ import annotations

from dataclasses import dataclass

from tte.op import Values
from tte.program import Function
from tte.types import DType, TensorType, Value

LABEL = TensorType((1,), DType.S32)


@dataclass(frozen=True, slots=True)
class Lesson:
    """A train_step that lies in the arena: `label`, one of so many `classes`, is an argument, other inputs are not.

    Its outputs are the loss f32[1] and the scores, one per class.
    """

    given: Values
    label: Value | None
    classes: int
    loss: Value


def lesson(function: Function) -> Lesson | None:
    """None of a function that doesn't train, or whose inputs and outputs are the caller's."""
    if function.name != "train_step" or function.caller:
        return None
    loss, scores = function.outs[:2]
    last = function.ins[-1]
    labelled = last.type == LABEL
    return Lesson(
        function.ins[:-1] if labelled else function.ins, last if labelled else None, scores.type.shape[-1], loss
    )
