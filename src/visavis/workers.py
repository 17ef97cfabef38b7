"""Tasks done by several processes: few in memory at once, and gone on with where a process was killed."""

import multiprocessing
import os
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from visavis.errors import VisavisError

__all__ = ["check_picklable", "run_tasks", "take_one_core"]

Task = TypeVar("Task")
Result = TypeVar("Result")

_KILLED_IN_A_ROW = 3


def run_tasks(do: Callable[[Task], Result], tasks: Iterable[Task], *, workers: int) -> Iterator[Result]:
    """Do all tasks, in this process or in several, and give their results in order.

    Never more of the tasks are in memory than twice the processes. Where a process is killed, those that were not finished are done
    again by new processes, so a task must leave the same behind when it is done twice.

    Args:
        do: Does one task; a function of a module, as it is sent to other processes by name.
        tasks: May be made as they are asked for.
        workers: How many processes; 1: this one.

    Raises:
        VisavisError: If processes are killed three times in a row without a single task finished.
    """
    if workers == 1:
        yield from map(do, tasks)
        return
    coming, waiting, killed = iter(tasks), deque[Task](), 0
    while True:
        # TensorFlow does not survive a fork.
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), take_one_core) as pool:
            try:
                futures = deque(pool.submit(do, task) for task in waiting)
                while True:
                    for task in islice(coming, 2 * workers - len(waiting)):
                        waiting.append(task)
                        futures.append(pool.submit(do, task))
                    if not waiting:
                        return
                    result = futures.popleft().result()
                    waiting.popleft()
                    killed = 0
                    yield result
            except BrokenProcessPool as error:
                killed += 1
                if killed == _KILLED_IN_A_ROW:
                    raise VisavisError(
                        f"worker processes were killed {killed} times in a row. Is there enough memory for so many ({workers})?"
                    ) from error


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


def take_one_core() -> None:
    """Keep TensorFlow, which is not loaded yet, to one core in this process."""
    os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
