"""Llama's and its relatives' formulas in plain torch, with the names of Hugging Face's modules; and their files."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tte.language.tokenizer import Tokenizer

ADDED = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)


@dataclass(frozen=True)
class Asked:
    """The settings of a config.json that these modules obey."""

    model_type: str = "llama"
    hidden_size: int = 16
    intermediate_size: int = 20
    num_hidden_layers: int = 2
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    vocab_size: int = 279
    max_position_embeddings: int = 40
    rms_norm_eps: float = 1e-6
    rope_theta: float = 500.0
    tie_word_embeddings: bool = False
    attention_bias: bool = False
    mlp_bias: bool = False
    hidden_act: str = "silu"
    head_dim: int | None = None

    @property
    def head(self) -> int:
        return self.head_dim or self.hidden_size // self.num_attention_heads

    @property
    def json(self) -> str:
        return json.dumps(asdict(self))


class Norm(nn.Module):
    def __init__(self, c: Asked) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(c.hidden_size)), c.rms_norm_eps

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight


class Attention(nn.Module):
    def __init__(self, c: Asked) -> None:
        super().__init__()
        d, q, kv = c.hidden_size, c.num_attention_heads * c.head, c.num_key_value_heads * c.head
        biased = c.attention_bias or c.model_type == "qwen2"
        self.c = c
        self.q_proj = nn.Linear(d, q, bias=biased)
        self.k_proj, self.v_proj = (nn.Linear(d, kv, bias=biased) for _ in "kv")
        self.o_proj = nn.Linear(q, d, bias=c.attention_bias)

    def forward(self, x: Tensor) -> Tensor:
        n, c = x.shape[1], self.c
        q, k, v = (f(x).view(1, n, -1, c.head).transpose(1, 2) for f in (self.q_proj, self.k_proj, self.v_proj))
        turns = c.rope_theta ** -(torch.arange(0, c.head, 2, dtype=x.dtype) / c.head)
        angles = torch.arange(n, dtype=x.dtype)[:, None] * torch.cat([turns, turns])
        q, k = (t * angles.cos() + halves_turned(t) * angles.sin() for t in (q, k))
        k, v = (t.repeat_interleave(c.num_attention_heads // c.num_key_value_heads, 1) for t in (k, v))
        later = torch.ones(n, n, dtype=torch.bool).triu(1)
        scores = (q @ k.transpose(2, 3) / c.head**0.5).masked_fill(later, float("-inf"))
        return self.o_proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(1, n, -1))


def halves_turned(x: Tensor) -> Tensor:
    a, b = x.chunk(2, -1)
    return torch.cat([-b, a], -1)


class Mlp(nn.Module):
    def __init__(self, c: Asked) -> None:
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(c.hidden_size, c.intermediate_size, c.mlp_bias) for _ in "ab")
        self.down_proj = nn.Linear(c.intermediate_size, c.hidden_size, c.mlp_bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(nn.functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, c: Asked) -> None:
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = Norm(c), Norm(c)
        self.self_attn, self.mlp = Attention(c), Mlp(c)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class Body(nn.Module):
    def __init__(self, c: Asked) -> None:
        super().__init__()
        self.embed_tokens, self.norm = nn.Embedding(c.vocab_size, c.hidden_size), Norm(c)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.num_hidden_layers))

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed_tokens(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


class Speaker(nn.Module):
    """tokens [1,n] give logits [1,n,vocab]; weights are random, and such as `dtype` holds."""

    def __init__(self, asked: Asked, seed: int = 0, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.asked = asked
        self.model = Body(asked)
        self.lm_head = nn.Linear(asked.hidden_size, asked.vocab_size, bias=False)
        if asked.tie_word_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight
        random = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for p in self.parameters():
                p.copy_((torch.randn(p.shape, generator=random) * 0.5).to(dtype))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.lm_head(self.model(tokens))

    def tensors(self, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        """As a file keeps them: a tied classifier is not there."""
        tied = self.asked.tie_word_embeddings
        found = {k: v.detach().to(dtype).contiguous() for k, v in self.state_dict().items()}
        return {k: v for k, v in found.items() if not (tied and k == "lm_head.weight")}


def saved(speaker: Speaker, folder: Path, dtype: torch.dtype = torch.float32, shards: int = 1) -> Path:
    """A folder as save_pretrained writes it, by the safetensors package."""
    from safetensors.torch import save_file  # noqa: PLC0415 an oracle that only these tests need

    folder.mkdir()
    (folder / "config.json").write_text(speaker.asked.json)
    tensors = speaker.tensors(dtype)
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        return folder
    places = {k: f"model-{i % shards + 1:05}-of-{shards:05}.safetensors" for i, k in enumerate(tensors)}
    for name in set(places.values()):
        save_file({k: v for k, v in tensors.items() if places[k] == name}, folder / name, {"format": "pt"})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return folder


def exported(speaker: nn.Module, configs: dict[Path, str], tokens: int = 6) -> None:
    """Files of one program of torch.export, each with its config.json, "" for none."""
    program = torch.export.export(speaker, (torch.zeros(1, tokens, dtype=torch.int64),))
    for path, config in configs.items():
        torch.export.save(program, path, extra_files={"config.json": config} if config else None)


def tokenizer_json(own: Tokenizer, splitter: bool = False) -> str:
    """A tokenizer.json of the same tokens, with merges as Hugging Face's converter makes them from sentencepiece's."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256))]
    words = [piece.decode().replace(" ", "\u2581") for piece in own.pieces[259:]]
    pieces += [f"word {i}" if w in ("", *words[:i]) else w for i, w in enumerate(words)]  # none twice
    vocab, scores = {p: i for i, p in reversed([*enumerate(pieces)])}, own.scores.tolist()
    merges = [(p[:k], p[k:]) for p in pieces[259:] for k in range(1, len(p)) if {p[:k], p[k:]} <= vocab.keys()]
    merges.sort(key=lambda ab: (-scores[vocab["".join(ab)]], vocab["".join(ab)], vocab[ab[0]], vocab[ab[1]]))
    added = [{"id": i, "content": pieces[i], "special": True} | ADDED for i in range(3)]
    model = {"type": "BPE", "unk_token": "<unk>", "byte_fallback": True, "fuse_unk": True, "dropout": None}
    model |= {"continuing_subword_prefix": None, "end_of_word_suffix": None, "vocab": vocab, "merges": merges}
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    normalizer = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, replace]}
    metaspace = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": False}
    ends = (
        {"normalizer": None, "pre_tokenizer": metaspace}
        if splitter
        else {"normalizer": normalizer, "pre_tokenizer": None}
    )
    rest = {"version": "1.0", "truncation": None, "padding": None, "post_processor": None, "decoder": None}
    return json.dumps(rest | ends | {"added_tokens": added, "model": model})


def sentencepiece_model(own: Tokenizer, kind: int = 2, spaced: bool = True) -> bytes:
    """A model of sentencepiece of the same tokens: three kinds of messages of protobuf."""

    def field(number: int, value: int | bytes) -> bytes:
        if isinstance(value, int):
            return varint(number * 8) + varint(value)
        return varint(number * 8 + 2) + varint(len(value)) + value

    def varint(n: int) -> bytes:
        return bytes([n]) if n < 128 else bytes([n % 128 + 128]) + varint(n // 128)

    names = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256))]
    names += [piece.decode().replace(" ", "\u2581") for piece in own.pieces[259:]]
    kinds = [2, 3, 3, *[6] * 256, *[1] * (len(names) - 259)]
    pieces = b"".join(
        field(1, field(1, name.encode()) + b"\x15" + np.float32(score).tobytes() + field(3, k))
        for name, score, k in zip(names, own.scores, kinds, strict=True)
    )
    return (
        pieces + field(2, field(3, kind) + field(35, 1)) + field(3, field(1, b"identity") + field(4, int(not spaced)))
    )
