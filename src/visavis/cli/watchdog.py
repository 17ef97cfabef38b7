"""End a command whose photos need too much CPU time or memory."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from visavis.errors import ImageError
from visavis.workers.budget import Budget, memory_limit

__all__ = ["photo_limits"]

_EXIT_CODE = 2
_INTERVAL = 0.2  # seconds


@contextmanager
def photo_limits(budget: Budget, photos: int = 1) -> Iterator[None]:
    """End this process with a message and exit code 2 if what runs inside needs too much for this many photos.

    Decoders and networks cannot be interrupted, but they release Python's lock, so a thread can watch their CPU time. Memory is
    limited on Linux only, where an allocation that would exceed it fails.

    Args:
        budget: What each photo may use: CPU time of all threads, and memory.
        photos: How many are read; they are in memory one at a time, apart from two decoded ones.

    Raises:
        ImageError: If an allocation fails.
    """
    done, started, seconds = threading.Event(), time.process_time(), photos * budget.seconds

    def watch() -> None:
        while not done.wait(_INTERVAL):
            if time.process_time() - started > seconds:
                print(f"error: the photos need more than {seconds:g} s of CPU time", file=sys.stderr, flush=True)
                os._exit(_EXIT_CODE)

    thread = threading.Thread(target=watch, name="photo-limits", daemon=True)
    thread.start()
    try:
        with memory_limit(budget.memory):
            yield
    except MemoryError as error:
        raise ImageError(f"the photos need more than {(budget.memory or 0) / 1e6:,.0f} MB of memory") from error
    finally:
        done.set()
        thread.join()
