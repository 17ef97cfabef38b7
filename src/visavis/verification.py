"""Are these two photos of the same person? One pair, or one anchor against many."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from visavis.calibration import distance_of
from visavis.cards import Card
from visavis.encoders import Encoder, PhotoSource, load_encoder, prepare_face

__all__ = ["Verdict", "Verifier"]


@dataclass(frozen=True)
class Verdict:
    """The answer for one pair of photos.

    Attributes:
        same: Whether the score reaches the threshold.
        score: The comparison score, the cosine of the two embeddings; higher is more alike.
        distance: The Euclidean distance of the two embeddings, 0 .. 2.
        probability: That of "the same person", if mated and non-mated pairs are as frequent.
        threshold: The score from which the answer is "the same person".
    """

    same: bool
    score: float
    distance: float
    probability: float
    threshold: float


class Verifier:
    """Compares photos by a trained model.

    Example:
        Train a model first (`visavis demo` makes one in a minute or two)::

            verifier = visavis.Verifier("runs/demo")
            verifier.verify("anna-1.jpg", "anna-2.jpg").same
    """

    def __init__(self, model: Path | str | Encoder) -> None:
        """Load a model.

        Args:
            model: A run folder, a model file, or an encoder.

        Raises:
            ModelError: If there is none, or if it is damaged or foreign.
        """
        self.encoder = load_encoder(model) if isinstance(model, str | Path) else model

    @property
    def card(self) -> Card:
        """The model's card."""
        return self.encoder.card

    def embed(self, photos: Sequence[PhotoSource] | npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Embed photos of any readable kind.

        Args:
            photos: Paths, bytes or arrays; see `encoders.prepare_face`.

        Returns:
            `(n, d)` float32, rows of unit length.
        """
        faces = [prepare_face(photo, self.card) for photo in photos]
        return self.encoder.embed(np.stack(faces) if faces else np.zeros((0, *self.card.input_shape), np.uint8))

    def verify(self, first: PhotoSource, second: PhotoSource) -> Verdict:
        """Compare two photos.

        Raises:
            ImageError: If a photo cannot be read.
        """
        return self.compare(first, [second])[0]

    def compare(self, anchor: PhotoSource, photos: Sequence[PhotoSource]) -> list[Verdict]:
        """Compare one anchor with many photos.

        Args:
            anchor: The photo that all others are compared with.
            photos: The others, at least one.

        Returns:
            One verdict for each of `photos`, in their order.

        Raises:
            ImageError: If a photo cannot be read.
            ValueError: If `photos` is empty.
        """
        if len(photos) == 0:
            raise ValueError("photos must hold at least one photo. Received: none")
        embeddings = self.embed([anchor, *photos])
        return [self.decide(float(score)) for score in embeddings[1:] @ embeddings[0]]

    def decide(self, score: float) -> Verdict:
        """Turn a comparison score into a verdict."""
        distance = distance_of(score)
        logit = self.card.offset - self.card.slope * distance
        return Verdict(
            same=score >= self.card.threshold.score,
            score=score,
            distance=distance,
            probability=float(1 / (1 + np.exp(-logit))),
            threshold=self.card.threshold.score,
        )
