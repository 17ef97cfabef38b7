"""Alternating measurements, in this process and in workers, so that a slow moment of the machine affects all sides."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, Self

import numpy as np

# A process counts the memory of whoever started it as its own peak, so a small one stands between this one and the command.
_MEASURED = """
import resource, subprocess, sys, time
start = time.perf_counter()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
if code > 1:  # verify answers with 0 or 1
    sys.exit(code)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6)
"""


def spread(values: Iterable[float]) -> dict[str, float]:
    """Return median, minimum and maximum."""
    found = [float(value) for value in values]
    return {"median": statistics.median(found), "least": min(found), "most": max(found)}


def ratio(over: list[float], under: list[float]) -> dict[str, float]:
    """Return median, minimum and maximum of the ratios of rounds."""
    return spread(first / second for first, second in zip(over, under, strict=True))


def in_turns(steps: dict[str, Callable[[], Any]], *, rounds: int) -> dict[str, list[float]]:
    """Return the wall seconds of each step in each round, after one warm-up of each."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
    for _ in range(rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - start)
    return times


def time_to(goal: float, history: list[tuple[float, float]]) -> float | None:
    """Return the seconds until the mean of three validations in a row is at most the goal; a single one is too noisy."""
    for at in range(2, len(history)):
        if np.mean([eer for _, eer in history[at - 2 : at + 1]]) <= goal + 1e-9:
            return history[at][0]
    return None


def cost_of(*command: str, runs: int = 5) -> dict[str, float]:
    """Return median wall seconds, CPU seconds and peak megabytes of a command in fresh processes."""
    measured = [
        subprocess.run([sys.executable, "-c", _MEASURED, *command], stdout=subprocess.PIPE, check=True) for _ in range(runs)
    ]
    columns = zip(*(map(float, result.stdout.split()) for result in measured), strict=True)
    return dict(zip(("seconds", "cpu_seconds", "peak_megabytes"), map(statistics.median, columns), strict=True))


def matrix_product_peak(size: int = 1024) -> tuple[Callable[[], Any], float]:
    """Return a float32 matrix product and its floating-point operations, as a bound on the machine."""
    first, second = np.random.default_rng(0).standard_normal((2, size, size)).astype(np.float32)
    return lambda: first @ second, 2.0 * size**3


class Worker:
    """A process that answers lines of JSON with lines of JSON; see `answer`."""

    def __init__(self, *command: str, environment: dict[str, str] | None = None) -> None:
        """Start the process."""
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    def ask(self, **request: Any) -> Any:
        """Send a request and wait for the answer.

        Raises:
            RuntimeError: If the process has ended.
        """
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args}: ended when asked {request}")
        return json.loads(line)

    def __enter__(self) -> Self:
        """Return the worker."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the process."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
