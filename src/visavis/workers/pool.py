"""Processes that can be killed, for work whose cost is not known before it is done: decoding photos and detecting faces.

Each process has one task at a time, and limits on its CPU time and memory where the platform has them (`setrlimit`; not on Windows,
no limit on memory on macOS). A process that exceeds them, or whose task is cancelled, is killed and replaced.
"""

import contextlib
import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import types
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from multiprocessing.connection import Connection
from typing import Any, Protocol

from visavis.errors import ImageError, VisavisError
from visavis.workers.budget import memory_limit
from visavis.workers.fair_queue import FairQueue
from visavis.workers.tasks import use_one_core

__all__ = ["OverloadError", "StartError", "WorkerPool", "needs_main"]

_MAX_WORKERS = 16
_START_SECONDS, _END_SECONDS = 60.0, 5.0
_WALL_FACTOR = 6  # a task that waits for the CPU is not to blame, so its time by the clock is bounded more loosely

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_KEPT_MEMORY, _LARGEST_KEPT = 128 * 2**20, 32 * 2**20  # bytes; the most that glibc allows for the second

if sys.platform != "win32":
    import resource


class OverloadError(ImageError):
    """A photo needed more CPU time or memory than it may have, and its process was killed."""


class StartError(VisavisError):
    """A worker process cannot be started."""


class Task(Protocol):
    """What a task needs to have: a name for errors."""

    @property
    def name(self) -> str:
        """What to call it."""
        ...


class Work(Protocol):
    """What the processes do; can be pickled."""

    def warm_up(self) -> None:
        """Load what the tasks need."""
        ...

    def __call__(self, task: Any) -> Any:
        """Run a task."""
        ...


class WorkerPool:
    """Threads that each own a process, fed by a queue that is fair to clients.

    There is one process more than cores, and each client may occupy as many as there are cores. So work of one client, however
    long it takes, leaves a process to the others.
    """

    def __init__(
        self,
        work: Work,
        *,
        seconds: float,
        memory: int | None,
        workers: int | None = None,
        preload: Sequence[str] = (),
    ) -> None:
        """Start threads and processes.

        Args:
            work: What the processes do.
            seconds: CPU time of a task.
            memory: Bytes that a process may allocate beyond what it has after `work.warm_up`; None: unlimited.
            workers: Number of processes; None: one more than cores, at most 17.
            preload: Modules that all processes share, by name.
        """
        count = workers or min(os.cpu_count() or 1, _MAX_WORKERS) + 1
        self._work, self._seconds, self._memory = work, seconds, memory
        self._queue: FairQueue[_Job] = FairQueue(max(1, count - 1))
        self._context = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
        if sys.platform != "win32":
            self._context.set_forkserver_preload(list(preload))
        self._jobs = set[_Job]()
        self._threads = [threading.Thread(target=self._serve, name=f"photos-{n}", daemon=True) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def submit(self, client: str, task: Task) -> "Future[Any]":
        """Queue a task of a client. Cancelling the future removes the task, or kills the process that runs it.

        The future raises what the task raised, and `OverloadError` if the task exceeded its limits.
        """
        job = _Job(task)
        self._queue.put(client, job)

        def stop(future: "Future[Any]") -> None:
            if future.cancelled():
                self._queue.remove(client, job)
                job.kill()

        job.future.add_done_callback(stop)
        return job.future

    def close(self) -> None:
        """Cancel all tasks and stop the processes."""
        for job in [*self._queue.close(), *self._jobs]:
            job.future.cancel()
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        """Run jobs in a process of its own until the queue is closed."""
        worker = self._start_early()
        while (taken := self._queue.take()) is not None:
            client, job = taken
            self._jobs.add(job)
            try:
                worker = worker if worker is not None and worker.alive else self._start()
                self._run(worker, job)
            except Exception as error:
                job.fail(error)
            finally:
                self._jobs.discard(job)
                self._queue.done(client)
        if worker is not None:
            worker.kill()

    def _start_early(self) -> "_Worker | None":
        """Start a process before there is work for it; what prevents that is reported with the first job."""
        try:
            return self._start()
        except Exception:
            return None

    def _start(self) -> "_Worker":
        return _Worker(self._context, (self._work, self._seconds, self._memory))

    def _run(self, worker: "_Worker", job: "_Job") -> None:
        """Run a job that was not cancelled meanwhile."""
        if not job.begin(worker):
            return
        try:
            succeeded, value = worker.run(job.task, _WALL_FACTOR * self._seconds)
        except EOFError:
            limit = (
                f"more than {self._seconds:g} s of CPU time" if worker.used_its_time else "too much memory, or ended its process"
            )
            succeeded, value = False, OverloadError(f"{job.task.name}: decoding needs {limit}")
            worker.kill()
        except TimeoutError as error:
            worker.kill()
            succeeded, value = False, error
        finally:
            job.end()
        job.succeed(value) if succeeded else job.fail(value)


class _Job:
    """A task, its future, and the process that runs it."""

    def __init__(self, task: Task) -> None:
        self.task: Any = task
        self.future: Future[Any] = Future()
        self._lock = threading.Lock()
        self._worker: _Worker | None = None

    def begin(self, worker: "_Worker") -> bool:
        """Note the process; return whether the job is still wanted."""
        with self._lock:
            self._worker = worker
            return not self.future.cancelled()

    def end(self) -> None:
        """Forget the process, which has finished."""
        with self._lock:
            self._worker = None

    def kill(self) -> None:
        """Kill the process if it runs this job."""
        with self._lock:
            if self._worker is not None:
                self._worker.kill()

    def succeed(self, value: Any) -> None:
        """Set the result, unless the job was cancelled meanwhile."""
        with contextlib.suppress(InvalidStateError):
            self.future.set_result(value)

    def fail(self, error: BaseException) -> None:
        """Set the error, unless the job was cancelled meanwhile."""
        with contextlib.suppress(InvalidStateError):
            self.future.set_exception(error)


class _Worker:
    """A process and the connection to it."""

    def __init__(self, context: Any, arguments: tuple[Any, ...]) -> None:
        self._killed = False
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_main, args=(other, *arguments), name="visavis-photos", daemon=True)
        with contextlib.nullcontext() if needs_main(pickle.dumps(arguments)) else _hidden_main():
            self._process.start()
        other.close()
        try:
            started, failure = self._receive(_START_SECONDS)
        except (EOFError, TimeoutError) as error:
            self.kill()
            raise StartError("a process for photos cannot be started") from error
        if not started:
            self.kill()
            raise failure

    @property
    def alive(self) -> bool:
        """Whether it can run a task."""
        return not self._killed and bool(self._process.is_alive())

    @property
    def used_its_time(self) -> bool:
        """Whether the system ended it for its CPU time."""
        self._process.join(_END_SECONDS)
        return sys.platform != "win32" and self._process.exitcode == -signal.SIGXCPU

    def run(self, task: Any, seconds: float) -> tuple[bool, Any]:
        """Run a task; return whether it succeeded, and its result or error.

        Raises:
            EOFError: If the process was killed.
            TimeoutError: If it does not answer within this many seconds.
        """
        try:
            self._connection.send(task)
        except OSError as error:
            raise EOFError from error
        return self._receive(seconds)

    def kill(self) -> None:
        """End the process at once; may be called from any thread."""
        self._killed = True
        self._process.kill()

    def _receive(self, seconds: float) -> Any:
        try:
            if not self._connection.poll(seconds):
                raise TimeoutError(f"no answer within {seconds:g} s")
            return self._connection.recv()
        except OSError as error:
            raise EOFError from error


