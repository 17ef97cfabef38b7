"""Are these two photos of the same person? One pair, or one anchor against many."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from visavis.encoders import Encoder, PhotoSource, load_encoder, read_photo
from visavis.encoders.card import Card
from visavis.errors import FaceError
from visavis.faces import AlignedFace, CropScorer, FaceDetector, FaceFinder, acquire_faces
from visavis.images import Limits
from visavis.metrics.calibration import distance_of

__all__ = ["AcquiredPhoto", "FoundFace", "Verdict", "Verifier"]

_MIN_CROP_SCORE = 0.8  # below it, what was said to be an aligned crop is doubted
_BLANK = 2.0  # levels that a photo's pixels spread by at least; embeddings of less are alike whoever it should have shown


@dataclass(frozen=True)
class FoundFace:
    """The face that was compared, in the pixels of its photo.

    Attributes:
        box: Left, top, width and height; None: the photo was taken as it is.
        score: The detector's, 0 .. 1; of all of a photo that was said to be cut to the face; None: the model is not one of faces.
        warnings: What makes the comparison less reliable.
    """

    box: tuple[float, float, float, float] | None = None
    score: float | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class AcquiredPhoto:
    """A photo that is ready to be compared.

    Attributes:
        photo: The whole of it, `(h, w, c)` uint8.
        pixels: What the model takes, `(h, w, c)` uint8 of its input shape.
        aligned: The face that was found in it; None: the photo was taken as it is.
        crop_score: Score, 0 .. 1, that a face fills a photo that was taken as it is; None: it need not, or the detector gives none.
    """

    photo: npt.NDArray[np.uint8]
    pixels: npt.NDArray[np.uint8]
    aligned: AlignedFace | None = None
    crop_score: float | None = None

    @property
    def found(self) -> FoundFace:
        """What there is to tell of the face."""
        if self.aligned is None:
            (height, width), side = self.photo.shape[:2], max(self.pixels.shape[:2])
            warnings = [f"small photo: {width} x {height} pixels"] if 2 * min(height, width) < side else []
            if self.crop_score is not None and self.crop_score < _MIN_CROP_SCORE:
                warnings.append("no face fills the photo: is it cut to the face?")
            return FoundFace(score=self.crop_score, warnings=tuple(warnings))
        face = self.aligned.face
        if face is None:
            return FoundFace(warnings=self.aligned.warnings)
        left, top, width, height = (round(float(value), 1) for value in face.box)
        return FoundFace((left, top, width, height), face.score, self.aligned.warnings)


@dataclass(frozen=True)
class Verdict:
    """The answer for one pair of photos.

    Attributes:
        same: Whether the score reaches the threshold.
        score: The comparison score, the cosine of the two embeddings; higher is more alike.
        distance: The Euclidean distance of the two embeddings, 0 .. 2.
        probability: That of "the same person", given the prior; None: the model is not calibrated.
        threshold: The score from which the answer is "the same person".
        log_likelihood_ratio: How much likelier the score is for one person than for two, its natural logarithm; None likewise.
        faces: The faces that were compared.
    """

    same: bool
    score: float
    distance: float
    probability: float | None
    threshold: float
    log_likelihood_ratio: float | None = None
    faces: tuple[FoundFace, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings of the faces."""
        names = ("first photo", "second photo") if len(self.faces) == 2 else ("the photo",)
        return tuple(f"{name}: {text}" for name, face in zip(names, self.faces, strict=False) for text in face.warnings)

    @property
    def answer(self) -> str:
        """The answer in words."""
        return "same person" if self.same else "different people"

    @property
    def figures(self) -> str:
        """What it rests on, in words."""
        probability = "" if self.probability is None else f"probability {self.probability:.3f}, "
        return f"score {self.score:.3f}, threshold {self.threshold:.3f}, {probability}distance {self.distance:.3f}"

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


