"""Processes for photos: limits kill them, cancellation kills them, and they are replaced; clients are served in turn."""

import asyncio
import os
import time
from concurrent.futures import CancelledError
from dataclasses import dataclass

import numpy as np
import pytest

from visavis.errors import ImageError
from visavis.workers.fair_queue import FairQueue
from visavis.workers.pool import OverloadError, WorkerPool


@dataclass(frozen=True)
class Command:
    name: str
    argument: float = 0.0


@dataclass(frozen=True)
class Obedient:
    """Does what the name of its task says."""

    broken: bool = False

    def warm_up(self):
        if self.broken:
            raise ImageError("cannot be loaded")

    def __call__(self, task):
        if task.name == "pid":
            return os.getpid()
        if task.name == "compute":
            while True:
                pass
        if task.name == "sleep":
            time.sleep(task.argument)
            return task.argument
        if task.name == "allocate":
            return int(np.ones(int(task.argument), dtype=np.uint8)[-1])
        if task.name == "die":
            os.kill(os.getpid(), 9)
        raise ImageError(f"{task.name} is unknown")


@pytest.fixture
def pool():
    pool = WorkerPool(Obedient(), seconds=1, memory=200_000_000, workers=1)
    yield pool
    pool.close()


def test_a_process_is_used_again_also_after_an_error(pool):
    first = pool.submit("a", Command("pid")).result(60)
    with pytest.raises(ImageError, match="nonsense is unknown"):
        pool.submit("a", Command("nonsense")).result(60)
    assert pool.submit("b", Command("pid")).result(60) == first != os.getpid()


@pytest.mark.parametrize("command", [Command("compute"), Command("die"), Command("allocate", 2e9)], ids=lambda one: one.name)
def test_a_task_beyond_its_limits_ends_in_an_error_and_the_next_one_runs(pool, command):
    if command.name == "allocate" and not os.path.exists("/proc/self/statm"):
        pytest.skip("there is no limit on memory here")
    with pytest.raises(OverloadError, match=f"{command.name}: decoding needs"):
        pool.submit("a", command).result(60)
    assert pool.submit("a", Command("allocate", 1e8)).result(60) == 1


def test_cancellation_kills_the_process_and_removes_pending_tasks(pool):
    before = pool.submit("a", Command("pid")).result(60)
    running, pending = pool.submit("a", Command("sleep", 600)), pool.submit("a", Command("sleep", 600))
    time.sleep(0.2)
    started = time.monotonic()
    pending.cancel()
    running.cancel()
    assert pool.submit("a", Command("pid")).result(60) != before
    assert time.monotonic() - started < 30
    with pytest.raises(CancelledError):
        running.result()


def test_a_timeout_of_a_request_kills_the_process(pool):
    async def request():
        async with asyncio.timeout(0.3):
            await asyncio.wrap_future(pool.submit("a", Command("sleep", 600)))

    with pytest.raises(TimeoutError):
        asyncio.run(request())
    assert pool.submit("a", Command("pid")).result(60)


def test_closing_does_not_wait_for_tasks():
    pool = WorkerPool(Obedient(), seconds=1, memory=200_000_000, workers=1)
    pool.submit("a", Command("pid")).result(60)
    tasks = [pool.submit("a", Command("sleep", 600)) for _ in range(3)]
    time.sleep(0.2)
    started = time.monotonic()
    pool.close()
    assert time.monotonic() - started < 10 and all(task.cancelled() for task in tasks)


def test_what_fails_at_the_start_is_reported():
    pool = WorkerPool(Obedient(broken=True), seconds=1, memory=200_000_000, workers=1)
    with pytest.raises(ImageError, match="cannot be loaded"):
        pool.submit("a", Command("pid")).result(60)
    pool.close()


def test_clients_are_served_in_turn_and_none_gets_more_than_its_share():
    queue = FairQueue(share=2)
    for number in range(4):
        queue.put("greedy", f"greedy {number}")
    queue.put("modest", "modest 0")
    taken = [queue.take() for _ in range(3)]
    assert taken == [("greedy", "greedy 0"), ("modest", "modest 0"), ("greedy", "greedy 1")]
    queue.put("late", "late 0")
    assert queue.take() == ("late", "late 0")
    queue.done("greedy")
    assert queue.take() == ("greedy", "greedy 2")
    queue.remove("greedy", "greedy 3")
    assert queue.close() == [] and queue.take() is None
