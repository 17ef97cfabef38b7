"""A queue that serves its clients in turn, and runs no more than a share of the work for one of them at a time."""

import threading
from collections import Counter, OrderedDict, deque
from typing import Generic, TypeVar

__all__ = ["FairQueue"]

Job = TypeVar("Job")


class FairQueue(Generic[Job]):
    """Jobs of many clients. Safe to use from several threads."""

    def __init__(self, share: int) -> None:
        """Start empty.

        Args:
            share: Maximum number of jobs of one client that run at a time, at least 1.
        """
        self._share = share
        self._pending: OrderedDict[str, deque[Job]] = OrderedDict()
        self._running: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, client: str, job: Job) -> None:
        """Queue a job of a client."""
        with self._changed:
            self._pending.setdefault(client, deque()).append(job)
            self._changed.notify()

    def take(self) -> tuple[str, Job] | None:
        """Return the next job and its client, waiting for one; None: the queue is closed. Call `done` when it has run."""
        with self._changed:
            while True:
                if self._closed:
                    return None
                client = self._next_client()
                if client is not None:
                    break
                self._changed.wait()
            jobs = self._pending.pop(client)
            job = jobs.popleft()
            if jobs:
                self._pending[client] = jobs  # at the end: the others come first
            self._running[client] += 1
            return client, job

    def done(self, client: str) -> None:
        """Count a job of a client as finished."""
        with self._changed:
            self._running[client] -= 1
            if not self._running[client]:
                del self._running[client]
            self._changed.notify_all()

    def remove(self, client: str, job: Job) -> None:
        """Remove a job that is still pending; one that has been taken stays."""
        with self._changed:
            jobs = self._pending.get(client)
            if jobs is not None and job in jobs:
                jobs.remove(job)
                if not jobs:
                    del self._pending[client]

    def close(self) -> list[Job]:
        """Return the pending jobs, and let every `take` return None from now on."""
        with self._changed:
            self._closed = True
            jobs = [job for jobs in self._pending.values() for job in jobs]
            self._pending.clear()
            self._changed.notify_all()
            return jobs

    def _next_client(self) -> str | None:
        """Return the client with the fewest running jobs, of several the one that waits longest; None: none may run another."""
        waiting = [client for client in self._pending if self._running[client] < self._share]
        return min(waiting, key=lambda client: self._running[client], default=None)
