"""From uploaded photos to faces, embeddings and maps, in threads of their own, as many at a time as memory and cores allow."""

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
from visavis.images import Limits, read_image
from visavis.service.batching import LARGEST_BATCH, Batcher
from visavis.service.formats import check_format
from visavis.service.limits import ServiceLimits
from visavis.service.problems import FormError
from visavis.verification import FoundFace, Verifier
from visavis.verification.explanation import explain_faces

__all__ = ["Acquisition", "Engine", "PreparedFace"]

Embeddings = npt.NDArray[np.float32]
Map = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Acquisition:
    """How faces are looked for.

    Attributes:
        aligned: Whether the photos are cut to the face already.
        policy: Which face of several.
    """

    aligned: bool = False
    policy: Literal["largest", "centre", "error"] = "largest"


@dataclass(frozen=True, eq=False)
class PreparedFace:
    """What is kept of a photo.

    Attributes:
        pixels: What the model takes, `(h, w, c)` uint8.
        size: Width and height of the photo.
        found: The face that was found in it.
        outline: The corners of the crop in the photo's pixels, from the upper left one clockwise; None: the photo as it is.
    """

    pixels: npt.NDArray[np.uint8]
    size: tuple[int, int]
    found: FoundFace
    outline: tuple[tuple[float, float], ...] | None


class Engine:
    """An encoder and the threads that work with it.

    A photo is decoded, its face found and cut in one go by one of as many threads as there are cores, so there are never more
    decoded photos than these.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        limits: ServiceLimits,
        aligned_only: bool = False,
        observe: Callable[[int], Any] = lambda size: None,
    ) -> None:
        """Start the threads.

        Args:
            encoder: The model.
            limits: What a photo may be.
            aligned_only: Whether photos that are not cut to the face are refused.
            observe: Told how many faces each batch has.
        """
        self.encoder, self.aligned_only = encoder, aligned_only
        self._limits = limits
        self._batcher = Batcher(encoder.embed, observe=observe)
        self._readers = ThreadPoolExecutor(os.cpu_count() or 1, "reading")
        self._explainer = ThreadPoolExecutor(1, "explaining")

    @property
    def card(self) -> Card:
        """The model's card."""
        return self.encoder.card

    @property
    def finds_faces(self) -> bool:
        """Whether faces are found in whole photos."""
        return self.card.aligned and not self.aligned_only

    async def warm_up(self) -> None:
        """Run the largest batch, so that memory is taken now and not under load, and load what looks for faces, if it is needed."""
        blank = PreparedFace(np.zeros(self.card.input_shape, dtype=np.uint8), (1, 1), FoundFace(), None)
        await self.embed([blank] * LARGEST_BATCH)
        if self.card.aligned:
            with contextlib.suppress(FaceError):
                photo = np.zeros((128, 128, 3), dtype=np.uint8)
                await _run(self._readers, Verifier(self.encoder, aligned=self.aligned_only).acquire, photo)

    async def prepare_each(self, photos: Sequence[bytes], options: Acquisition, *, name: str) -> list[PreparedFace | ImageError]:
        """Find the face of each photo, or why there is none that can be compared.

        Args:
            photos: Files.
            options: How faces are looked for.
            name: The field that they came in, for errors.

        Raises:
            FormError: If faces must be found for it, and the service finds none.
        """
        if self.card.aligned and self.aligned_only and not options.aligned:
            raise FormError("This service finds no faces. Send photos that are cut to the face, with aligned=true.")
        return await _run(self._readers, self._prepare, photos, options, name)

    async def prepare(self, photos: Mapping[str, Sequence[bytes]], options: Acquisition) -> list[PreparedFace]:
        """Find the faces of all photos of a form.

        Raises:
            ImageError: If one cannot be read; as `FaceError` if it has no face, or too many.
            FormError: If faces must be found for it, and the service finds none.
        """
        faces: list[PreparedFace] = []
        for name, files in photos.items():
            for face in await self.prepare_each(files, options, name=name):
                if isinstance(face, ImageError):
                    raise face
                faces.append(face)
        return faces

    async def embed(self, faces: Sequence[PreparedFace]) -> Embeddings:
        """Embed faces `(n, d)`, together with those of other requests."""
        return await asyncio.wrap_future(self._batcher.submit(np.stack([face.pixels for face in faces])))

    async def explain(self, first: PreparedFace, second: PreparedFace) -> tuple[Map, Map]:
        """Find what on two faces their score rests on; one such request at a time, in batches that let others between."""
        return await _run(self._explainer, explain_faces, _Queued(self.card, self._batcher), first.pixels, second.pixels)

    def close(self) -> None:
        """Finish what was begun, and end the threads."""
        for pool in (self._readers, self._explainer):
            pool.shutdown()
        self._batcher.close()

    def _prepare(self, photos: Sequence[bytes], options: Acquisition, name: str) -> list[PreparedFace | ImageError]:
        verifier = Verifier(self.encoder, aligned=options.aligned, policy=options.policy)
        faces: list[PreparedFace | ImageError] = []
        for number, photo in enumerate(photos, start=1):
            try:
                faces.append(self._face(verifier, photo, f"{name} {number}" if len(photos) > 1 else name))
            except ImageError as error:
                faces.append(error)
        return faces

    def _face(self, verifier: Verifier, photo: bytes, name: str) -> PreparedFace:
        check_format(photo, name=name)
        limits = Limits(self._limits.photo_bytes, self._limits.photo_pixels)
        acquired = verifier.acquire(read_image(photo, name=name, limits=limits), name=name)
        aligned = acquired.aligned
        if aligned is not None and aligned.others >= self._limits.faces:
            raise FaceError(f"{name}: {aligned.others + 1} faces are more than the limit of {self._limits.faces}")
        height, width = acquired.photo.shape[:2]
        outline = None if aligned is None else tuple((round(float(x), 1), round(float(y), 1)) for x, y in aligned.outline)
        return PreparedFace(acquired.pixels, (width, height), acquired.found, outline)


@dataclass(frozen=True, eq=False)
class _Queued:
    """An encoder that stands in the queue like everybody else, for no more than a batch at a time."""

    card: Card
    batcher: Batcher
    size: int = 32

    def embed(self, faces: npt.NDArray[Any]) -> Embeddings:
        """As `Encoder.embed`."""
        parts = (faces[start : start + self.size] for start in range(0, len(faces), self.size))
        return np.concatenate([self.batcher.submit(part).result() for part in parts])


async def _run(pool: ThreadPoolExecutor, function: Callable[..., Any], *arguments: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)
