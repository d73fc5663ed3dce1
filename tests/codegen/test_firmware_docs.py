"""The example of docs/firmware.md compiles against a generated project."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from conftest import usable
from learner import learner

from tte.driver import compile_model

DOCS = (Path(__file__).parents[2] / "docs" / "firmware.md").read_text()
BEFORE = """
#include "model.h"
enum { BLOCK = 4096 };
int32_t erase(uint32_t at), program(uint32_t at, const void *from, uint32_t bytes), flash_sync(void *context);
int32_t flash_read(void *context, uint32_t at, void *to, uint32_t bytes);
uint32_t unique_id(void);
void begin(void *arena);
"""


def test_the_flash_driver_of_the_docs_compiles(tmp_path: Path) -> None:
    compile_model(learner(), usable("host")).write(tmp_path)
    found = re.search(r"```c\n(.*?)```", DOCS, re.S)
    assert found
    driver, use = found[1].split("\nconst tte_storage")
    text = f"{BEFORE}{driver}void begin(void *arena)\n{{\nconst tte_storage{use}}}\n"
    (tmp_path / "flash.c").write_text(re.sub(r"\bm_", "learner_", text))
    flags = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-fsyntax-only", "-I."]
    subprocess.run(["gcc", *flags, "flash.c"], cwd=tmp_path, check=True)
    header = (tmp_path / "model.h").read_text()
    for name in re.findall(r"`m_(\w+)[`(]", DOCS):
        assert f"learner_{name}(" in header, name
