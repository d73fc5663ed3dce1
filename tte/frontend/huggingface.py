"""Decoder-only transformers as Hugging Face keeps them: a config.json, and weights by the names of its modules.

Source of names, defaults and formulas: github.com/huggingface/transformers, models/llama, mistral and qwen2. Floor 5.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tte.errors import BadModel, Unsupported
from tte.frontend.decoder import CHUNK, Config, decoder
from tte.frontend.safetensors import read_safetensors
from tte.ir import Module
from tte.types import Array

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
KINDS = ("llama", "mistral", "qwen2")
EMBEDDING, CLASSIFIER = "model.embed_tokens.weight", "lm_head.weight"
PARTS = {
    "attention_norm": "input_layernorm",
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "o": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}
MOST_CACHES = 2**31  # bytes, beyond which nothing here is meant to go
# What these models may also be, but here are not: the values that leave the formulas as they are.
PLAIN: dict[str, tuple[object, ...]] = {
    "hidden_act": ("silu",),
    "partial_rotary_factor": (None, 1, 1.0),
    "pretraining_tp": (None, 1),
    "quantization_config": (None,),
    "num_experts": (None, 0),
    "num_local_experts": (None, 0),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """A config.json."""

    where: str
    values: Mapping[str, object]

    def whole(self, key: str, default: int | None = None) -> int:
        """A whole number; `default` where there is none."""
        found = self.values.get(key)
        found = default if found is None else found
        if type(found) is not int:
            raise BadModel(self.where, f"{key} is {_shown(found)}, not a whole number")
        return found

    def real(self, key: str, default: float) -> float:
        """A number above 0; `default` where there is none."""
        found = self.values.get(key)
        found = default if found is None else found
        if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found < 1e30:
            raise BadModel(self.where, f"{key} is {_shown(found)}, not a number above 0")
        return float(found)

    def flag(self, key: str, default: bool = False) -> bool:
        """true or false; `default` where there is none."""
        found = self.values.get(key)
        found = default if found is None else found
        if not isinstance(found, bool):
            raise BadModel(self.where, f"{key} is {_shown(found)}, neither true nor false")
        return found

    def plain(self, key: str, allowed: tuple[object, ...]) -> None:
        """Refuse a setting that changes the formulas."""
        if key in self.values and self.values[key] not in allowed:
            raise Unsupported(self.where, f"{key} is {_shown(self.values[key])}, only {_shown(allowed[0])} is known")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a config.json asks for: the shape of a transformer, and what has a bias (the parts of `Config.weights`)."""

    config: Config
    biased: tuple[str, ...]

    @property
    def names(self) -> dict[str, str]:
        """Of each tensor that the model must have, its name here and Hugging Face's."""
        found = {"embedding": EMBEDDING, "norm": "model.norm.weight"}
        for i in range(self.config.layers):
            for part, theirs in PARTS.items():
                found[f"{i}.{part}"] = f"model.layers.{i}.{theirs}.weight"
                if part in self.biased:
                    found[f"{i}.{part}.bias"] = f"model.layers.{i}.{theirs}.bias"
        return found if self.config.tied else found | {"classifier": CLASSIFIER}


def import_folder(path: Path, name: str, chunk: int = CHUNK, context: int | None = None) -> Module:
    """Read a folder of config.json and model.safetensors, in one file or in several with an index."""
    asked = plan(path / CONFIG, read_text(path / CONFIG), context)
    return named(path, name, asked, _tensors(path), chunk)