class Verifier:
    """Compares photos by an embedding model.

    A model that was trained on aligned faces is given whole photos: the face is found first. Any other model is given photos as it
    was trained on, cut around the centre if so.

    Example:
        By the encoder that comes with visavis, and by a model of one's own::

            visavis.Verifier().verify("anna-1.jpg", "anna-2.jpg").same
            visavis.Verifier("runs/mine").compare("anna-1.jpg", ["anna-2.jpg", "berta-1.jpg"])
    """

    def __init__(
        self,
        model: Path | str | Encoder = "pretrained",
        *,
        aligned: bool = False,
        policy: Literal["largest", "centre", "error"] = "largest",
        fallback: Literal["centre"] | None = None,
        target_fmr: float | None = None,
        prior: float = 0.5,
        threads: int | None = None,
        finder: FaceDetector | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Load a model.

        Args:
            model: What `load_encoder` takes, or an encoder.
            aligned: Whether the photos are cut to the face already, so that none is looked for.
            policy: Which face of several; see `faces.acquire_faces`.
            fallback: What to take where there is none; see there.
            target_fmr: Decide by the threshold that was chosen to keep this false match rate; None: by the model's usual one.
            prior: The part of mated pairs among all that will be compared, in (0, 1); probabilities depend on it, decisions do not.
            threads: How many threads share a batch; None: one for each core.
            finder: The face detector; None: `FaceFinder()`.
            limits: Largest file and picture that are decoded; None: `Limits()`.

        Raises:
            ModelError: If there is none, if it is damaged or foreign, or if it has no threshold for `target_fmr`.
            ValueError: If `prior` is out of range.
        """
        if not 0 < prior < 1:
            raise ValueError(f"prior must be in (0, 1). Received: prior={prior}")
        self.encoder = load_encoder(model, threads=threads) if isinstance(model, str | Path) else model
        if target_fmr is not None:
            self.card.rule(target_fmr)
        self._target_fmr, self._prior = target_fmr, prior
        self._finds_faces = self.card.aligned and not aligned
        self._policy, self._fallback = policy, fallback
        self._finder: FaceDetector = FaceFinder() if finder is None else finder
        self.limits = limits or Limits()

    @property
    def card(self) -> Card:
        """The model's card."""
        return self.encoder.card

    def acquire(self, photo: PhotoSource, *, name: str | None = None) -> AcquiredPhoto:
        """Read a photo, find the face if the model wants that, and bring it into the shape that the model takes.

        Args:
            photo: A path, bytes or an array, see `encoders.read_photo`.
            name: What to call it in an error; None: its path.

        Raises:
            ImageError: If the photo cannot be read; as `FaceError` if it has no face, or too many, or nothing on it at all.
        """
        image = read_photo(photo, name=name, limits=self.limits)
        name = name or (str(photo) if isinstance(photo, str | Path) else "the photo")
        if not self._finds_faces:
            pixels = self.card.crop.fit(image)
            scorer = self._finder if self.card.aligned and isinstance(self._finder, CropScorer) else None
            score = None if scorer is None else scorer.score_crop(_rgb(pixels))
            if (score is None or score < _MIN_CROP_SCORE) and pixels.std(axis=(0, 1)).max() < _BLANK:
                raise FaceError(f"{name}: nothing can be seen on it, all of it is of one colour")
            return AcquiredPhoto(image, pixels, crop_score=score)
        aligned = acquire_faces(_rgb(image), self._finder, name=name, policy=self._policy, fallback=self._fallback)[0]
        return AcquiredPhoto(image, aligned.cut(self.card.crop), aligned)

    def acquire_all(self, photo: PhotoSource, *, name: str | None = None) -> list[AcquiredPhoto]:
        """Read a photo and acquire all its faces, largest first, as `acquire` does with one.

        Raises:
            ImageError: As `acquire`.
        """
        if not self._finds_faces or self._policy != "largest":
            return [self.acquire(photo, name=name)]
        image = read_photo(photo, name=name, limits=self.limits)
        name = name or (str(photo) if isinstance(photo, str | Path) else "the photo")
        faces = acquire_faces(_rgb(image), self._finder, name=name, policy="all", fallback=self._fallback)
        found = [replace(face, others=len(faces) - 1) for face in faces]
        return [AcquiredPhoto(image, face.cut(self.card.crop), face) for face in found]

    def embed(self, photos: Sequence[PhotoSource | AcquiredPhoto] | npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Embed photos of any readable kind.

        Args:
            photos: Paths, bytes or arrays, see `encoders.read_photo`; or what `acquire` gave.

        Returns:
            `(n, d)` float32, rows of unit length.
        """
        return self._embed([self._acquired(photo) for photo in photos])

    def verify(self, first: PhotoSource | AcquiredPhoto, second: PhotoSource | AcquiredPhoto) -> Verdict:
        """Compare two photos.

        Raises:
            ImageError: If a photo cannot be read; as `FaceError` if it has no face, or too many.
        """
        return self.compare(first, [second])[0]

    def compare(self, anchor: PhotoSource | AcquiredPhoto, photos: Sequence[PhotoSource | AcquiredPhoto]) -> list[Verdict]:
        """Compare one anchor with many photos.

        Args:
            anchor: The photo that all others are compared with.
            photos: The others, at least one.

        Returns:
            One verdict for each of `photos`, in their order.

        Raises:
            ImageError: If a photo cannot be read; as `FaceError` if it has no face, or too many.
            ValueError: If `photos` is empty.
        """
        if len(photos) == 0:
            raise ValueError("photos must hold at least one photo. Received: none")
        first, *others = (self._acquired(photo) for photo in [anchor, *photos])
        embeddings = self._embed([first, *others])
        return [
            self.decide(float(score), faces=(first.found, other.found))
            for score, other in zip(embeddings[1:] @ embeddings[0], others, strict=True)
        ]

    def decide(self, score: float, *, faces: tuple[FoundFace, ...] = ()) -> Verdict:
        """Turn a comparison score into a verdict.

        Raises:
            ModelError: If the model has no threshold.
        """
        rule, calibration = self.card.rule(self._target_fmr), self.card.calibration
        return Verdict(
            same=score >= rule.score,
            score=score,
            distance=distance_of(score),
            probability=None if calibration is None else float(calibration.probability(score, prior=self._prior)),
            threshold=rule.score,
            log_likelihood_ratio=None if calibration is None else float(calibration.log_likelihood_ratio(score)),
            faces=faces,
        )

    def _acquired(self, photo: PhotoSource | AcquiredPhoto) -> AcquiredPhoto:
        return photo if isinstance(photo, AcquiredPhoto) else self.acquire(photo)

    def _embed(self, photos: list[AcquiredPhoto]) -> npt.NDArray[np.float32]:
        faces = np.array([photo.pixels for photo in photos], dtype=np.uint8)
        return self.encoder.embed(faces.reshape(-1, *self.card.input_shape))


def _rgb(photo: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return photo if photo.shape[2] == 3 else photo.repeat(3, axis=2)
