"""What the service answers, in the words of its OpenAPI."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from visavis.encoders.card import Card
from visavis.metrics.operating_points import OperatingPoint
from visavis.service.engine import PreparedFace
from visavis.verification import Verdict

__all__ = [
    "Comparison",
    "Explanation",
    "FaceAnswer",
    "Model",
    "Pair",
    "ProblemAnswer",
    "Rule",
    "Search",
    "SearchHit",
    "SubjectAnswer",
    "SubjectList",
    "evidence",
    "model_facts",
]

Decision = Literal["same person", "different people"]
_DIGEST = "5d1c0f5be1c9a3a6d4c4bf3f6a1f3c2e6f7f6fb0f4d0d3d4a2b1c0e9f8a7b6c5"
_RULE = {
    "score": 0.8509,
    "target_fmr": 0.01,
    "fmr": 0.01,
    "fmr_upper": 0.0148,
    "fnmr": 0.1437,
    "nonmated": 515450,
    "mated": 3221,
    "people": 491,
    "chosen_on": "validation people",
}
_FACE = {"size": [250, 250], "box": [84.1, 68.0, 82.3, 107.9], "outline": None, "score": 0.999, "warnings": []}
_EVIDENCE = {
    "decision": "same person",
    "same": True,
    "score": 0.9312,
    "distance": 0.371,
    "probability": 0.9996,
    "log_likelihood_ratio": 7.83,
}
_ORIGIN = {"request_id": "6f0c3c2d8e5b4d1f9a7e2b1c0d9e8f70", "model": _DIGEST}


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


def _example(**values: Any) -> ConfigDict:
    return ConfigDict(frozen=True, json_schema_extra={"examples": [values]})


class Rule(_Answer):
    """A threshold, and what it did to the people that it was chosen on."""

    model_config = _example(**_RULE)

    score: Annotated[float, Field(description="Two faces are taken for one person from this score on.")]
    target_fmr: Annotated[float | None, Field(description="The false match rate that it was chosen to keep.")]
    fmr: Annotated[float | None, Field(description="The part of strangers' pairs that it accepted.")]
    fmr_upper: Annotated[float | None, Field(description="Where the 95 % interval of that rate ends.")]
    fnmr: Annotated[float | None, Field(description="The part of one person's pairs that it refused.")]
    nonmated: Annotated[int, Field(description="How many pairs of strangers there were.")]
    mated: Annotated[int, Field(description="How many pairs of one person there were.")]
    people: Annotated[int, Field(description="How many people these are.")]
    chosen_on: Annotated[str, Field(description="Who these people are.")]

    @classmethod
    def of(cls, rule: OperatingPoint) -> "Rule":
        """Return a rule as it is answered."""
        return cls(
            score=rule.score,
            target_fmr=rule.target_fmr,
            fmr=rule.false_matches / rule.nonmated if rule.nonmated else None,
            fmr_upper=rule.fmr_upper,
            fnmr=rule.false_nonmatches / rule.mated if rule.mated else None,
            nonmated=rule.nonmated,
            mated=rule.mated,
            people=rule.people,
            chosen_on=rule.chosen_on,
        )


class FaceAnswer(_Answer):
    """The face of a photo."""

    model_config = _example(**_FACE)

    size: Annotated[tuple[int, int], Field(description="Width and height of the photo, pixels.")]
    box: Annotated[
        tuple[float, float, float, float] | None,
        Field(description="Left, top, width and height of the face; null: the photo was taken as it is."),
    ]
    outline: Annotated[
        tuple[tuple[float, float], ...] | None,
        Field(description="The corners of what was compared, x and y, from the upper left one clockwise; null: the whole photo."),
    ]
    score: Annotated[float | None, Field(description="The detector's, 0 to 1.")]
    warnings: Annotated[tuple[str, ...], Field(description="What makes the comparison less reliable.")]

    @classmethod
    def of(cls, face: PreparedFace) -> "FaceAnswer":
        """Return a face as it is answered."""
        found = face.found
        return cls(size=face.size, box=found.box, outline=face.outline, score=found.score, warnings=found.warnings)


class _Evidence(_Answer):
    decision: Annotated[Decision, Field(description="The answer.")]
    same: Annotated[bool, Field(description="Whether it is the same person, by the threshold.")]
    score: Annotated[float, Field(description="The cosine of the two embeddings; higher is more alike.")]
    distance: Annotated[float, Field(description="The Euclidean distance of the two embeddings, 0 to 2.")]
    probability: Annotated[float | None, Field(description="Of the same person, given the prior; null: the model has none.")]
    log_likelihood_ratio: Annotated[
        float | None, Field(description="How much likelier the score is for one person than for two, natural logarithm.")
    ]


def evidence(verdict: Verdict) -> dict[str, Any]:
    """Return what a verdict rests on, by the names that answers have for it."""
    return {
        "decision": verdict.answer,
        "same": verdict.same,
        "score": verdict.score,
        "distance": verdict.distance,
        "probability": verdict.probability,
        "log_likelihood_ratio": verdict.log_likelihood_ratio,
    }


class _Origin(_Answer):
    request_id: Annotated[str, Field(description="What logs know this request by.")]
    model: Annotated[str, Field(description="The digest of the model.")]


class Pair(_Evidence, _Origin):
    """The answer for two photos."""

    model_config = _example(
        **_ORIGIN, **_EVIDENCE, threshold=_RULE, prior=0.5, faces=[_FACE, _FACE], warnings=["second photo: blurred face"]
    )

    threshold: Rule
    prior: Annotated[float, Field(description="The part of pairs of one person that probabilities suppose.")]
    faces: tuple[FaceAnswer, ...]
    warnings: Annotated[tuple[str, ...], Field(description="Those of all faces, in words.")]


class Explanation(Pair):
    """Two photos, and what on them the score rests on."""

    model_config = _example(
        **_ORIGIN,
        **_EVIDENCE,
        threshold=_RULE,
        prior=0.5,
        faces=[_FACE, _FACE],
        warnings=[],
        maps=[[[0.01, 0.02], [0.0, -0.01]]] * 2,
    )

    maps: Annotated[
        tuple[list[list[float]], list[list[float]]],
        Field(description="For each face, row by row: by how much the score falls where a place is hidden."),
    ]


class ComparedPhoto(_Evidence):
    """One of many photos, compared."""

    photo: Annotated[int, Field(description="Which of the photos, from 0 on, in the order in which they were sent.")]
    face: FaceAnswer


class RefusedPhoto(_Answer):
    """One of many photos that could not be compared."""

    photo: Annotated[int, Field(description="Which of the photos, from 0 on.")]
    reason: Annotated[str, Field(description="Why.")]


class Comparison(_Origin):
    """One photo against many."""

    model_config = _example(
        **_ORIGIN,
        threshold=_RULE,
        prior=0.5,
        anchor=_FACE,
        results=[{**_EVIDENCE, "photo": 0, "face": _FACE}],
        failures=[{"photo": 1, "reason": "photo 2: no face found"}],
    )

    threshold: Rule
    prior: float
    anchor: FaceAnswer
    results: Annotated[tuple[ComparedPhoto, ...], Field(description="The most alike first.")]
    failures: tuple[RefusedPhoto, ...]


class SearchHit(_Evidence):
    """Somebody whom a search found."""

    subject: str
    reference: Annotated[str, Field(description="The one of their references that is most alike.")]


class Search(_Origin):
    """A search of the gallery."""

    model_config = _example(
        **_ORIGIN,
        threshold=_RULE,
        prior=0.5,
        face=_FACE,
        hits=[{**_EVIDENCE, "subject": "Anna", "reference": "0c1d"}],
        references=120,
        false_positive_rate=0.7,
        false_positive_rate_upper=0.83,
    )

    threshold: Rule
    prior: float
    face: FaceAnswer
    hits: Annotated[tuple[SearchHit, ...], Field(description="The most alike first, whether they reach the threshold or not.")]
    references: Annotated[int, Field(description="How many the gallery has.")]
    false_positive_rate: Annotated[
        float | None, Field(description="How many of strangers will find somebody among so many references, about.")
    ]
    false_positive_rate_upper: Annotated[
        float | None, Field(description="The same from the end of the 95 % interval of the threshold's false match rate.")
    ]


class SubjectAnswer(_Origin):
    """Somebody who is enrolled."""

    model_config = _example(
        **_ORIGIN, name="Anna", references=["0c1d"], created="2026-11-24T12:30:25+00:00", enrolled=["0c1d"], faces=[_FACE]
    )

    name: str
    references: Annotated[tuple[str, ...], Field(description="What their references are called, the oldest first.")]
    created: Annotated[str, Field(description="When they were first enrolled, ISO 8601, UTC.")]
    enrolled: Annotated[tuple[str, ...], Field(description="The references that this request made.")] = ()
    faces: Annotated[tuple[FaceAnswer, ...], Field(description="The faces that they were made of.")] = ()


class ListedSubject(_Answer):
    """Somebody in a list."""

    name: str
    references: Annotated[int, Field(description="How many.")]
    created: str


class SubjectList(_Origin):
    """Some of those who are enrolled, in the order of their names."""

    model_config = _example(
        **_ORIGIN, subjects=[{"name": "Anna", "references": 2, "created": "2026-11-24T12:30:25+00:00"}], after=None
    )

    subjects: tuple[ListedSubject, ...]
    after: Annotated[str | None, Field(description="Where to go on, as the parameter `after`; null: these are the last.")]


class ScoreCounts(_Answer):
    """How the scores of pairs lie, in bins of equal width."""

    low: float
    high: float
    mated: tuple[int, ...]
    nonmated: tuple[int, ...]
    chosen_on: str


class Model(_Origin):
    """What the service runs."""

    model_config = _example(
        **_ORIGIN,
        aligned=True,
        finds_faces=True,
        input_shape=[80, 80, 3],
        operating_points=[_RULE],
        histogram=None,
        gallery=True,
        photos=16,
        photo_bytes=10_000_000,
        photo_pixels=25_000_000,
        request_bytes=40_000_000,
    )

    aligned: Annotated[bool, Field(description="Whether the model takes faces that are cut out by their five points.")]
    finds_faces: Annotated[bool, Field(description="Whether the service finds faces in whole photos.")]
    input_shape: tuple[int, int, int]
    operating_points: Annotated[tuple[Rule, ...], Field(description="The thresholds that `target_fmr` can select, default first.")]
    histogram: Annotated[ScoreCounts | None, Field(description="Scores of the people on whom they were chosen; null: unknown.")]
    gallery: Annotated[bool, Field(description="Whether there is a gallery.")]
    photos: Annotated[int, Field(description="Maximum number of photos in a request.")]
    photo_bytes: Annotated[int, Field(description="Maximum size of a photo, bytes.")]
    photo_pixels: Annotated[int, Field(description="Maximum width times height of a photo.")]
    request_bytes: Annotated[int, Field(description="Maximum size of a request body, bytes.")]


def model_facts(card: Card) -> dict[str, Any]:
    """Return what the card of a model tells, by the names that `Model` has for it."""
    return {
        "aligned": card.aligned,
        "input_shape": card.input_shape,
        "operating_points": tuple(map(Rule.of, card.rules)),
        "histogram": None if card.histogram is None else ScoreCounts(**asdict(card.histogram)),
    }


class ProblemAnswer(_Answer):
    """An error (RFC 9457)."""

    model_config = _example(
        type="urn:visavis:problem:face",
        title="There is no face that can be compared",
        status=422,
        detail="the photo in first: no face found",
        request_id=_ORIGIN["request_id"],
    )

    type: str
    title: str
    status: int
    detail: str
    request_id: str
