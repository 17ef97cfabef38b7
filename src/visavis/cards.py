"""The card of a model: what it takes, how it decides, what it learned from."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from visavis.errors import ModelError

__all__ = ["Card", "DataSide", "Threshold"]

FORMAT = 1


@dataclass(frozen=True)
class Threshold:
    """A decision rule and what it did to the people it was chosen on.

    Attributes:
        score: Accept where the comparison score (cosine) is at least this.
        chosen_on: Whose pairs it was chosen on, such as `"validation people"`.
        false_matches: Non-mated pairs of theirs that it accepted.
        nonmated: Non-mated pairs of theirs.
        false_nonmatches: Mated pairs of theirs that it refused.
        mated: Mated pairs of theirs.
    """

    score: float
    chosen_on: str
    false_matches: int
    nonmated: int
    false_nonmatches: int
    mated: int


@dataclass(frozen=True)
class DataSide:
    """One side of a split.

    Attributes:
        people: Names of the people.
        photos: How many photos they have.
        digest: SHA-256 of photos and labels, hexadecimal.
    """

    people: tuple[str, ...]
    photos: int
    digest: str


@dataclass(frozen=True)
class Card:
    """All that must travel with the weights.

    Attributes:
        input_shape: Height, width and channels of a face.
        crop: The part of a photo's shorter side that the centre crop keeps; None: the whole photo.
        aligned: Whether it takes faces that were found in whole photos and cut by their five points.
        flip: Whether embeddings are averaged with those of the mirrored photo.
        offset: Of the probability ``sigmoid(offset - slope * distance)``.
        slope: Likewise, positive.
        threshold: The decision rule.
        data: The name of the data set.
        split: `"person"`, or `"photo"` where people were on several sides.
        sides: `train`, `validation` and `test`.
        training: The settings of `TrainingConfig`, with `best_step` and `validation_eer`.
        versions: Of visavis, Keras, its backend and Python.
        created: When, ISO 8601, UTC.
        command: The command that made it, or an empty string.
        format: The version of this layout.
    """

    input_shape: tuple[int, int, int]
    crop: float | None
    aligned: bool
    flip: bool
    offset: float
    slope: float
    threshold: Threshold
    data: str
    split: str
    sides: dict[str, DataSide]
    training: dict[str, Any]
    versions: dict[str, str]
    created: str
    command: str = ""
    format: int = FORMAT

    def to_json(self) -> dict[str, Any]:
        """Return the card as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any], *, source: str) -> "Card":
        """Return the card that `to_json` gave.

        Args:
            values: Plain values.
            source: The file they come from, for the error.

        Raises:
            ModelError: If they are not a card, or one of a newer visavis.
        """
        if int(values.get("format", FORMAT)) > FORMAT:
            raise ModelError(
                f"{source}: made by a newer visavis (card format {values['format']}, known up to {FORMAT}). Upgrade visavis."
            )
        try:
            known = {f.name: values[f.name] for f in fields(cls)}
            known["input_shape"] = tuple(known["input_shape"])
            known["threshold"] = Threshold(**known["threshold"])
            known["sides"] = {
                name: DataSide(tuple(side["people"]), side["photos"], side["digest"]) for name, side in known["sides"].items()
            }
            return cls(**known)
        except (KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{source}: its card lacks something ({error}). Was it made by visavis?") from error
