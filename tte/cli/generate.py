"""tte generate: a compiled language model goes on with a text. Floor 10."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tte.cli.console import progress
from tte.cli.options import MAX_SEED
from tte.errors import TteError
from tte.language.generate import Request, as_text, generate
from tte.language.sampler import Sampler
from tte.language.speech import TOKENS, context, speech
from tte.language.tokenizer import read_tokenizer
from tte.running.emulate import build
from tte.running.session import open_project


def generate_(
    folder: Annotated[Path, typer.Argument(help="A folder of `tte compile MODEL --tokenizer FILE`.")],
    prompt: Annotated[str, typer.Argument(help="How the text begins.")] = "",
    tokens: Annotated[int, typer.Option(min=0, help="How many to add at most.")] = 256,
    temperature: Annotated[
        float, typer.Option(help="0 takes the likeliest token; higher ones draw more freely.")
    ] = 0.0,
    top_p: Annotated[
        float, typer.Option(help="Draw only from the likeliest tokens that together have this share.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Of what is drawn.")] = 0,
) -> None:
    """Let a compiled language model go on with a text, which is printed as it comes."""
    session = open_project(folder)
    context(session.module)  # refuses what is no language model
    if not (folder / TOKENS).is_file():
        raise TteError(str(folder), "has no tokenizer", "tte compile MODEL --tokenizer FILE")
    model = speech(session.module, read_tokenizer(folder / TOKENS))
    sampler = Sampler(temperature, top_p, seed)
    request = Request(prompt.encode(errors="surrogateescape"), min(tokens, model.context.seq), sampler)
    with progress(f"building {session.record.model} for {session.board.name}"):
        elf = build(folder, session.board)
    said = generate(elf, session.board, model, request)
    print(prompt, end="", flush=True)
    for text in as_text(said):
        print(text, end="", flush=True)
    print()
