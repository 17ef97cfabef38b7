"""Verify photos 1:1, and compare one anchor with many."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.encoders import Encoder, PhotoSource, load_encoder, read_photo
from visavis.encoders.card import Card
from visavis.errors import FaceError
from visavis.faces import AcquisitionSettings, AlignedFace, CropScorer, acquire_faces
from visavis.images import Limits
from visavis.metrics import cosine_scores
from visavis.metrics.calibration import distance_of

__all__ = ["AcquiredPhoto", "FoundFace", "Verdict", "Verifier"]

_MIN_CROP_SCORE = 0.8  # below it, a photo that was declared an aligned crop is doubted
_BLANK = 2.0  # lowest standard deviation of a photo's levels; embeddings of blank photos match each other


@dataclass(frozen=True)
class FoundFace:
    """The face that was compared, in the pixels of its photo.

    Attributes:
        box: Left, top, width and height; None: the photo was taken as it is.
        score: The detector's, 0 .. 1; for an aligned crop, the score that a face fills it; None: the model is not one of faces.
        warnings: What makes the comparison less reliable.
    """

    box: tuple[float, float, float, float] | None = None
    score: float | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class AcquiredPhoto:
    """A photo that is ready to be compared.

    Attributes:
        photo: The whole photo, `(h, w, c)` uint8.
        pixels: The crop that the model takes, `(h, w, c)` uint8.
        aligned: The face that was detected in it; None: the photo was taken as it is.
        crop_score: Score, 0 .. 1, that a face fills a photo that was taken as it is; None: it need not, or the detector gives none.
        photo_warnings: What is uncertain about the pixels of the photo; see `DecodedImage`.
    """

    photo: npt.NDArray[np.uint8]
    pixels: npt.NDArray[np.uint8]
    aligned: AlignedFace | None = None
    crop_score: float | None = None
    photo_warnings: tuple[str, ...] = ()

    @property
    def found(self) -> FoundFace:
        """The face, with what makes its comparison less reliable."""
        if self.aligned is None:
            (height, width), side = self.photo.shape[:2], max(self.pixels.shape[:2])
            warnings = [*self.photo_warnings]
            if 2 * min(height, width) < side:
                warnings.append(f"small photo: {width} x {height} pixels")
            if self.crop_score is not None and self.crop_score < _MIN_CROP_SCORE:
                warnings.append("no face fills the photo: is it an aligned crop?")
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
        probability: Probability of "same person" at `prior`; None: the model is not calibrated.
        threshold: The score from which the answer is "same person".
        log_likelihood_ratio: Natural logarithm of how much likelier the score is for one person than for two; None likewise.
        faces: The faces that were compared.
        prior: P(same person) before the photos are seen, which `probability` assumes; None likewise.
        measured_on: The false match rate of the threshold and the populations it was measured on; empty: not known.
    """

    same: bool
    score: float
    distance: float
    probability: float | None
    threshold: float
    log_likelihood_ratio: float | None = None
    faces: tuple[FoundFace, ...] = ()
    prior: float | None = None
    measured_on: str = ""

    @property
    def uncertain(self) -> bool:
        """Whether the probability at `prior` contradicts the decision, which a threshold for a false match rate makes."""
        return self.probability is not None and (self.probability >= 0.5) != self.same

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings of the faces."""
        names = ("first photo", "second photo") if len(self.faces) == 2 else ("the photo",)
        return tuple(f"{name}: {text}" for name, face in zip(names, self.faces, strict=False) for text in face.warnings)

    @property
    def answer(self) -> str:
        """`"same person"` or `"different people"`, by the threshold."""
        return "same person" if self.same else "different people"

    @property
    def figures(self) -> str:
        """Score, threshold, probability with its prior, and distance, as text."""
        probability = "" if self.probability is None else f"probability {self.probability:.3f} at a prior of {self.prior:g}, "
        return f"score {self.score:.3f}, threshold {self.threshold:.3f}, {probability}distance {self.distance:.3f}"

    def describe(self) -> str:
        """Return answer and figures in one line; "uncertain" if the probability contradicts the threshold."""
        doubt = "uncertain: by the threshold " if self.uncertain else ""
        return f"{doubt}{self.answer} ({self.figures})"

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


class Verifier:
    """Compares photos by an embedding model.

    For a model of aligned faces, the face is detected in each photo and cut to the model's crop. Any other model takes the photo
    itself, or the square around its centre if it was trained on that.

    Example:
        With the bundled encoder, and with a model of your own::

            visavis.Verifier().verify("anna-1.jpg", "anna-2.jpg").same
            visavis.Verifier("runs/mine").compare("anna-1.jpg", ["anna-2.jpg", "berta-1.jpg"])
    """

    def __init__(
        self,
        model: Path | str | Encoder = "pretrained",
        *,
        acquisition: AcquisitionSettings | None = None,
        aligned: bool = False,
        target_fmr: float | None = None,
        prior: float = 0.5,
        threads: int | None = None,
    ) -> None:
        """Load a model.

        Args:
            model: What `load_encoder` takes, or an encoder.
            acquisition: Which face of several, what to take without one, the face detector, and the limits of photos; None: the
                largest face by `FaceFinder()`.
            aligned: Whether the photos are aligned crops already, so that no face is detected.
            target_fmr: Decide by the operating point for this false match rate; None: by the model's default one.
            prior: P(same person) before the photos are seen, in (0, 1); probabilities depend on it, decisions do not.
            threads: Threads that share a batch; None: one for each core.

        Raises:
            ModelError: If there is none, if it is damaged or foreign, or if it has no operating point for `target_fmr`.
            ValueError: If `prior` is out of range, or if all faces of a photo are asked for.
        """
        if not 0 < prior < 1:
            raise ValueError(f"prior must be in (0, 1), got {prior}")
        self.acquisition = acquisition or AcquisitionSettings()
        if self.acquisition.policy == "all":
            raise ValueError("policy must be 'largest', 'centre' or 'error' to verify one face of a photo, got 'all'")
        self.encoder = load_encoder(model, threads=threads) if isinstance(model, str | Path) else model
        if target_fmr is not None:
            self.card.rule(target_fmr)
        self._target_fmr, self._prior = target_fmr, prior
        self._detects = self.card.aligned and not aligned

    def __repr__(self) -> str:
        """Return the model's card and how it decides."""
        return f"Verifier({self.card!r}, target_fmr={self._target_fmr}, prior={self._prior:g})"

    @property
    def limits(self) -> Limits:
        """Largest file and picture that are decoded."""
        return self.acquisition.limits

    @property
    def card(self) -> Card:
        """The model's card."""
        return self.encoder.card

    def acquire(self, photo: PhotoSource, *, name: str | None = None) -> AcquiredPhoto:
        """Read a photo, detect the face if the model takes aligned ones, and cut the model's crop.

        Args:
            photo: A path, bytes, a Pillow image or an array, see `encoders.read_photo`.
            name: What to call it in an error; None: its path.

        Raises:
            ImageError: If the photo cannot be read; as `FaceError` if it has no face, or too many, or nothing on it at all.
        """
        decoded = read_photo(photo, name=name, limits=self.limits)
        image, name = decoded.pixels, name or (str(photo) if isinstance(photo, str | Path) else "the photo")
        if not self._detects:
            pixels = self.card.crop.fit(image)
            finder = self.acquisition.finder
            scorer = finder if self.card.aligned and isinstance(finder, CropScorer) else None
            score = None if scorer is None else scorer.score_crop(_rgb(pixels))
            if (score is None or score < _MIN_CROP_SCORE) and pixels.std(axis=(0, 1)).max() < _BLANK:
                raise FaceError(f"{name}: nothing can be seen on it, all of it is of one colour")
            return AcquiredPhoto(image, pixels, crop_score=score, photo_warnings=decoded.warnings)
        how = self.acquisition
        aligned = acquire_faces(_rgb(image), how.finder, name=name, policy=how.policy, fallback=how.fallback)[0]
        aligned = replace(aligned, photo_warnings=decoded.warnings)
        return AcquiredPhoto(image, aligned.cut(self.card.crop), aligned)

    def acquire_all(self, photo: PhotoSource, *, name: str | None = None) -> list[AcquiredPhoto]:
        """Read a photo and acquire all its faces, largest first, as `acquire` does with one.

        Raises:
            ImageError: As `acquire`.
        """
        how = self.acquisition
        if not self._detects or how.policy != "largest":
            return [self.acquire(photo, name=name)]
        decoded = read_photo(photo, name=name, limits=self.limits)
        image, name = decoded.pixels, name or (str(photo) if isinstance(photo, str | Path) else "the photo")
        faces = acquire_faces(_rgb(image), how.finder, name=name, policy="all", fallback=how.fallback)
        found = [replace(face, others=len(faces) - 1, photo_warnings=decoded.warnings) for face in faces]
        return [AcquiredPhoto(image, face.cut(self.card.crop), face) for face in found]

    def embed(self, photos: Sequence[PhotoSource | AcquiredPhoto] | npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Embed photos of any readable kind.

        Args:
            photos: Paths, bytes, Pillow images or arrays, see `encoders.read_photo`; or what `acquire` returned.

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
            raise ValueError("photos must hold at least one photo, got none")
        first, *others = (self._acquired(photo) for photo in [anchor, *photos])
        embeddings = self._embed([first, *others])
        return [
            self.decide(float(score), faces=(first.found, other.found))
            for score, other in zip(cosine_scores(embeddings[1:], embeddings[:1])[:, 0], others, strict=True)
        ]

    def decide(self, score: float, *, faces: tuple[FoundFace, ...] = ()) -> Verdict:
        """Turn a comparison score into a verdict.

        Args:
            score: A cosine; rounding errors beyond -1 and 1 are cut off.
            faces: The faces that were compared.

        Raises:
            ModelError: If the model has no threshold.
        """
        score = min(1.0, max(-1.0, score))
        rule, calibration = self.card.rule(self._target_fmr), self.card.calibration
        return Verdict(
            same=score >= rule.score,
            score=score,
            distance=distance_of(score),
            probability=None if calibration is None else float(calibration.probability(score, prior=self._prior)),
            threshold=rule.score,
            log_likelihood_ratio=None if calibration is None else float(calibration.log_likelihood_ratio(score)),
            faces=faces,
            prior=None if calibration is None else self._prior,
            measured_on=rule.measured_on,
        )

    def _acquired(self, photo: PhotoSource | AcquiredPhoto) -> AcquiredPhoto:
        return photo if isinstance(photo, AcquiredPhoto) else self.acquire(photo)

    def _embed(self, photos: list[AcquiredPhoto]) -> npt.NDArray[np.float32]:
        faces = np.array([photo.pixels for photo in photos], dtype=np.uint8)
        return self.encoder.embed(faces.reshape(-1, *self.card.input_shape))


def _rgb(photo: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return photo if photo.shape[2] == 3 else photo.repeat(3, axis=2)
