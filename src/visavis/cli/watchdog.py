"""End a command whose photos need too much CPU time."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["cpu_limit"]

_EXIT_CODE = 2
_INTERVAL = 0.2  # seconds


@contextmanager
def cpu_limit(seconds: float) -> Iterator[None]:
    """End this process with a message and exit code 2 if what runs inside needs more CPU time.

    Decoders and networks cannot be interrupted, but they release Python's lock, so a thread can watch them.

    Args:
        seconds: CPU time of all threads.
    """
    done, started = threading.Event(), time.process_time()

    def watch() -> None:
        while not done.wait(_INTERVAL):
            if time.process_time() - started > seconds:
                print(f"error: the photos need more than {seconds:g} s of CPU time", file=sys.stderr, flush=True)
                os._exit(_EXIT_CODE)

    thread = threading.Thread(target=watch, name="cpu-limit", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
