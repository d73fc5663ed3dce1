"""What of a network is trained: plans, as TOML and by name. Floor 1."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, TypeAlias, cast

from tte.errors import TteError

PLANS = Path(__file__).parent / "plans"
Name: TypeAlias = int | str  # a layer: its index, 0 the first, or what the imported model calls it
Layers: TypeAlias = int | Literal["all"] | tuple[Name, ...]  # the last so many, all of them, or these
Table: TypeAlias = Mapping[str, object]
GENERIC = ("last-K", "bias-only", "bias-only-K", "head-only", "full")


@dataclass(frozen=True, slots=True)
class Part:
    """A layer of which some input channels' weights are trained (a depthwise one: some channels' filters).

    Either a share of the channels, 0 < ratio <= 1, or the channels themselves.
    """

    layer: Name
    ratio: float = 1.0
    channels: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainPlan:
    """Which biases and weights are trained.

    Layers are convolutions and fully connected ones in the order of the graph; indices, and "the last k", don't count
    the head, which is the last of all, and is trained whole unless `head` is False. `weights` are layers trained whole,
    `parts` those trained in part. `select` says which channels a ratio takes: those with the largest weights, or the
    first.
    """

    biases: Layers = 0
    weights: Layers = 0
    parts: tuple[Part, ...] = ()
    select: Literal["norm", "first"] = "norm"
    head: bool = True

    def __str__(self) -> str:
        """As TOML, which `parse_plan` reads."""
        lines = [f"{name} = {_shown(getattr(self, name))}" for name in ("biases", "weights", "select", "head")]
        for part in self.parts:
            key = "conv" if isinstance(part.layer, int) else "name"
            what = f"channels = {_shown(part.channels)}" if part.channels else f"ratio = {part.ratio}"
            lines += ["", "[[layer]]", f"{key} = {_shown(part.layer)}", what]
        return "\n".join(lines) + "\n"


def plans() -> tuple[str, ...]:
    """Names of the plans that tte brings; GENERIC ones fit any model."""
    return tuple(sorted(path.stem for path in PLANS.glob("*.toml")))


def load_plan(name: str) -> TrainPlan:
    """The plan of that name, or in that file; TteError if there is none, or it isn't one."""
    if found := _generic(name):
        return found
    path = PLANS / f"{name}.toml" if name in plans() else Path(name)
    if not path.is_file():
        raise TteError("--plan", f"there is no plan or file {name!r}", "plans: " + ", ".join((*GENERIC, *plans())))
    try:
        return parse_plan(str(path) if path.parent != PLANS else name, path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise TteError(str(path), f"cannot be read as text: {error}") from error


def parse_plan(where: str, text: str) -> TrainPlan:
    """The plan that a TOML file says; TteError, in one line, where it doesn't make sense."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TteError(where, str(error)) from error
    _known(where, table, ("biases", "weights", "layer", "select", "head"))
    select, head, parts = table.get("select", "norm"), table.get("head", True), table.get("layer", [])
    if select not in ("norm", "first"):
        raise TteError(where, f"select must be norm or first, not {_shown(select)}")
    if not isinstance(head, bool):
        raise TteError(where, f"head must be true or false, not {_shown(head)}")
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in cast(list[object], parts)):
        raise TteError(where, "layers must be [[layer]] tables")
    read = tuple(_part(where, part) for part in cast(list[Table], parts))
    biases, weights = _layers(where, "biases", table), _layers(where, "weights", table)
    return TrainPlan(biases, weights, read, "norm" if select == "norm" else "first", head)


def _generic(name: str) -> TrainPlan | None:
    """The plans that fit any model."""
    found = re.fullmatch(r"(last|bias-only)-([1-9]\d{0,5})", name)
    if found:
        k = int(found[2])
        return TrainPlan(k, k if found[1] == "last" else 0)
    known = {"bias-only": TrainPlan("all"), "head-only": TrainPlan(), "full": TrainPlan("all", "all")}
    return known.get(name)


def _part(where: str, table: Table) -> Part:
    """A [[layer]] table."""
    _known(f"{where}, [[layer]]", table, ("conv", "name", *(f.name for f in fields(Part) if f.name != "layer")))
    if len({"conv", "name"} & table.keys()) != 1 or len({"ratio", "channels"} & table.keys()) > 1:
        raise TteError(f"{where}, [[layer]]", "needs conv or name, and a ratio or channels")
    layer = _name(where, table.get("conv", table.get("name")), int if "conv" in table else str)
    place = f"{where}, layer {_shown(layer)}"
    ratio, channels = table.get("ratio", 1.0), table.get("channels", [0])
    if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 0 < ratio <= 1:
        raise TteError(place, f"ratio must lie above 0 and not above 1, not {_shown(ratio)}")
    if not isinstance(channels, list) or not channels:
        raise TteError(place, "channels must be a list of at least one index")
    listed = tuple(cast(int, _name(place, c, int)) for c in cast(list[object], channels))
    if len(set(listed)) < len(listed):
        raise TteError(place, "channels names one twice")
    return Part(layer, float(ratio), listed if "channels" in table else ())


def _layers(where: str, key: str, table: Table) -> Layers:
    """`biases` or `weights`."""
    value = table.get(key, 0)
    if value == "all":
        return "all"
    if isinstance(value, list):
        return tuple(_name(f"{where}, {key}", item, (int, str)) for item in cast(list[object], value))
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TteError(where, f'{key} must be a number of layers, "all" or a list of layers, not {_shown(value)}')
    return value


def _name(where: str, value: object, kinds: type | tuple[type, ...]) -> Name:
    """An index of at least 0, or a name."""
    if isinstance(value, bool) or not isinstance(value, kinds) or (isinstance(value, int) and value < 0):
        raise TteError(
            where, f"{_shown(value)} is not {'a name' if kinds is str else 'the index of a layer or channel'}"
        )
    return cast(Name, value)


def _known(where: str, table: Table, keys: tuple[str, ...]) -> None:
    if unknown := table.keys() - set(keys):
        raise TteError(where, f"unknown key {min(unknown)!r}", "known: " + ", ".join(keys))


def _shown(value: object) -> str:
    """A value as TOML writes it."""
    return json.dumps(value, default=str, ensure_ascii=False)
