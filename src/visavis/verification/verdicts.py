"""What a comparison of two photos says: the decision, its rates, and the faces that were compared."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from visavis.wording import counted

if TYPE_CHECKING:  # photos are verified without a detector of presentation attacks, and sooner
    from visavis.pad import PresentationCheck

__all__ = ["FoundFace", "Verdict"]


@dataclass(frozen=True)
class FoundFace:
    """The face that was compared, in the pixels of its photo.

    Attributes:
        box: Left, top, width and height; None: the photo was taken as it is.
        score: The detector's, 0 .. 1; for an aligned crop, the score that a face fills it; None: the model is not one of faces.
        warnings: What makes the comparison less reliable.
        number: Its number among the faces of the photo that were compared, the largest first; 1 where one was.
        faces: How many faces of the photo were compared.
    """

    box: tuple[float, float, float, float] | None = None
    score: float | None = None
    warnings: tuple[str, ...] = ()
    number: int = 1
    faces: int = 1


@dataclass(frozen=True)
class Verdict:
    """The answer for one pair of photos.

    Where all faces of a photo are compared, the pair of faces with the highest score decides, and the photos match if it does.

    Attributes:
        same: Whether the model takes them for the same person, and no presentation attack was detected.
        score: The comparison score, the cosine of the embeddings, -1 .. 1; of several pairs of faces the highest.
        distance: The Euclidean distance of the embeddings, 0 .. 2.
        probability: Probability of "same person" at `prior`; None: the model is not calibrated.
        threshold: The score from which the answer is "same person".
        log_likelihood_ratio: Natural logarithm of how much likelier the score is for one person than for two; None likewise. Of
            several pairs of faces: how much likelier their scores are if one pair, each as likely as others, is mated than if none
            is.
        faces: The faces that were compared.
        prior: P(same person) before the photos are seen, which `probability` assumes; None likewise.
        measured_on: The false match rate of the threshold and the populations it was measured on; empty: not known.
        comparisons: How many pairs of faces were compared.
        false_match_rate: Predicted probability that at least one of these comparisons is accepted although no person is in both
            photos: ``1 - (1 - FMR)^comparisons`` if they are independent, lower if they resemble each other; None: not known.
        false_match_rate_upper: The same from the one-sided 95 % bound of the FMR; None likewise.
        presentation: What a detector of presentation attacks says of the faces; None: there is none.
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
    comparisons: int = 1
    false_match_rate: float | None = None
    false_match_rate_upper: float | None = None
    presentation: "PresentationCheck | None" = None

    @property
    def uncertain(self) -> bool:
        """Whether the probability at `prior` contradicts the decision, which a threshold for a false match rate makes."""
        return self.probability is not None and not self.vetoed and (self.probability >= 0.5) != self.same

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings of the faces."""
        return tuple(f"{name}: {text}" for name, face in zip(self._names, self.faces, strict=False) for text in face.warnings)

    @property
    def vetoed(self) -> bool:
        """Whether a presentation attack was detected, so that nothing is accepted."""
        return self.presentation is not None and self.presentation.vetoed

    @property
    def answer(self) -> str:
        """`"same person"` or `"different people"`, by the threshold; `"presentation attack"` where one was detected."""
        if self.vetoed:
            return "presentation attack"
        return "same person" if self.same else "different people"

    @property
    def which_faces(self) -> str:
        """The faces with the highest score, of photos with several, as text; empty: one face of each was compared."""
        faces = zip(self._names, self.faces, strict=False)
        return ", ".join(f"face {face.number} of the {name.removeprefix('the ')}" for name, face in faces if face.faces > 1)

    @property
    def figures(self) -> str:
        """Score, threshold, probability with its prior, and distance, as text."""
        probability = "" if self.probability is None else f"probability {self.probability:.3f} at a prior of {self.prior:g}, "
        check = "" if self.presentation is None else f", {self.presentation}"
        return f"score {self.score:.3f}, threshold {self.threshold:.3f}, {probability}distance {self.distance:.3f}{check}"

    @property
    def measured(self) -> str:
        """The rate of the threshold and that of all comparisons, as text; empty: not known."""
        if self.comparisons == 1 or self.false_match_rate is None:
            return self.measured_on
        upper = "" if self.false_match_rate_upper is None else f", at most {self.false_match_rate_upper:.2g}"
        rate = f"false match rate of {counted(self.comparisons, 'comparison')}: {self.false_match_rate:.2g}{upper}"
        return f"{self.measured_on}; {rate}"

    def describe(self) -> str:
        """Return answer and figures in one line; "uncertain" if the probability contradicts the threshold."""
        doubt = "uncertain: by the threshold " if self.uncertain else ""
        which = self.which_faces and (f": {self.which_faces}" if self.same else f"; most similar: {self.which_faces}")
        return f"{doubt}{self.answer}{which} ({self.figures})"

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self), "presentation": self.presentation and self.presentation.to_json()}

    @property
    def _names(self) -> tuple[str, ...]:
        return ("first photo", "second photo") if len(self.faces) == 2 else ("the photo",)
