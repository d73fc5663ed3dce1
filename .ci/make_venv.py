"""Makes a virtual environment: make_venv.py FOLDER. Says in one line what is missing."""

from __future__ import annotations

import importlib.util
import sys
import venv
from pathlib import Path

OLDEST = (3, 11)


def main(folder: Path) -> None:
    """With pip, which Debian's Python has only beside python3-venv."""
    if sys.version_info < OLDEST:
        sys.exit(f"tte needs Python {OLDEST[0]}.{OLDEST[1]}; this is {sys.version.split()[0]} (make PYTHON=python3.11)")
    if importlib.util.find_spec("ensurepip") is None:
        sys.exit("this Python cannot make virtual environments (on Debian: sudo apt-get install python3-venv)")
    venv.create(folder, clear=True, symlinks=True, with_pip=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
