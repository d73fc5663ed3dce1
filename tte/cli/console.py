"""What a person sees: progress and errors on stderr, results on stdout. Floor 7."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from tte.errors import InternalError, TteError, one_line

OUT, ERR = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False, soft_wrap=True)
PATIENCE = 2.0  # seconds without a word
USER, OURS, INTERRUPTED = 2, 1, 130  # exit codes


def say(note: str) -> None:
    """Something that the user should know, on stderr."""
    ERR.print(f"tte: {note}", markup=False)


@contextmanager
def progress(what: str) -> Generator[None]:
    """Tell what takes long: a spinner on a terminal, else a line after two seconds and one every half minute."""
    if ERR.is_terminal:
        with ERR.status(what):
            yield
        return
    done, start = threading.Event(), time.monotonic()

    def tell() -> None:
        wait = PATIENCE
        while not done.wait(wait):
            print(f"tte: {what} ({time.monotonic() - start:.0f} s)", file=sys.stderr, flush=True)
            wait = 30.0

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()


@contextmanager
def counted(what: str, total: int) -> Generator[Callable[[int, str], None]]:
    """Tell how far something is that has so many parts: a bar on a terminal, else a line every half minute.

    What it yields is to be called with how many parts were done since, and perhaps with what is worth telling.
    """
    done, note, start = 0, "", time.monotonic()
    due = start + PATIENCE
    numbers = (kind(table_column=Column(no_wrap=True)) for kind in (MofNCompleteColumn, TimeRemainingColumn))
    columns = (TextColumn("{task.description}"), BarColumn(), *numbers, TextColumn("{task.fields[note]}"))
    with Progress(*columns, console=ERR, disable=not ERR.is_terminal) as bar:
        task = bar.add_task(what, total=total, note="")

        def tell(parts: int, words: str = "") -> None:
            nonlocal done, note, due
            done, note = done + parts, words or note
            bar.update(task, completed=done, note=note)
            if not ERR.is_terminal and (now := time.monotonic()) >= due:
                due = now + 30
                extra = f"; {note}" if note else ""
                print(f"tte: {what}: {done} of {total} ({now - start:.0f} s){extra}", file=sys.stderr, flush=True)

        yield tell


def show_json(table: Mapping[str, object]) -> None:
    """One object, alone on stdout."""
    print(json.dumps(table))


def guarded(command: Callable[[], object]) -> int:
    """Run a command; a mistake of the user's is one line and 2, a fault of ours one line and 1."""
    try:
        code = command()
    except BaseException as error:
        return _explained(error)
    if code == INTERRUPTED:  # newer typer swallows Ctrl-C
        return _fail("interrupted", INTERRUPTED)
    return code if isinstance(code, int) else 0


def _explained(error: BaseException) -> int:
    """The line for what a command raised, and its exit code."""
    match error:
        case TteError():
            return _fail(str(error), OURS if isinstance(error, InternalError) else USER)
        case BrokenPipeError():
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at exit
            return USER
        case OSError():
            return _fail(f"{error.filename or 'system'}: {error.strerror or error}", USER)
        case KeyboardInterrupt():
            return _fail("interrupted", INTERRUPTED)
        case Exception():
            return _foreign(error)
        case _:
            raise error


def _foreign(error: Exception) -> int:
    """What typer raises for a wrong command line, or for Ctrl-C; anything else is a fault of ours."""
    tell = getattr(error, "format_message", None)
    if tell:
        return _fail(f"{tell()} (tte --help)", USER)
    if type(error).__name__ == "Abort":
        return _fail("interrupted", INTERRUPTED)
    if os.environ.get("TTE_DEBUG"):
        traceback.print_exception(error)
    what = f"{type(error).__name__}: {error}"
    return _fail(f"internal error: {what} (a fault of ours; TTE_DEBUG=1 shows where)", OURS)


def _fail(what: str, code: int) -> int:
    """One line, whatever names are in it."""
    print(f"tte: {one_line(what)}", file=sys.stderr)
    return code
