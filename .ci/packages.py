"""Installs what the boards need and this machine lacks: with apt where we are root, else it says what is skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tte.target import boards, load_board


def main() -> None:
    """One apt-get for all boards."""
    packages = sorted({p for name in boards() for p in load_board(name).packages})
    if shutil.which("dpkg-query") is None:
        print("not Debian: the tests skip boards whose tools are missing (tte doctor)")
        return
    missing = [p for p in packages if not _installed(p)]
    if not missing:
        return
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing]
    if os.geteuid():
        print(f"the tests skip boards whose tools are missing; to have them all: sudo {' '.join(command)}")
        return
    print("installing", *missing, flush=True)
    quiet = {"stdout": subprocess.DEVNULL, "env": os.environ | {"DEBIAN_FRONTEND": "noninteractive"}}
    subprocess.run(["apt-get", "update", "-q"], check=True, **quiet)
    subprocess.run(command, check=True, **quiet)


def _installed(package: str) -> bool:
    asked = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Status}", package], capture_output=True, text=True, check=False
    )
    return asked.stdout.endswith(" installed")


if __name__ == "__main__":
    main()
