"""Where work is done: here, in other processes, or on other machines. Floor 1."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Protocol, TypeVar

from tte.errors import TteError

Item = TypeVar("Item")
Result = TypeVar("Result")


class Work(Protocol):
    """Calls a function of each item; pairs of item and result come as they are done."""

    def __call__(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterable[tuple[Item, Result]]:
        """Functions and items are sent, so they must be picklable."""
        ...


@contextmanager
def workers(jobs: int, dask: str | None) -> Generator[Work]:
    """So many processes, this one for 1; or all that the dask scheduler at an address has. TteError without dask."""
    if dask:
        with _dask(dask) as work:
            yield work
    elif jobs == 1:
        yield _here
    else:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, context, initializer=_end_with_parent) as pool:
            yield _pooled(pool)


def _here(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[tuple[Item, Result]]:
    return ((item, function(item)) for item in items)


def _pooled(pool: Executor) -> Work:
    def work(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[tuple[Item, Result]]:
        asked: dict[Future[Result], Item] = {pool.submit(function, item): item for item in items}
        try:
            for done in as_completed(asked):
                yield asked[done], done.result()
        finally:
            for future in asked:
                future.cancel()

    return work


def _end_with_parent() -> None:
    """A process whose parent was killed has nobody to work for."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent:
            wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _dask(address: str) -> Generator[Work]:
    try:
        from distributed import Client  # noqa: PLC0415 an extra, slow to import
    except ImportError as error:
        raise TteError("--dask", "needs dask", "pip install 'tte[cluster]'") from error
    try:
        client = Client(address, timeout="20s")
    except (OSError, ValueError) as error:
        raise TteError("--dask", f"no scheduler answers at {address}") from error
    with client, client.get_executor() as pool:
        yield _pooled(pool)
