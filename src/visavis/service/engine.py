"""Acquire faces in processes that can be killed, embed and explain them in threads; their numbers bound memory and CPU."""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from visavis.encoders import Encoder
from visavis.encoders.card import Card
from visavis.errors import ImageError
from visavis.faces import AcquisitionSettings, FaceDetector, FaceFinder
from visavis.pad import PadDetector, PresentationCheck, check_presentation
from visavis.service.acquiring import Acquirer, Acquisition, PhotoTask, PreparedFace
from visavis.service.batching import MAX_BATCH, Batcher
from visavis.service.formats import check_format
from visavis.service.limits import ServiceLimits
from visavis.service.population import PopulationMonitor
from visavis.service.problems import AlignedError, BusyError, FormError
from visavis.verification import FoundFace
from visavis.verification.explanation import explain_faces
from visavis.workers.pool import OverloadError, WorkerPool

__all__ = ["Detectors", "Engine", "combined"]

Embeddings = npt.NDArray[np.float32]
Map = npt.NDArray[np.float64]
Faces = list[PreparedFace]

_EXPLANATION_BATCH = 16
_PRELOADED = ("visavis.service.acquiring", "visavis.faces.mtcnn")
_CANARY_SECONDS, _CANARY_AGE = 5.0, 1.0
_CANARY = (  # a PNG of 8 x 8 pixels
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x08\x00\x00\x00\x08\x08\x02\x00\x00\x00Km)\xdc\x00\x00\x00\x17IDATx\xdac\xfc\xff\xff?\x03"
    b"6\xc0\xc4\x80\x03\x90.A\x0f\x00\x00T\xe0\x03\x05\xc6Z-\x87\x00\x00\x00\x00IEND\xaeB`\x82"
)


def combined(errors: Sequence[ImageError]) -> ImageError:
    """Return one error that names all photos; the first one decides the class."""
    return errors[0] if len(errors) == 1 else type(errors[0])("; ".join(map(str, errors)))


@dataclass(frozen=True)
class Detectors:
    """The detectors that take whole photos.

    Attributes:
        faces: The face detector, which must be picklable.
        attacks: The detector of presentation attacks; None: there is none.
    """

    faces: FaceDetector = FaceFinder()
    attacks: PadDetector | None = None