def plan(where: Path, text: str, context: int | None = None) -> Plan:
    """What a config.json says; the context is `context` positions where that is less than its own."""
    s = Settings(str(where), _object(where, text))
    kind = s.values.get("model_type")
    if kind not in KINDS:
        raise Unsupported(s.where, f"model_type is {_shown(kind)}", f"known: {', '.join(KINDS)}")
    for key, allowed in PLAIN.items():
        s.plain(key, allowed)
    rope = _rope(s)
    heads, seq = s.whole("num_attention_heads"), s.whole("max_position_embeddings")
    config = Config(
        dim=s.whole("hidden_size"),
        hidden=s.whole("intermediate_size"),
        layers=s.whole("num_hidden_layers"),
        heads=heads,
        kv_heads=s.whole("num_key_value_heads", heads if kind == "llama" else None),
        vocab=s.whole("vocab_size"),
        seq=seq if context is None else min(seq, context),
        eps=s.real("rms_norm_eps", 1e-6),
        rope="halves",
        theta=rope.real("rope_theta", 10000.0),
        tied=s.flag("tie_word_embeddings"),
        head_dim=s.whole("head_dim", 0),
    )
    config.check(s.where)
    _window(s, kind, config.seq)
    if (caches := 8 * config.layers * config.seq * config.kv_dim) > MOST_CACHES:
        what = f"the caches of {config.seq:,} positions take {caches:,} bytes, {MOST_CACHES:,} at most"
        raise Unsupported(s.where, what, "--context shortens a text")
    biased = ("q", "k", "v") if kind == "qwen2" else ("q", "k", "v", "o") if s.flag("attention_bias") else ()
    return Plan(config, biased + (("gate", "up", "down") if s.flag("mlp_bias") else ()))


def named(path: Path, name: str, asked: Plan, tensors: Mapping[str, Array], chunk: int) -> Module:
    """The module of a model whose tensors have Hugging Face's names, perhaps all behind one prefix."""
    first = next((key for key in tensors if key.endswith(EMBEDDING)), EMBEDDING).removesuffix(EMBEDDING)
    found = {key.removeprefix(first): array for key, array in tensors.items() if "rotary_emb" not in key}
    if asked.config.layers > len(found):
        raise BadModel(str(path), f"{len(found)} tensors are too few for {asked.config.layers} layers")
    names = asked.names
    if missing := [theirs for theirs in names.values() if theirs not in found]:
        raise BadModel(str(path), f"the tensor {missing[0]} is missing")
    if asked.config.tied and not np.array_equal(found.pop(CLASSIFIER, found[EMBEDDING]), found[EMBEDDING]):
        raise BadModel(str(path), f"{CLASSIFIER} is not the embedding, with which it shall be tied")
    if unknown := found.keys() - set(names.values()):
        raise Unsupported(str(path), f"the tensor {min(unknown)} has no place in this kind of model")
    weights = {ours: found[theirs] for ours, theirs in names.items()}
    return decoder(name, asked.config, weights, chunk, names)


def read_text(path: Path) -> str:
    """A file of text; BadModel where there is none, or other bytes."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadModel(str(path), "cannot be read") from error


def _object(where: Path, text: str) -> dict[str, object]:
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadModel(str(where), "is no JSON") from error
    if not isinstance(found, dict):
        raise BadModel(str(where), "is no object of JSON")
    return found


def _rope(s: Settings) -> Settings:
    """The settings with those of RoPE, which newer files keep in an object of their own."""
    found = s.values.get("rope_parameters") or s.values.get("rope_scaling") or {}
    if not isinstance(found, dict):
        raise BadModel(s.where, "the settings of RoPE are no object")
    kind = found.get("rope_type", found.get("type", "default"))
    if kind != "default":
        raise Unsupported(s.where, f"RoPE is scaled by {_shown(kind)}, which is not known")
    return Settings(s.where, {**s.values, **found})


def _window(s: Settings, kind: str, seq: int) -> None:
    """Refuse attention that sees less than the context."""
    if s.values.get("sliding_window") is None or (kind == "qwen2" and not s.flag("use_sliding_window")):
        return
    if (width := s.whole("sliding_window")) < seq:
        what = f"attention sees a window of {width} positions, less than the context of {seq}"
        raise Unsupported(s.where, what, f"--context {width}")


def _tensors(folder: Path) -> dict[str, Array]:
    """Those of all files."""
    if not (folder / INDEX).is_file():
        if not (folder / WEIGHTS).is_file():
            raise BadModel(str(folder), f"holds no {WEIGHTS}", "save_pretrained writes it")
        return read_safetensors(folder / WEIGHTS)
    places = _object(folder / INDEX, read_text(folder / INDEX)).get("weight_map")
    files = set(places.values()) if isinstance(places, dict) else {None}
    found: dict[str, Array] = {}
    for file in sorted(map(str, files)):
        if Path(file).name != file or not (folder / file).is_file():
            raise BadModel(str(folder / INDEX), f"names {file}, which is not in the folder")
        found |= read_safetensors(folder / file)
    return found


def _shown(value: object) -> str:
    """A value of JSON, cut where it is long."""
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
