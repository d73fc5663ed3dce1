"""Runs a compiled digits project on all test digits, and prints how many it reads right.

tte compile examples/digits/digits-int8.onnx --board host -o build/digits
python examples/digits/evaluate.py build/digits
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from tte.running.session import open_project

WHITE = 16  # see train.py


def main(folder: Path) -> None:
    """One run of the program reads all digits."""
    test = np.load(Path(__file__).parent / "digits-test.npz")
    samples = [((image[None, None] / WHITE).astype(np.float32),) for image in test["images"]]
    found, _ = open_project(folder).run(samples)
    right = sum(int(logits.argmax()) == label for (logits,), label in zip(found.outputs, test["labels"], strict=True))
    print(f"{right} of {len(samples)} test digits are right: {right / len(samples):.1%}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
