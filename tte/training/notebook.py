"""Results that outlive a killed process: lines of JSON, appended as soon as they are known. Floor 1."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import cast

Found = dict[str, float]


class Notebook:
    """What was found, by its question. `subject` is what all questions are about; lines about others are not read."""

    def __init__(self, path: Path, subject: str) -> None:
        self.path, self.subject = path, subject
        self._known: dict[str, Found] = {}
        written = path.read_bytes() if path.exists() else b""
        whole = written[: written.rfind(b"\n") + 1]
        if whole != written:  # its writer was killed in the middle of a line
            os.truncate(path, len(whole))
        for line in whole.splitlines():
            entry = cast(dict[str, object], json.loads(line))
            if entry["subject"] == subject:
                self._known[cast(str, entry["question"])] = cast(Found, entry["found"])

    def get(self, question: str) -> Found | None:
        """What is known."""
        return self._known.get(question)

    def add(self, question: str, found: Found) -> None:
        """Note it, on disk before this returns."""
        self._known[question] = found
        line = json.dumps({"subject": self.subject, "question": question, "found": found})
        with self.path.open("ab") as file:
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
