"""What an operator is: one class with its types, meaning, gradient, C kernels and checked examples. Floor 1."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

import numpy as np

from tte.errors import BadModel, Unsupported
from tte.types import Array, DType, TensorType, Value

Types: TypeAlias = tuple[TensorType, ...]
Values: TypeAlias = tuple[Value, ...]
Arrays: TypeAlias = tuple[Array, ...]
Params: TypeAlias = dict[str, int | float | Array]
Scalars: TypeAlias = dict[str, int | float]
Consts: TypeAlias = dict[str, Array]

REGISTRY: dict[str, type[Op]] = {}


class Grows(Protocol):
    """A graph under construction."""

    def emit(self, op: Op, /, *ins: Value) -> Values:
        """Append a node and return its results."""
        ...

    def constant(self, name: str, type: TensorType, value: Array) -> Value:
        """Add an array in flash."""
        ...


@dataclass(frozen=True, slots=True)
class Window:
    """The rows of input 0 that an output row r needs: r * stride - pad + k * dilation for 0 <= k < size, if inside."""

    size: int
    stride: int
    pad: int
    dilation: int = 1


@dataclass(frozen=True, slots=True)
class Slices:
    """Channels c <= i < c + n computed by themselves: the axis along which each operand is cut, None where it is not.

    Only the first and the last axis are cut. A result that is not cut is a sum, to which every slice adds its part; the
    first, c = 0, begins it.
    """

    ins: tuple[int | None, ...]
    outs: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """How results come in parts, each by the same kernel, with the same bits.

    The parameter `count` says how many rows (heads, outputs) a call makes, from the one on at which its pointers are:
    of these the elements of one are `each`. `consts` have rows for the same, or blocks of LANES, and must be constants.
    The parameter `first` is the number of the first one.
    """

    count: str
    each: Mapping[str, int]
    consts: tuple[str, ...] = ()
    first: str = ""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A C function that computes an op for these element types on any CPU, or on those that have `isa`.

    `form` says what one call of the C body computes:
    "whole", the whole result; "flat", any number of rows, as many as its parameters say; "window", one row of the
    result from pointers to the rows of input 0 (`Op.window`); "accumulate", given one row of input 0 and its number,
    adds it to sums in scratch, which the first row clears, and from the last row makes the result, which is one row;
    "arrival", no C at all: whoever calls the model writes the next row of the result;
    "channels", the whole, or some channels from the first one `c` on (`Op.slices`): pointers to what is cut along an
    axis are those of channel c, and the last argument is c. Its parameters are those of the operands as cut. Of one cut
    along its last axis, the parameter `<operand>_pitch` (`y_pitch`, `y1_pitch` of results) says how many elements its
    pixels lie apart.
    A layer and a cascade are loops over calls, made by codegen; constants may not depend on the number of rows.

    Arguments in C: the parameters' struct, one pointer per input, one per array of `Op.params`, the results, scratch.
    `pack` lays constants out anew (by name of the operand, see `Op.operands`, and of the array; it is also given the
    scalar parameters, without dimensions); what it leaves out is not passed. It asks that `packs` be constants.
    Where some arguments may be absent, `takes` names all after input 0, in their order; NULL stands for the absent
    ones, and `r` for the first row that a call makes. With `y1` among them it can also make the mask of its clamp.
    """

    symbol: str
    header: str
    ins: tuple[DType, ...]
    outs: tuple[DType, ...]
    isa: str = ""
    form: Literal["whole", "flat", "window", "accumulate", "arrival", "channels"] = "whole"
    inplace: tuple[tuple[int, int], ...] = ()  # (input, output) pairs that may be the same memory
    when: Callable[[Types, Types, Params], bool] = lambda ins, outs, params: True
    needs: str = ""  # what `when` asks, in words, for the report
    scratch: Callable[[Types, Types, Params], int] = lambda ins, outs, params: 0  # bytes
    per_mac: float = 8.0  # modelled instructions per multiply-accumulate,
    per_out: float = 20.0  # and per element of the results
    rest: tuple[float, ...] = ()  # what 1, 2.. pixels cost that are too few to be computed at once, in those that are
    pack: Callable[[Consts, Types, Types], Consts] | None = None
    packs: tuple[str, ...] | None = None  # operands that `pack` needs, if not all but the first
    lives: str = ""  # an operand that must not be a constant
    optional: int = 0  # how many of the last of `ins` may be absent
    takes: tuple[str, ...] = ()
    params: str = ""  # the kernel whose struct it takes, if not its own

    @property
    def struct(self) -> str:
        """The C type of its parameters, shared by the variants of one kernel."""
        return (self.params or self.symbol.removesuffix(f"_{self.isa}")) + "_params"

    def fits(self, ins: Types, outs: Types, params: Params) -> bool:
        """True if it computes a node of these types; one dtype at the end of `ins` stands for any further inputs."""
        given, made = tuple(t.dtype for t in ins), tuple(t.dtype for t in outs)
        asked = self.ins + self.ins[-1:] * (len(given) - len(self.ins)) if self.ins else ()
        enough = len(given) >= len(self.ins) - self.optional and given == asked[: len(given)]
        masked = "y1" in self.takes and made == (*self.outs, DType.U1)
        return enough and (masked or made == self.outs) and self.when(ins, outs, params)

    def objection(self, operands: Sequence[str], constants: Collection[str]) -> str:
        """Why it cannot compute a node of whose operands these are constants; "" if it can."""
        needed = operands[1:] if self.packs is None else self.packs
        changing = [n for n in operands if self.pack and n in needed and n not in constants]
        if changing:
            return f"packs {', '.join(changing)}, which must be constant"
        return f"is for {self.lives} that changes" if self.lives in constants else ""

    def cost(self, macs: int, outs: Types, by_rows: bool = False) -> float:
        """Modelled instructions of a call, or of one row after the other; only their order matters, to `select`."""
        whole = self.per_mac * macs + self.per_out * sum(t.size for t in outs)
        tile, shape = len(self.rest) + 1, outs[0].shape
        if tile == 1 or len(shape) < 2:
            return whole
        pixels = shape[-2] if by_rows or self.form == "window" else math.prod(shape[:-1])
        return whole * (pixels // tile * tile + (0.0, *self.rest)[pixels % tile]) / pixels


class Op:
    """Base of all operators. A subclass is a frozen dataclass whose fields are the attributes."""

    __slots__ = ()
    kernels: ClassVar[tuple[Kernel, ...]] = ()
    operands: ClassVar[tuple[str, ...]] = ("x",)  # names of the inputs
    variadic: ClassVar[bool] = False  # True where more inputs than named ones may follow
    optional: ClassVar[int] = 0  # how many of the last operands may be absent
    view: ClassVar[bool] = False  # True where the result is its first input's bytes under another type
    listed: ClassVar[bool] = True  # False where only lowering makes it, so that no graph has it

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if cls.listed:
            REGISTRY[cls.label()] = cls

    @classmethod
    def label(cls) -> str:
        """Its name in the IR: LinearGradX is linear_grad_x."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    @classmethod
    def operand(cls, i: int) -> str:
        """The name of input `i`; inputs past the named ones are numbered."""
        return cls.operands[i] if i < len(cls.operands) else f"{cls.operands[-1]}{i}"

    def infer(self, *types: TensorType) -> Types:
        """Result types, or a BadModel that says in words what is wrong. Called through `results`."""
        raise NotImplementedError

    def results(self, *types: TensorType) -> Types:
        """Result types, after the number of inputs was checked."""
        n, given = len(self.operands), len(types)
        enough = n - self.optional <= given <= n or (self.variadic and given > n)
        self.expect(enough, f"has {given} inputs, not {n}")
        return self.infer(*types)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """The meaning, in numpy. Integers are bit-exact with C; floats keep the precision of `args`."""
        raise NotImplementedError

    def vjp(self, graph: Grows, grads: tuple[Value | None, ...], ins: Values, outs: Values) -> tuple[Value | None, ...]:
        """Emit nodes for the gradient of each input, given that of each output; None where there is none.

        All gradients are f32, of the real numbers that the integers stand for (DESIGN 5).
        """
        raise Unsupported(self.label(), "has no gradient", "freeze what comes before it")

    def slices(self, ins: Types, outs: Types) -> tuple[Slices, ...]:
        """Ways in which a part of the channels can be computed by itself. Asked only of "channels" kernels."""
        raise NotImplementedError

    def cut(self, ins: Types, outs: Types) -> Cut | None:
        """How kernels of form "whole" compute it in parts; None where they can't."""
        return None

    def params(self, ins: Types, outs: Types) -> Params:
        """Values of the kernel's C struct, and arrays passed beside it: the only place where scales become integers."""
        return {"size": outs[0].size}

    def window(self, ins: Types, outs: Types) -> Window:
        """Rows of input 0 that a row of the result needs; axis 1 of NHWC. Asked only of "window" kernels."""
        raise NotImplementedError

    def macs(self, ins: Types, outs: Types) -> int:
        """Multiply-accumulates of one call."""
        return 0

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Instances that the tests run on every kernel and every board."""
        raise NotImplementedError

    def expect(self, condition: bool, what: str, hint: str = "") -> None:
        """Reject the model unless `condition` holds."""
        if not condition:
            raise BadModel(self.label(), what, hint)

    def __str__(self) -> str:
        attributes = _attributes(self)
        return self.label() + (f"({', '.join(attributes)})" if attributes else "")


def _attributes(op: Any) -> list[str]:
    """`name=value` for each field that is not at its default."""
    pairs = [(f, getattr(op, f.name)) for f in fields(op)]
    return [f"{f.name}={_shown(v)}" for f, v in pairs if f.default is MISSING or v != f.default]


def _shown(value: object) -> str:
    """An attribute's value as text.py reads it."""
    if isinstance(value, tuple):
        return f"({', '.join(map(_shown, value))})"
    return json.dumps(value) if isinstance(value, str) else str(value)


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """An op with arguments, those at `consts` being constants; floats may differ by `rtol`, integers not at all."""

    op: Op
    ins: Types
    args: Arrays
    consts: tuple[int, ...] = ()
    rtol: float = 0.0

    @staticmethod
    def random(op: Op, *ins: TensorType, consts: tuple[int, ...] = (), below: int = 1000, seed: int = 0) -> Example:
        """Arguments drawn at random: normal floats, every s8 (and s16), and s32 in [-below, below)."""
        rng = np.random.default_rng(seed)
        draw: dict[DType, Callable[[tuple[int, ...]], Array]] = {
            DType.F32: lambda shape: rng.standard_normal(shape).astype(np.float32),
            DType.S8: lambda shape: rng.integers(-128, 128, shape, np.int8),
            DType.U1: lambda shape: rng.integers(0, 2, shape, np.uint8),
            DType.U8: lambda shape: rng.integers(0, 256, shape, np.uint8),
            DType.S16: lambda shape: rng.integers(-(2**15), 2**15, shape, np.int16),
            DType.S32: lambda shape: rng.integers(-below, below, shape, np.int32),
            DType.S64: lambda shape: rng.integers(-below, below, shape, np.int64),
        }
        return Example(op, ins, tuple(draw[t.dtype](t.shape) for t in ins), consts)
