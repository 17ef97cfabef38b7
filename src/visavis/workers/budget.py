"""What the work on one photo may use."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

if sys.platform != "win32":
    import resource

__all__ = ["Budget", "memory_limit"]


@dataclass(frozen=True)
class Budget:
    """What the work on one photo may use.

    Attributes:
        seconds: CPU time.
        memory: Bytes that may be allocated beyond what the process has before; None: unlimited.
    """

    seconds: float
    memory: int | None


@contextmanager
def memory_limit(size: int | None) -> Iterator[None]:
    """Let allocations fail that would take this process beyond `size` bytes more than it has now; on Linux only.

    Args:
        size: Bytes; None: unlimited.
    """
    if sys.platform != "linux" or size is None:
        yield
        return
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = int(file.read().split()[0])
    before, hard = resource.getrlimit(resource.RLIMIT_AS)
    limits = [pages * resource.getpagesize() + size, *(limit for limit in (before, hard) if limit != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_AS, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (before, hard))
