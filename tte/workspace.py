"""Project folders appear whole or not at all. Floor 3."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tte.errors import TteError
from tte.record import PLAN, read_record

BUILT = frozenset({"build", "model.elf", "npu.elf", "sanitized.elf"})  # what make leaves in a project


@contextmanager
def fresh_project(out: Path) -> Generator[Path]:
    """A new folder that becomes `out` when the block ends well, in place of an older project of ours.

    A folder with anything else in it is refused: nothing of the user's is ever overwritten.
    """
    out = out.resolve()
    _check_replaceable(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as name:
        new, old = Path(name) / "new", Path(name) / "old"
        new.mkdir()
        yield new
        if out.exists():
            out.rename(old)
        new.rename(out)


def is_project(folder: Path) -> bool:
    """True for a folder that holds a compiled model."""
    return (folder / PLAN).is_file()


def _check_replaceable(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise TteError(str(out), "is a file", "-o names a folder")
    held = {p.relative_to(out).as_posix() for p in out.rglob("*") if not p.is_dir()}
    if not held:
        return
    if not is_project(out):
        raise TteError(str(out), "is not empty and not a project of tte", "choose another folder")
    ours = set(read_record(out).files)
    if others := sorted(p for p in held - ours if p.split("/")[0] not in BUILT):
        raise TteError(str(out), f"holds {others[0]}, which tte did not write", "choose another folder")
