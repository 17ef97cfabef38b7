"""Faces of all requests that wait are embedded in one batch, by one thread."""

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["LARGEST_BATCH", "Batcher"]

LARGEST_BATCH = 64

Embeddings = npt.NDArray[np.float32]
Faces = npt.NDArray[np.uint8]


class Batcher:
    """A queue of faces and the thread that embeds what waits in it."""

    def __init__(
        self,
        embed: Callable[[Faces], Embeddings],
        *,
        largest: int = LARGEST_BATCH,
        observe: Callable[[int], Any] = lambda size: None,
    ) -> None:
        """Start the thread.

        Args:
            embed: Turns faces `(n, h, w, c)` into `(n, d)` float32.
            largest: How many faces at a time, unless one request alone has more.
            observe: Told how many faces each batch has.
        """
        self._embed, self._largest, self._observe = embed, largest, observe
        self._jobs: queue.SimpleQueue[tuple[Faces, Future[Embeddings]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="embedding", daemon=True)
        self._thread.start()

    def submit(self, faces: Faces) -> "Future[Embeddings]":
        """Put faces `(n, h, w, c)` into the queue; the future brings `(n, d)`. One that is cancelled in time is left out."""
        future: Future[Embeddings] = Future()
        self._jobs.put((faces, future))
        return future

    def close(self) -> None:
        """Embed what is in the queue, and end the thread."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        for jobs in self._batches():
            wanted = [(faces, future) for faces, future in jobs if future.set_running_or_notify_cancel()]
            if wanted:
                self._answer(wanted)

    def _batches(self) -> Iterator[list[tuple[Faces, "Future[Embeddings]"]]]:
        """Wait for a job, take all others that are there, and so on until there is the end."""
        job = self._jobs.get()
        while job is not None:
            batch, size = [job], len(job[0])
            job = self._next(block=False)
            while job is not None and size + len(job[0]) <= self._largest:
                batch.append(job)
                size += len(job[0])
                job = self._next(block=False)
            yield batch
            if job is None:
                job = self._next(block=True)

    def _next(self, *, block: bool) -> tuple[Faces, "Future[Embeddings]"] | None:
        try:
            job = self._jobs.get(block=block)
        except queue.Empty:
            return None
        if job is None and not block:
            self._jobs.put(None)  # the end is met again when all before it is done
        return job

    def _answer(self, jobs: list[tuple[Faces, "Future[Embeddings]"]]) -> None:
        faces = np.concatenate([faces for faces, _ in jobs])
        self._observe(len(faces))
        try:
            rows = self._embed(faces)
        except Exception as error:  # whatever it is, those who wait must hear of it
            for _, future in jobs:
                future.set_exception(error)
            return
        end = 0
        for part, future in jobs:
            start, end = end, end + len(part)
            future.set_result(rows[start:end])
