"""Verify photos 1:1, and compare one anchor with many."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from visavis.encoders import Encoder, PhotoSource, load_encoder, read_photo
from visavis.encoders.card import Card
from visavis.errors import FaceError
from visavis.faces import CANONICAL_SIDE, AcquisitionSettings, AlignedFace, CropScorer, FaceQuality, acquire_faces, sharpness
from visavis.images import Limits, resize_image
from visavis.metrics import cosine_scores
from visavis.metrics.calibration import distance_of
from visavis.metrics.search import rate_of_any
from visavis.verification.verdicts import FoundFace, Verdict

if TYPE_CHECKING:  # photos are verified without a detector of presentation attacks, and sooner
    from visavis.pad import PadDetector, PresentationCheck

__all__ = ["AcquiredPhoto", "CropEncoder", "Verifier"]

_MIN_CROP_SCORE = 0.8  # below it, a photo that was declared an aligned crop is doubted
_BLANK = 2.0  # lowest standard deviation of a photo's levels; embeddings of blank photos match each other


@dataclass(frozen=True)
class CropEncoder:
    """Instead of an encoder: its card alone is needed to acquire a face."""

    card: Card


@dataclass(frozen=True, eq=False)
class AcquiredPhoto:
    """A photo that is ready to be compared.

    Attributes:
        photo: The whole photo, `(h, w, c)` uint8.
        pixels: The crop that the model takes, `(h, w, c)` uint8.
        aligned: The face that was detected in it; None: the photo was taken as it is.
        crop_score: Score, 0 .. 1, that a face fills a photo that was taken as it is; None: it need not, or the detector gives none.
        photo_warnings: What is uncertain about the pixels of the photo; see `DecodedImage`.
        number: The number of the face among those of the photo that are compared, the largest first.
        faces: How many faces of the photo are compared.
    """

    photo: npt.NDArray[np.uint8]
    pixels: npt.NDArray[np.uint8]
    aligned: AlignedFace | None = None
    crop_score: float | None = None
    photo_warnings: tuple[str, ...] = ()
    number: int = 1
    faces: int = 1

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
        return FoundFace((left, top, width, height), face.score, self.aligned.warnings, self.number, self.faces)

    @property
    def quality(self) -> FaceQuality | None:
        """Quality measures of the face, of an aligned crop its sharpness alone; None: the model is not one of faces."""
        if self.aligned is not None:
            return FaceQuality.of(self.aligned)
        if self.crop_score is None:
            return None
        return FaceQuality(sharpness(resize_image(self.pixels, (CANONICAL_SIDE, CANONICAL_SIDE))))


class Verifier:
    """Compares photos by an embedding model.

    For a model of aligned faces, the face is detected in each photo and cut to the model's crop. Any other model takes the photo
    itself, or the square around its centre if it was trained on that.

    Example:
        With the bundled encoder, and with a model of your own::

            visavis.Verifier().verify("anna-1.jpg", "anna-2.jpg").same
            visavis.Verifier("runs/mine").compare("anna-1.jpg", ["anna-2.jpg", "berta-1.jpg"])

        Is she in the group photo, and which face is hers? ::

            everybody = visavis.AcquisitionSettings(policy="all")
            visavis.Verifier(acquisition=everybody).verify("anna-1.jpg", "party.jpg").which_faces

    Attributes:
        pad: A detector of presentation attacks, which vetoes decisions, see `visavis.pad`; None, the default: there is none.
    """

    pad: "PadDetector | None" = None

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
            acquisition: Which face of several (with `"all"`, a photo matches if any of its faces does), what to take without one,
                the face detector, and the limits of photos; None: the largest face by `FaceFinder()`.
            aligned: Whether the photos are aligned crops already, so that no face is detected.
            target_fmr: Decide by the operating point for this false match rate; None: by the model's default one.
            prior: P(same person) before the photos are seen, in (0, 1); probabilities depend on it, decisions do not.
            threads: Threads that share a batch; None: one for each core.

        Raises:
            ModelError: If there is none, if it is damaged or foreign, or if it has no operating point for `target_fmr`.
            ValueError: If `prior` is out of range.
        """
        if not 0 < prior < 1:
            raise ValueError(f"prior must be in (0, 1), got {prior}")
        self.acquisition = acquisition or AcquisitionSettings()
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
            ValueError: If all faces are asked for; `acquire_each` returns them.
        """
        if self._takes_all:
            raise ValueError("policy must be 'largest', 'centre' or 'error' to acquire one face of a photo, got 'all'")
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

    def acquire_each(self, photo: PhotoSource, *, name: str | None = None) -> list[AcquiredPhoto]:
        """Read a photo and acquire its faces that are compared: one, or with the policy `"all"` all of them, largest first.

        Raises:
            ImageError: As `acquire`.
        """
        return self._acquire_all(photo, name) if self._takes_all else [self.acquire(photo, name=name)]

    def acquire_all(self, photo: PhotoSource, *, name: str | None = None) -> list[AcquiredPhoto]:
        """Read a photo and acquire all its faces, largest first, unless the policy chooses another one than the largest.

        Raises:
            ImageError: As `acquire`.
        """
        if not self._detects or self.acquisition.policy in ("centre", "error"):
            return [self.acquire(photo, name=name)]
        faces = self._acquire_all(photo, name)
        return [replace(face, aligned=replace(face.aligned, others=len(faces) - 1)) for face in faces if face.aligned is not None]

    def embed(self, photos: Sequence[PhotoSource | AcquiredPhoto] | npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Embed photos of any readable kind.

        Args:
            photos: Paths, bytes, Pillow images or arrays, see `encoders.read_photo`; or what `acquire` returned.

        Returns:
            `(n, d)` float32, rows of unit length.
        """
        return self._embed([self._acquired(photo) for photo in photos])

    def embed_crops(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Embed crops `(n, h, w, c)` of faces that were acquired elsewhere; see `without_encoder`."""
        return self.encoder.embed(crops.reshape(-1, *self.card.input_shape))

    def without_encoder(self) -> "Verifier":
        """Return a verifier that acquires faces as this one does and embeds none, so that it can be pickled."""
        encoder: Any = CropEncoder(Card(self.card.crop))
        return Verifier(encoder, acquisition=self.acquisition, aligned=self.card.aligned and not self._detects)

    def verify(self, first: PhotoSource | AcquiredPhoto, second: PhotoSource | AcquiredPhoto) -> Verdict:
        """Compare two photos; with the policy `"all"`, every face of one with every face of the other.

        Raises:
            ImageError: If a photo cannot be read; as `FaceError` if it has no face, or too many.
        """
        return self.compare(first, [second])[0]

    def match(self, first: Sequence[AcquiredPhoto], second: Sequence[AcquiredPhoto]) -> Verdict:
        """Compare the faces of one photo with those of another, as `acquire_each` returned them.

        Raises:
            ValueError: If there is no face in one of them.
        """
        if not first or not second:
            raise ValueError(f"match needs at least one face of each photo, got {len(first)} and {len(second)}")
        embeddings = self._embed([*first, *second])
        return self._decide_best(cosine_scores(embeddings[: len(first)], embeddings[len(first) :]), first, second)

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
        return self.match_each(self._faces_of(anchor), [self._faces_of(photo) for photo in photos])

    def match_each(self, anchor: Sequence[AcquiredPhoto], photos: Sequence[Sequence[AcquiredPhoto]]) -> list[Verdict]:
        """Compare the faces of one photo with those of each of the others, all of which are embedded together; see `match`."""
        embeddings = self._embed([*anchor, *(face for faces in photos for face in faces)])
        ends = np.cumsum([len(anchor), *map(len, photos)])
        scores = cosine_scores(embeddings[: len(anchor)], embeddings[len(anchor) :])
        return [
            self._decide_best(scores[:, start - len(anchor) : end - len(anchor)], anchor, faces)
            for start, end, faces in zip(ends[:-1], ends[1:], photos, strict=True)
        ]

    def decide(self, scores: float | npt.ArrayLike, *, faces: tuple[FoundFace, ...] = ()) -> Verdict:
        """Turn a comparison score into a verdict, or the scores of several pairs of faces, of which the highest decides.

        Args:
            scores: A cosine, or several; rounding errors beyond -1 and 1 are cut off.
            faces: The faces with the highest score.

        Raises:
            ModelError: If the model has no threshold.
        """
        cosines = np.clip(np.asarray(scores, dtype=np.float64).ravel(), -1.0, 1.0)
        score, rule, ratio = float(cosines.max()), self.card.rule(self._target_fmr), self._likelihood_ratio(cosines)
        return Verdict(
            same=score >= rule.score,
            score=score,
            distance=distance_of(score),
            probability=None if ratio is None else _probability(ratio, self._prior),
            threshold=rule.score,
            log_likelihood_ratio=ratio,
            faces=faces,
            prior=None if ratio is None else self._prior,
            measured_on=rule.measured_on,
            comparisons=len(cosines),
            false_match_rate=rate_of_any(rule.false_matches / rule.nonmated, len(cosines)) if rule.nonmated else None,
            false_match_rate_upper=None if rule.fmr_upper is None else rate_of_any(rule.fmr_upper, len(cosines)),
        )

    def check_presentation(self, photos: Sequence[AcquiredPhoto]) -> "PresentationCheck | None":
        """Check photos with the detector of presentation attacks; None: there is none.

        Raises:
            ModelError: If the detector fails.
            ValueError: If a photo is an aligned crop, which does not show what is around the face.
        """
        if self.pad is None:
            return None
        from visavis.pad import check_presentation

        faces = [photo.aligned for photo in photos if photo.aligned is not None]
        if len(faces) < len(photos):
            raise ValueError("presentation attacks can be detected in whole photos only, got an aligned crop")
        return check_presentation(self.pad, [face.cut(self.pad.crop) for face in faces])

    def vetted(self, verdict: Verdict, check: "PresentationCheck | None") -> Verdict:
        """Return a verdict with what was detected of presentation attacks, none of which is accepted."""
        if check is None:
            return verdict
        return replace(verdict, same=verdict.same and not check.vetoed, presentation=check)

    @property
    def _takes_all(self) -> bool:
        return self._detects and self.acquisition.policy == "all"

    def _acquire_all(self, photo: PhotoSource, name: str | None) -> list[AcquiredPhoto]:
        how = self.acquisition
        decoded = read_photo(photo, name=name, limits=self.limits)
        image, name = decoded.pixels, name or (str(photo) if isinstance(photo, str | Path) else "the photo")
        found = acquire_faces(_rgb(image), how.finder, name=name, policy="all", fallback=how.fallback)
        faces = [replace(face, photo_warnings=decoded.warnings) for face in found]
        crop, count = self.card.crop, len(faces)
        return [AcquiredPhoto(image, face.cut(crop), face, number=number, faces=count) for number, face in enumerate(faces, 1)]

    def _decide_best(
        self, scores: npt.NDArray[np.float32], first: Sequence[AcquiredPhoto], second: Sequence[AcquiredPhoto]
    ) -> Verdict:
        one, other = divmod(int(np.argmax(scores)), scores.shape[1])
        verdict = self.decide(scores, faces=(first[one].found, second[other].found))
        return self.vetted(verdict, self.check_presentation([first[one], second[other]]))

    def _likelihood_ratio(self, cosines: npt.NDArray[np.float64]) -> float | None:
        """Return the logarithm of the mean likelihood ratio: one of the pairs, each as likely as the others, is mated."""
        if self.card.calibration is None:
            return None
        return float(np.logaddexp.reduce(self.card.calibration.log_likelihood_ratio(cosines)) - np.log(len(cosines)))

    def _faces_of(self, photo: PhotoSource | AcquiredPhoto) -> list[AcquiredPhoto]:
        return [photo] if isinstance(photo, AcquiredPhoto) else self.acquire_each(photo)

    def _acquired(self, photo: PhotoSource | AcquiredPhoto) -> AcquiredPhoto:
        return photo if isinstance(photo, AcquiredPhoto) else self.acquire(photo)

    def _embed(self, photos: list[AcquiredPhoto]) -> npt.NDArray[np.float32]:
        return self.embed_crops(np.array([photo.pixels for photo in photos], dtype=np.uint8))


def _probability(ratio: float, prior: float) -> float:
    """Return the posterior of a log-likelihood ratio."""
    return float(1 / (1 + np.exp(-ratio - np.log(prior / (1 - prior)))))


def _rgb(photo: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return photo if photo.shape[2] == 3 else photo.repeat(3, axis=2)
