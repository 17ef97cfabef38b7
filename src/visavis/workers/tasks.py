"""Run tasks in a pool of processes, with few in memory at once; killed processes are replaced."""

import multiprocessing
import os
import pickle
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path
from typing import TypeVar

from visavis.errors import VisavisError

__all__ = ["check_picklable", "run_tasks", "use_one_core"]

Task = TypeVar("Task")
Result = TypeVar("Result")

_MAX_KILLED_IN_A_ROW = 3


def run_tasks(do: Callable[[Task], Result], tasks: Iterable[Task], *, workers: int) -> Iterator[Result]:
    """Run all tasks, in this process or in several, and yield their results in order.

    At most two tasks for each process are in memory. If a process is killed, unfinished tasks run again in new processes, so a task
    must have the same effect when it runs twice.

    Args:
        do: Runs one task; a function of a module, since it is pickled by name.
        tasks: Any iterable; consumed lazily.
        workers: Number of processes; 1: run in this one. So are tasks of a program that is read from standard input, which new
            processes cannot import.

    Raises:
        VisavisError: If processes are killed three times in a row before a task finishes.
    """
    if workers == 1 or not _main_can_be_imported():
        yield from map(do, tasks)
        return
    remaining, pending, killed = iter(tasks), deque[Task](), 0
    while True:
        # TensorFlow does not survive a fork.
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), use_one_core) as pool:
            try:
                futures = deque(pool.submit(do, task) for task in pending)
                while True:
                    for task in islice(remaining, 2 * workers - len(pending)):
                        pending.append(task)
                        futures.append(pool.submit(do, task))
                    if not pending:
                        return
                    result = futures.popleft().result()
                    pending.popleft()
                    killed = 0
                    yield result
            except BrokenProcessPool as error:
                killed += 1
                if killed == _MAX_KILLED_IN_A_ROW:
                    raise VisavisError(
                        f"worker processes were killed {killed} times in a row. Is there enough memory for {workers} of them? "
                        'In a script, is the call under `if __name__ == "__main__":`?'
                    ) from error


def _main_can_be_imported() -> bool:
    """Return whether a new process can import the main module, as it must unless the program is interactive."""
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None)
    return path is None or getattr(main, "__spec__", None) is not None or Path(path).is_file()


def check_picklable(name: str, value: object) -> None:
    """Check an argument that is passed to other processes.

    Args:
        name: The argument.
        value: What was given.

    Raises:
        ValueError: If it cannot be pickled.
    """
    try:
        pickle.dumps(value)
    except Exception as error:  # pickling calls methods of foreign objects
        raise ValueError(
            f"{name} must be picklable to be used by several processes, got {type(value).__name__} ({error})"
        ) from error


def use_one_core() -> None:
    """Limit TensorFlow, which is not loaded yet, to one core in this process."""
    os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
