"""Run tasks on a Ray cluster, or on a small one started on this machine."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from visavis.errors import MissingDependencyError
from visavis.workers.tasks import use_one_core

__all__ = ["run_tasks_on_ray"]

Task = TypeVar("Task")

_MAX_BLOCKS = 1000
_STORE = 200_000_000  # bytes; only names and counts pass through it


def run_tasks_on_ray(do: Callable[[Task], int], tasks: Sequence[Task], *, workers: int) -> Iterator[int]:
    """Run tasks with Ray Data and yield their results as they finish, in any order.

    Ray repeats tasks whose process or machine was lost, so tasks must be idempotent.

    Args:
        do: Runs one task.
        tasks: The tasks.
        workers: Number of processes of one core each, over all machines.

    Raises:
        MissingDependencyError: If Ray is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise MissingDependencyError("the Ray engine needs: pip install 'visavis[ray]'") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    with _started(ray, workers):
        items = ray.data.from_items([{"task": task} for task in tasks], override_num_blocks=min(len(tasks), _MAX_BLOCKS))
        pool = ray.data.ActorPoolStrategy(size=workers)
        for row in items.map(_Worker, fn_constructor_args=(do,), compute=pool, num_cpus=1).iter_rows():
            yield int(row["done"])


class _Worker:
    """A process of the cluster."""

    def __init__(self, do: Callable[[Any], int]) -> None:
        use_one_core()
        self.do = do

    def __call__(self, item: dict[str, Any]) -> dict[str, int]:
        return {"done": self.do(item["task"])}


@contextmanager
def _started(ray: Any, workers: int) -> Iterator[None]:
    """Connect to the cluster of `RAY_ADDRESS`, or start a temporary one; keep an existing connection."""
    if ray.is_initialized():
        yield
        return
    alone = {} if "RAY_ADDRESS" in os.environ else {"num_cpus": workers, "include_dashboard": False, "object_store_memory": _STORE}
    ray.init(log_to_driver=False, logging_level="ERROR", **alone)
    try:
        yield
    finally:
        ray.shutdown()