class Engine:
    """An encoder and what prepares its input.

    A photo is decoded, its face detected and cropped by one process of a pool, which bounds the decoded photos in memory.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        limits: ServiceLimits,
        aligned: Literal["refused", "allowed", "required"] = "allowed",
        detectors: Detectors | None = None,
        observe: Callable[[int], Any] = lambda size: None,
        on_overload: Callable[[str], Any] = lambda client: None,
    ) -> None:
        """Start the threads.

        Args:
            encoder: The model.
            limits: Limits of a photo.
            aligned: Whether aligned crops are accepted, or nothing else, by a model that takes them.
            detectors: Detectors of faces and of presentation attacks; None: `Detectors()`.
            observe: Called with the size of each batch.
            on_overload: Called with the client whose photo exceeded the limits on CPU time or memory.
        """
        self.encoder, self._aligned = encoder, aligned
        self.population = PopulationMonitor(encoder.card)
        self._on_overload = on_overload
        detectors = detectors or Detectors()
        self._pad = detectors.attacks
        pad_crop = None if self._pad is None else self._pad.crop
        acquirer = Acquirer(encoder.card.crop, detectors.faces, limits.photo, limits.faces, pad_crop)
        memory = AcquisitionSettings(finder=detectors.faces, limits=limits.photo).budget.memory
        self._pool = WorkerPool(acquirer, seconds=limits.photo_seconds, memory=memory, preload=_PRELOADED)
        self._batcher = Batcher(encoder.embed, observe=observe)
        self._explainer = ThreadPoolExecutor(1, "explaining")
        self._attacks = ThreadPoolExecutor(1, "attacks")
        self._stopping = threading.Event()
        self._canary: asyncio.Task[None] | None = None
        self._checked = 0.0

    @property
    def card(self) -> Card:
        """The model's card."""
        return self.encoder.card

    @property
    def finds_faces(self) -> bool:
        """Whether faces are detected in whole photos."""
        return self.card.aligned and self._aligned != "required"

    @property
    def takes_aligned(self) -> bool:
        """Whether aligned crops are accepted."""
        return self.card.aligned and self._aligned != "refused"

    async def warm_up(self) -> None:
        """Run a batch of maximum size, so that memory is allocated before there is load, and start a process for photos."""
        blank = PreparedFace(np.zeros(self.card.input_shape, dtype=np.uint8), (1, 1), FoundFace(), None)
        await self._embed([blank] * MAX_BATCH)
        await self._acquire("", PhotoTask(_CANARY, "canary", Acquisition(aligned=True)))

    async def check(self) -> None:
        """Send a photo through the pool, together with others who ask at the same time.

        Raises:
            BusyError: If it is not done within 5 s.
        """
        if self._canary is None or (self._canary.done() and asyncio.get_running_loop().time() > self._checked + _CANARY_AGE):
            self._canary = asyncio.create_task(self._check())
        await asyncio.shield(self._canary)

    async def prepare_each(
        self, photos: Sequence[bytes], options: Acquisition, *, name: str, client: str
    ) -> list[Faces | ImageError]:
        """Acquire the faces of each photo, one or more, or the error that prevents it.

        Args:
            photos: Image files.
            options: How faces are acquired; by the policy `"all"` a photo may have several.
            name: The field in which they were sent, for errors.
            client: Who sent them.

        Raises:
            AlignedError: If aligned crops are sent, and the service accepts none.
            FormError: If faces would have to be detected, and the service detects none.
        """
        if self.card.aligned and self._aligned == "refused" and options.aligned:
            raise AlignedError("This service takes whole photos only. Start it with: visavis serve --allow-aligned")
        if self._pad is not None and options.aligned:
            raise AlignedError("This service detects presentation attacks, which it can in whole photos only.")
        if self.card.aligned and self._aligned == "required" and not options.aligned:
            raise FormError("This service detects no faces. Send aligned crops, with aligned=true.")
        names = [f"{name} {number}" if len(photos) > 1 else name for number in range(1, len(photos) + 1)]
        tasks = [PhotoTask(photo, own, options) for photo, own in zip(photos, names, strict=True)]
        return await asyncio.gather(*(self._acquire_or_refuse(client, task) for task in tasks))

    async def prepare(self, photos: Mapping[str, Sequence[bytes]], options: Acquisition, *, client: str) -> list[Faces]:
        """Acquire the faces of each photo of a form; `client` sent them.

        Raises:
            ImageError: If a photo cannot be read; as `FaceError` if it has no face, or too many. All such photos are named, and the
                first decides the class.
            FormError: If faces would have to be detected, and the service detects none.
        """
        prepared = await asyncio.gather(
            *(self.prepare_each(files, options, name=name, client=client) for name, files in photos.items())
        )
        everything = [faces for field in prepared for faces in field]
        if errors := [faces for faces in everything if isinstance(faces, ImageError)]:
            raise combined(errors)
        return [faces for faces in everything if not isinstance(faces, ImageError)]

    async def check_presentation(self, faces: Sequence[PreparedFace]) -> PresentationCheck | None:
        """Check faces with the detector of presentation attacks, one request at a time; None: there is none."""
        crops = [face.pad_pixels for face in faces if face.pad_pixels is not None]
        if self._pad is None or not crops:
            return None
        return await asyncio.get_running_loop().run_in_executor(self._attacks, check_presentation, self._pad, crops)

    async def embed(self, faces: Sequence[PreparedFace]) -> Embeddings:
        """Embed the faces of a request as `(n, d)`, batched with those of other requests."""
        embeddings = await self._embed(faces)
        self.population.add(embeddings[0])
        return embeddings

    async def _embed(self, faces: Sequence[PreparedFace]) -> Embeddings:
        return await asyncio.wrap_future(self._batcher.submit(np.stack([face.pixels for face in faces])))

    async def explain(self, first: PreparedFace, second: PreparedFace) -> tuple[Map, Map]:
        """Compute the occlusion maps of two faces, one request at a time, in batches between those of other requests."""
        encoder: Any = _BatchedEncoder(self.card, self._batcher, self._stopping)
        return await asyncio.get_running_loop().run_in_executor(
            self._explainer, explain_faces, encoder, first.pixels, second.pixels
        )

    def close(self) -> None:
        """Drop pending work and stop threads and processes."""
        self._stopping.set()
        self._pool.close()
        self._explainer.shutdown(cancel_futures=True)
        self._attacks.shutdown(cancel_futures=True)
        self._batcher.close()

    async def _acquire_or_refuse(self, client: str, task: PhotoTask) -> Faces | ImageError:
        try:
            check_format(task.photo, name=task.name)
            return await self._acquire(client, task)
        except OverloadError as error:
            self._on_overload(client)
            return error
        except ImageError as error:
            return error

    async def _acquire(self, client: str, task: PhotoTask) -> Faces:
        faces: Faces = await asyncio.wrap_future(self._pool.submit(client, task))
        return faces

    async def _check(self) -> None:
        try:
            async with asyncio.timeout(_CANARY_SECONDS):
                await self._acquire("", PhotoTask(_CANARY, "canary", Acquisition(aligned=True)))
        except TimeoutError as error:
            raise BusyError("Photos are not decoded in time.") from error
        finally:
            self._checked = asyncio.get_running_loop().time()


@dataclass(frozen=True, eq=False)
class _BatchedEncoder:
    """An encoder that embeds through the batcher, a limited number of faces at a time, until the service stops."""

    card: Card
    batcher: Batcher
    stopping: threading.Event

    def embed(self, faces: npt.NDArray[Any]) -> Embeddings:
        """Embed faces, as `Encoder.embed`."""
        embeddings = []
        for start in range(0, len(faces), _EXPLANATION_BATCH):
            if self.stopping.is_set():
                raise BusyError("The service is stopping.")
            embeddings.append(self.batcher.submit(faces[start : start + _EXPLANATION_BATCH]).result())
        return np.concatenate(embeddings)
