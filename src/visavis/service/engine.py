"""Decode photos, detect faces, embed and explain them, in thread pools whose size bounds memory and CPU."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from visavis.encoders import Encoder
from visavis.encoders.card import Card
from visavis.errors import FaceError, ImageError
from visavis.faces import AcquisitionSettings, FaceDetector, FaceFinder
from visavis.gallery.records import photo_digest
from visavis.images import read_image
from visavis.service.batching import MAX_BATCH, Batcher
from visavis.service.formats import check_format
from visavis.service.limits import ServiceLimits
from visavis.service.population import PopulationMonitor
from visavis.service.problems import FormError
from visavis.verification import FoundFace, Verifier
from visavis.verification.explanation import explain_faces

__all__ = ["Acquisition", "Engine", "PreparedFace"]

Embeddings = npt.NDArray[np.float32]
Map = npt.NDArray[np.float64]

_EXPLANATION_BATCH = 32


@dataclass(frozen=True)
class Acquisition:
    """How the face of a photo is acquired.

    Attributes:
        aligned: Whether the photos are aligned crops, in which no face is detected.
        policy: Which face to use of several.
        digest: Whether to compute the digest of the photo.
    """

    aligned: bool = False
    policy: Literal["largest", "centre", "error"] = "largest"
    digest: bool = False


@dataclass(frozen=True, eq=False)
class PreparedFace:
    """The face of a photo, ready to be embedded.

    Attributes:
        pixels: Input of the model, `(h, w, c)` uint8.
        size: Width and height of the photo, pixels.
        found: The detected face.
        outline: Corners of the crop in pixels of the photo, clockwise from the upper left; None: the whole photo.
        digest: Digest of the photo, by which it is recognised; None: unknown.
    """

    pixels: npt.NDArray[np.uint8]
    size: tuple[int, int]
    found: FoundFace
    outline: tuple[tuple[float, float], ...] | None
    digest: bytes | None = None


class Engine:
    """An encoder and its thread pools.

    A photo is decoded, its face detected and cropped in one task, and there are as many threads for that as cores. So there are
    never more decoded photos in memory than cores.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        limits: ServiceLimits,
        aligned_only: bool = False,
        finder: FaceDetector | None = None,
        observe: Callable[[int], Any] = lambda size: None,
    ) -> None:
        """Start the threads.

        Args:
            encoder: The model.
            limits: Limits of a photo.
            aligned_only: Whether only aligned crops are accepted.
            finder: The face detector, which several threads call at a time; None: `FaceFinder()`.
            observe: Called with the size of each batch.
        """
        self.encoder, self.aligned_only = encoder, aligned_only
        self.population = PopulationMonitor(encoder.card)
        self._limits, self._finder = limits, FaceFinder() if finder is None else finder
        self._batcher = Batcher(encoder.embed, observe=observe)
        self._readers = ThreadPoolExecutor(os.cpu_count() or 1, "reading")
        self._explainer = ThreadPoolExecutor(1, "explaining")

    @property
    def card(self) -> Card:
        """The model's card."""
        return self.encoder.card

    @property
    def finds_faces(self) -> bool:
        """Whether faces are detected in whole photos."""
        return self.card.aligned and not self.aligned_only

    async def warm_up(self) -> None:
        """Run a batch of maximum size, so that memory is allocated before there is load, and load the detector if needed."""
        blank = PreparedFace(np.zeros(self.card.input_shape, dtype=np.uint8), (1, 1), FoundFace(), None)
        await self._embed([blank] * MAX_BATCH)
        if self.card.aligned:
            with contextlib.suppress(FaceError):
                photo = np.zeros((128, 128, 3), dtype=np.uint8)
                verifier = Verifier(self.encoder, aligned=self.aligned_only, acquisition=AcquisitionSettings(finder=self._finder))
                await _run(self._readers, verifier.acquire, photo)

    async def prepare_each(self, photos: Sequence[bytes], options: Acquisition, *, name: str) -> list[PreparedFace | ImageError]:
        """Acquire the face of each photo, or the error that prevents it.

        Args:
            photos: Image files.
            options: How faces are acquired.
            name: The field in which they were sent, for errors.

        Raises:
            FormError: If faces would have to be detected, and the service detects none.
        """
        if self.card.aligned and self.aligned_only and not options.aligned:
            raise FormError("This service detects no faces. Send aligned crops, with aligned=true.")
        return await _run(self._readers, self._prepare, photos, options, name)

    async def prepare(self, photos: Mapping[str, Sequence[bytes]], options: Acquisition) -> list[PreparedFace]:
        """Acquire the faces of all photos of a form.

        Raises:
            ImageError: If a photo cannot be read; as `FaceError` if it has no face, or too many.
            FormError: If faces would have to be detected, and the service detects none.
        """
        faces: list[PreparedFace] = []
        for name, files in photos.items():
            for face in await self.prepare_each(files, options, name=name):
                if isinstance(face, ImageError):
                    raise face
                faces.append(face)
        return faces

    async def embed(self, faces: Sequence[PreparedFace]) -> Embeddings:
        """Embed the faces of a request as `(n, d)`, batched with those of other requests."""
        embeddings = await self._embed(faces)
        self.population.add(embeddings[0])
        return embeddings

    async def _embed(self, faces: Sequence[PreparedFace]) -> Embeddings:
        return await asyncio.wrap_future(self._batcher.submit(np.stack([face.pixels for face in faces])))

    async def explain(self, first: PreparedFace, second: PreparedFace) -> tuple[Map, Map]:
        """Compute the occlusion maps of two faces, one request at a time, in batches between those of other requests."""
        return await _run(self._explainer, explain_faces, _BatchedEncoder(self.card, self._batcher), first.pixels, second.pixels)

    def close(self) -> None:
        """Finish pending work and stop the threads."""
        for pool in (self._readers, self._explainer):
            pool.shutdown()
        self._batcher.close()

    def _prepare(self, photos: Sequence[bytes], options: Acquisition, name: str) -> list[PreparedFace | ImageError]:
        acquisition = AcquisitionSettings(options.policy, finder=self._finder)
        verifier = Verifier(self.encoder, aligned=options.aligned, acquisition=acquisition)
        faces: list[PreparedFace | ImageError] = []
        for number, photo in enumerate(photos, start=1):
            try:
                face = self._face(verifier, photo, f"{name} {number}" if len(photos) > 1 else name, digest=options.digest)
                faces.append(face)
            except ImageError as error:
                faces.append(error)
        return faces

    def _face(self, verifier: Verifier, photo: bytes, name: str, *, digest: bool) -> PreparedFace:
        check_format(photo, name=name)
        acquired = verifier.acquire(read_image(photo, name=name, limits=self._limits.photo), name=name)
        aligned = acquired.aligned
        if aligned is not None and aligned.others >= self._limits.faces:
            raise FaceError(f"{name}: {aligned.others + 1} faces exceed the limit of {self._limits.faces}")
        height, width = acquired.photo.shape[:2]
        outline = None if aligned is None else tuple((round(float(x), 1), round(float(y), 1)) for x, y in aligned.outline)
        known = photo_digest(acquired.photo) if digest else None
        return PreparedFace(acquired.pixels, (width, height), acquired.found, outline, known)


@dataclass(frozen=True, eq=False)
class _BatchedEncoder:
    """An encoder that embeds through the batcher, a limited number of faces at a time."""

    card: Card
    batcher: Batcher

    def embed(self, faces: npt.NDArray[Any]) -> Embeddings:
        """Embed faces, as `Encoder.embed`."""
        starts = range(0, len(faces), _EXPLANATION_BATCH)
        return np.concatenate([self.batcher.submit(faces[start : start + _EXPLANATION_BATCH]).result() for start in starts])


async def _run(pool: ThreadPoolExecutor, function: Callable[..., Any], *arguments: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)