def needs_main(pickled: bytes) -> bool:
    """Return whether a pickled object belongs to the main program, which has another name in a process that was spawned."""
    return b"__main__" in pickled or b"__mp_main__" in pickled


_main_lock = threading.Lock()


@contextlib.contextmanager
def _hidden_main() -> Iterator[None]:
    """Keep a process that starts inside from importing the main program, which might run it again."""
    with _main_lock:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


def _main(connection: Connection, work: Work, seconds: float, memory: int | None) -> None:
    """Run tasks until the connection is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the main one stops this one
    use_one_core()
    _keep_memory()
    try:
        work.warm_up()
    except Exception as error:
        _send(connection, (False, error))
        return
    _send(connection, (True, None))
    with contextlib.suppress(EOFError, OSError), memory_limit(memory):
        while True:
            task = connection.recv()
            _limit_cpu(seconds)
            try:
                answer = True, work(task)
            except MemoryError:
                answer = False, OverloadError(f"{task.name}: decoding needs too much memory")
            except Exception as error:
                answer = False, error
            del task
            _send(connection, answer)


def _send(connection: Connection, answer: tuple[bool, Any]) -> None:
    try:
        connection.send(answer)
    except (pickle.PicklingError, TypeError, AttributeError):  # an exception that cannot be pickled
        connection.send((False, RuntimeError(f"{type(answer[1]).__name__} in a process for photos")))


def _limit_cpu(seconds: float) -> None:
    """Let the system end this process when it has used this much more CPU time."""
    if sys.platform != "win32":
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        soft = int(time.process_time() + seconds) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _keep_memory() -> None:
    """Let glibc keep freed memory for the next photo; returning it and faulting it in again takes a tenth of a photo's time."""
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):  # another C library
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(_M_TRIM_THRESHOLD, _KEPT_MEMORY)
            mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT)
