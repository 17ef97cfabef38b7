"""Request loop of a process that `measure.Worker` starts, for any Python. Standard library only."""

import json
import os
import resource
import sys
from collections.abc import Callable
from typing import Any


def answer(requests: dict[str, Callable[..., Any]]) -> None:
    """Answer `{"do": NAME, ...}` lines on standard input until it ends; every worker knows `memory`."""
    own = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the output of libraries must not mix with the answers
    for line in sys.stdin:
        request = json.loads(line)
        name = request.pop("do")
        value = peak_megabytes() if name == "memory" else requests[name](**request)
        own.write(json.dumps(value) + "\n")
        own.flush()


def peak_megabytes() -> float:
    """Return the peak memory of this process so far."""
    with open("/proc/self/status") as status:  # getrusage would count the memory of the parent process
        for line in status:
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
