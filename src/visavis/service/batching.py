"""Dynamic batching: one thread embeds the faces of all pending requests together."""

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["MAX_BATCH", "Batcher"]

MAX_BATCH = 64

Embeddings = npt.NDArray[np.float32]
Faces = npt.NDArray[np.uint8]
Job = tuple[Faces, "Future[Embeddings]"]


class Batcher:
    """A queue of faces, and the thread that embeds them."""

    def __init__(
        self,
        embed: Callable[[Faces], Embeddings],
        *,
        max_batch: int = MAX_BATCH,
        observe: Callable[[int], Any] = lambda size: None,
    ) -> None:
        """Start the thread.

        Args:
            embed: Embeds faces `(n, h, w, c)` as `(n, d)` float32.
            max_batch: Maximum number of faces in a batch, unless a single job has more.
            observe: Called with the size of each batch.
        """
        self._embed, self._max_batch, self._observe = embed, max_batch, observe
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="embedding", daemon=True)
        self._thread.start()

    def submit(self, faces: Faces) -> "Future[Embeddings]":
        """Queue faces `(n, h, w, c)`; the future resolves to `(n, d)`. A future that is cancelled before its batch is skipped."""
        future: Future[Embeddings] = Future()
        self._jobs.put((faces, future))
        return future

    def close(self) -> None:
        """Embed what is queued, then stop the thread."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        for jobs in self._batches():
            active = [(faces, future) for faces, future in jobs if future.set_running_or_notify_cancel()]
            if active:
                self._process(active)

    def _batches(self) -> Iterator[list[Job]]:
        """Yield batches of all jobs that are queued, waiting for the first, until the queue is closed."""
        job = self._jobs.get()
        while job is not None:
            batch, size = [job], len(job[0])
            job = self._next(block=False)
            while job is not None and size + len(job[0]) <= self._max_batch:
                batch.append(job)
                size += len(job[0])
                job = self._next(block=False)
            yield batch
            if job is None:
                job = self._next(block=True)

    def _next(self, *, block: bool) -> Job | None:
        try:
            job = self._jobs.get(block=block)
        except queue.Empty:
            return None
        if job is None and not block:
            self._jobs.put(None)  # keep the end marker until the current batch is done
        return job

    def _process(self, jobs: list[Job]) -> None:
        faces = np.concatenate([faces for faces, _ in jobs])
        self._observe(len(faces))
        try:
            embeddings = self._embed(faces)
        except Exception as error:  # every error must reach the pending requests
            for _, future in jobs:
                future.set_exception(error)
            return
        end = 0
        for job_faces, future in jobs:
            start, end = end, end + len(job_faces)
            future.set_result(embeddings[start:end])
