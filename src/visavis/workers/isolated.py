"""Read photos in one process beside this one, which is killed when a photo needs too much."""

import pickle
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from visavis.workers.budget import Budget
from visavis.workers.pool import OverloadError, WorkerPool, needs_main

__all__ = ["isolated"]

Result = TypeVar("Result")
Content = Path | bytes

_PRELOADED = ("visavis.faces.mtcnn", "visavis.verification")  # by name: these packages are above this one


@dataclass(frozen=True)
class _Photo:
    content: Content
    name: str


@dataclass(frozen=True)
class _Reading(Generic[Result]):
    """The work of the process."""

    read: Callable[[Content, str], Result]
    prepare: Callable[[], Any] | None

    def warm_up(self) -> None:
        if self.prepare is not None:
            self.prepare()

    def __call__(self, task: _Photo) -> Result:
        return self.read(task.content, task.name)


_lock = threading.Lock()
_pools: dict[bytes, WorkerPool] = {}  # at most one, since a process reads photos in one way at a time


def isolated(
    read: Callable[[Content, str], Result], budget: Budget, prepare: Callable[[], Any] | None = None
) -> Callable[[Content, str], Result]:
    """Return a function that runs `read` in a process of its own, which lives until this one ends or isolates something else.

    A photo that needs more than the budget raises `OverloadError`, an `ImageError`, and the process is replaced. What cannot be
    pickled, or belongs to the main program, runs in this process without a budget.

    Args:
        read: Reads a photo from a path or bytes, with a name for errors; its result and its errors must be picklable, and it must
            have no effect here.
        budget: What each photo may use.
        prepare: Called once in the process before the first photo, to load networks; its memory is not part of the budget.
    """
    work = _Reading(read, prepare)
    try:
        key = pickle.dumps((work, budget))
    except Exception:  # pickling calls methods of foreign objects
        return read
    if needs_main(key):
        return read

    def run(content: Content, name: str) -> Result:
        if isinstance(content, Path):
            content = content.absolute()  # the process need not be in the same folder
        try:
            result: Result = _pool(key, work, budget).submit("", _Photo(content, name)).result()
        except TimeoutError as error:
            raise OverloadError(f"{name}: {error}") from error
        return result

    return run


def _pool(key: bytes, work: _Reading[Any], budget: Budget) -> WorkerPool:
    """Return the running pool for this work, in place of one for other work."""
    with _lock:
        if key not in _pools:
            for pool in _pools.values():
                pool.close()
            _pools.clear()
            _pools[key] = WorkerPool(work, seconds=budget.seconds, memory=budget.memory, workers=1, preload=_PRELOADED)
        return _pools[key]
