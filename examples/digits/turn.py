"""Writes the test digits turned by a quarter, as from a camera that was mounted sideways, for `tte train` to learn.

    python examples/digits/turn.py build/turned.npz

Two in three of them are to learn from, the others to test on; the network has seen none of them, turned or not.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

WHITE = 16  # see train.py


def main(path: Path) -> None:
    """Pixels of 0 to 255, as images have them."""
    with np.load(Path(__file__).parent / "digits-test.npz") as stored:
        images, labels = np.rot90(stored["images"], axes=(1, 2)), stored["labels"]
    x = np.rint(images * (255 / WHITE)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, x=x, y=labels, is_test=np.arange(len(x)) % 3 == 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
