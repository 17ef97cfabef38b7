"""Response bodies of the API, as described in its OpenAPI document."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import Field

from visavis.encoders.card import Card
from visavis.metrics import operating_points
from visavis.pad import PresentationCheck
from visavis.service.disclosure import Disclosure
from visavis.service.face_schemas import FACE, ORIGIN, Face, RefusedPhoto, Response, Schema, example
from visavis.verification import Verdict, Verifier

__all__ = [
    "ComparedPhoto",
    "Comparison",
    "Explanation",
    "ListedSubject",
    "ModelDescription",
    "OperatingPoint",
    "ScoreHistogram",
    "Presentation",
    "Search",
    "SearchHit",
    "SearchedFace",
    "Subject",
    "SubjectList",
    "Verification",
    "decision_fields",
    "model_fields",
]

Decision = Literal["same person", "different people", "presentation attack"]
_OPERATING_POINT = {
    "score": 0.8509,
    "target_fmr": 0.01,
    "fmr": 0.01,
    "fmr_upper": 0.0148,
    "fnmr": 0.1437,
    "nonmated": 515450,
    "mated": 3221,
    "people": 491,
    "chosen_on": "validation people",
    "chosen_as": "estimated",
    "measured_on": "FMR about 0.01 on validation people",
}
_DECISION = {
    "decision": "same person",
    "same": True,
    "score": 0.9312,
    "distance": 0.371,
    "probability": 0.9996,
    "log_likelihood_ratio": 7.83,
}
_COMPARISONS = {"comparisons": 1, "false_match_rate": 0.01, "false_match_rate_upper": 0.0148}


class OperatingPoint(Schema):
    """A threshold with the error rates that were measured at it."""

    model_config = example(**_OPERATING_POINT)

    score: Annotated[float, Field(description="The threshold: a pair is accepted where its score is at least this.")]
    target_fmr: Annotated[float | None, Field(description="The false match rate that the threshold was chosen for.")]
    fmr: Annotated[float | None, Field(description="False match rate: fraction of non-mated pairs that were accepted.")]
    fmr_upper: Annotated[float | None, Field(description="One-sided 95 % bound of that rate, the highest of all populations.")]
    fnmr: Annotated[float | None, Field(description="False non-match rate: fraction of mated pairs that were rejected.")]
    nonmated: Annotated[int, Field(description="Number of non-mated pairs (of two people).")]
    mated: Annotated[int, Field(description="Number of mated pairs (of one person).")]
    people: Annotated[int, Field(description="Number of people.")]
    chosen_on: Annotated[str, Field(description="The population on which the rates were measured.")]
    chosen_as: Annotated[
        Literal["guaranteed", "estimated"] | None,
        Field(description="guaranteed: fmr_upper is at most target_fmr; estimated: fmr is; null: not known."),
    ]
    measured_on: Annotated[str, Field(description="The false match rate and all populations it was measured on, as text.")]

    @classmethod
    def of(cls, point: operating_points.OperatingPoint) -> "OperatingPoint":
        """Convert an operating point of a model card."""
        return cls(
            score=point.score,
            target_fmr=point.target_fmr,
            fmr=point.false_matches / point.nonmated if point.nonmated else None,
            fmr_upper=point.fmr_upper,
            fnmr=point.false_nonmatches / point.mated if point.mated else None,
            nonmated=point.nonmated,
            mated=point.mated,
            people=point.people,
            chosen_on=point.chosen_on,
            chosen_as=point.chosen_as,
            measured_on=point.measured_on,
        )


class Presentation(Schema):
    """What the detector of presentation attacks says."""

    model_config = example(vetoed=False, scores=[0.97, 0.99], threshold=0.8, detector=ORIGIN["model"])

    vetoed: Annotated[bool, Field(description="Whether an attack was detected, so that nothing is accepted.")]
    scores: Annotated[
        tuple[float, ...] | None,
        Field(description="Score of each face; higher is more likely bona fide. Null: the key is not for all scores."),
    ]
    threshold: Annotated[float, Field(description="Below this score, a face is taken for an attack.")]
    detector: Annotated[str, Field(description="Digest of the detector.")]

    @classmethod
    def of(cls, check: PresentationCheck | None, disclosure: Disclosure) -> "Presentation | None":
        """Convert a check, with the scores that may be disclosed; None: there is no detector."""
        if check is None:
            return None
        scores = check.scores if disclosure.scores == "all" else None
        return cls(vetoed=check.vetoed, scores=scores, threshold=check.threshold, detector=check.detector)


class _DecisionSchema(Schema):
    decision: Annotated[Decision, Field(description="The decision.")]
    same: Annotated[bool, Field(description="Whether the score reaches the threshold, and no presentation attack was detected.")]
    score: Annotated[
        float | None,
        Field(description="Comparison score: cosine of the two embeddings; higher is more alike. Null: the key may not see it."),
    ]
    distance: Annotated[float | None, Field(description="Euclidean distance of the two embeddings, 0 to 2; null likewise.")]
    probability: Annotated[
        float | None, Field(description="Probability of the same person, given the prior; null: the model is not calibrated.")
    ]
    log_likelihood_ratio: Annotated[
        float | None, Field(description="Log-likelihood ratio of same person to different people, natural logarithm.")
    ]


def decision_fields(verdict: Verdict, verifier: Verifier, disclosure: Disclosure) -> dict[str, Any]:
    """Return the fields of a verdict, with the figures that may be disclosed."""
    figures = disclosure.apply(verdict, verifier)
    names = ("score", "distance", "probability", "log_likelihood_ratio")
    return {
        "decision": verdict.answer,
        "same": verdict.same,
        **{name: None if figures is None else getattr(figures, name) for name in names},
    }


class Verification(_DecisionSchema, Response):
    """The decision for two photos."""

    model_config = example(
        **ORIGIN,
        **_DECISION,
        **_COMPARISONS,
        threshold=_OPERATING_POINT,
        prior=0.5,
        faces=[FACE, FACE],
        warnings=["second photo: blurred face"],
    )

    threshold: OperatingPoint
    prior: Annotated[float, Field(description="Prior probability of the same person.")]
    comparisons: Annotated[int, Field(description="Number of pairs of faces that were compared; the highest score decides.")]
    false_match_rate: Annotated[
        float | None,
        Field(
            description="Probability that one of these comparisons is accepted although nobody is in both photos; null: unknown."
        ),
    ]
    false_match_rate_upper: Annotated[
        float | None, Field(description="The same from the upper end of the interval of the threshold's false match rate.")
    ]
    faces: Annotated[tuple[Face, ...], Field(description="The pair of faces with the highest score.")]
    warnings: Annotated[tuple[str, ...], Field(description="Warnings of both photos.")]
    presentation: Annotated[
        Presentation | None, Field(description="Presentation attack detection; null: the service has no detector.")
    ] = None


class Explanation(Verification):
    """The decision for two photos, with occlusion maps."""

    model_config = example(
        **ORIGIN,
        **_DECISION,
        **_COMPARISONS,
        threshold=_OPERATING_POINT,
        prior=0.5,
        faces=[FACE, FACE],
        warnings=[],
        maps=[[[0.01, 0.02], [0.0, -0.01]]] * 2,
    )

    maps: Annotated[
        tuple[list[list[float]], list[list[float]]],
        Field(description="Occlusion map of each face, row by row: by how much the score falls where a region is hidden."),
    ]


class ComparedPhoto(_DecisionSchema):
    """The decision for one of many photos."""

    photo: Annotated[int, Field(description="Index of the photo, from 0, in the order in which they were sent.")]
    face: Annotated[Face, Field(description="Its face with the highest score.")]
    comparisons: Annotated[int, Field(description="Number of pairs of faces that were compared.")] = 1
    presentation: Annotated[Presentation | None, Field(description="As in a verification, of anchor and photo.")] = None


class Comparison(Response):
    """The decisions for one photo against many."""

    model_config = example(
        **ORIGIN,
        threshold=_OPERATING_POINT,
        prior=0.5,
        anchor=FACE,
        results=[{**_DECISION, "photo": 0, "face": FACE}],
        failures=[{"photo": 1, "reason": "photo 2: no face found"}],
    )

    threshold: OperatingPoint
    prior: float
    anchor: Face
    results: Annotated[tuple[ComparedPhoto, ...], Field(description="Decisions, highest score first.")]
    failures: tuple[RefusedPhoto, ...]


class SearchHit(_DecisionSchema):
    """A candidate of a search."""

    subject: str
    reference: Annotated[str, Field(description="Id of the subject's reference with the highest score.")]


class SearchedFace(Schema):
    """A face of the photo, and its candidates."""

    face: Face
    subject: Annotated[
        str | None,
        Field(description="Who it is by the threshold, each person once in a photo; null: nobody, or there is no decision."),
    ]
    hits: Annotated[tuple[SearchHit, ...], Field(description="Candidates, as those of the first face.")]


class Search(Response):
    """The candidates of a search of the gallery."""

    model_config = example(
        **ORIGIN,
        threshold=_OPERATING_POINT,
        prior=0.5,
        face=FACE,
        hits=[{**_DECISION, "subject": "Anna", "reference": "0c1d"}],
        faces=[{"face": FACE, "subject": "Anna", "hits": [{**_DECISION, "subject": "Anna", "reference": "0c1d"}]}],
        undecided=None,
        subjects=120,
        false_positive_rate=0.008,
        false_positive_rate_upper=0.0096,
    )

    threshold: OperatingPoint
    prior: float
    face: Face
    hits: Annotated[
        tuple[SearchHit, ...],
        Field(description="Candidates, highest score first; those below the threshold only with a key for all scores."),
    ]
    faces: Annotated[
        tuple[SearchedFace, ...],
        Field(description="Each face that was searched for, the largest first; several with face=all. The rates are those of one."),
    ]
    undecided: Annotated[
        str | None, Field(description="Why the candidates are a ranked list without a decision on the search; null: there is one.")
    ]
    presentation: Annotated[
        Presentation | None, Field(description="As in a verification, of the probe; where it is vetoed there are no candidates.")
    ] = None
    subjects: Annotated[int, Field(description="Number of subjects in the gallery.")]
    false_positive_rate: Annotated[
        float | None,
        Field(description="Expected FPIR: fraction of searches for people who are not enrolled that reach the threshold."),
    ]
    false_positive_rate_upper: Annotated[
        float | None, Field(description="The same from the upper end of the interval of the threshold's false match rate.")
    ]


class Subject(Response):
    """An enrolled subject."""

    model_config = example(
        **ORIGIN,
        name="Anna",
        references=["0c1d"],
        created="2026-11-24T12:30:25+00:00",
        enrolled=["0c1d"],
        faces=[FACE],
        failures=[],
    )

    name: str
    references: Annotated[tuple[str, ...], Field(description="Ids of the references, oldest first.")]
    created: Annotated[str, Field(description="Time of the first enrolment, ISO 8601, UTC.")]
    enrolled: Annotated[tuple[str, ...], Field(description="Ids of the references that this request enrolled.")] = ()
    faces: Annotated[tuple[Face, ...], Field(description="The faces that were enrolled.")] = ()
    failures: Annotated[tuple[RefusedPhoto, ...], Field(description="Photos of this request that could not be used.")] = ()


class ListedSubject(Schema):
    """An entry of the list of subjects."""

    name: str
    references: Annotated[int, Field(description="Number of references.")]
    created: str


class SubjectList(Response):
    """A page of the list of subjects, in order of name."""

    model_config = example(
        **ORIGIN, subjects=[{"name": "Anna", "references": 2, "created": "2026-11-24T12:30:25+00:00"}], after=None
    )

    subjects: tuple[ListedSubject, ...]
    after: Annotated[str | None, Field(description="Value of the parameter `after` for the next page; null: this is the last.")]


class ScoreHistogram(Schema):
    """Histograms of comparison scores, in bins of equal width."""

    low: float
    high: float
    mated: tuple[int, ...]
    nonmated: tuple[int, ...]
    chosen_on: str


class ModelDescription(Response):
    """The model and the limits of the service."""

    model_config = example(
        **ORIGIN,
        aligned=True,
        finds_faces=True,
        takes_aligned=False,
        input_shape=[80, 80, 3],
        operating_points=[_OPERATING_POINT],
        histogram=None,
        gallery=True,
        photos=16,
        photo_bytes=10_000_000,
        photo_pixels=25_000_000,
        request_bytes=40_000_000,
    )

    aligned: Annotated[bool, Field(description="Whether the model takes aligned crops of faces.")]
    finds_faces: Annotated[bool, Field(description="Whether the service detects faces in whole photos.")]
    takes_aligned: Annotated[bool, Field(description="Whether the service accepts aligned crops.")]
    input_shape: tuple[int, int, int]
    operating_points: Annotated[
        tuple[OperatingPoint, ...], Field(description="The thresholds that `target_fmr` can select, the default first.")
    ]
    histogram: Annotated[ScoreHistogram | None, Field(description="Scores on which the thresholds were chosen; null: unknown.")]
    gallery: Annotated[bool, Field(description="Whether the service has a gallery.")]
    photos: Annotated[int, Field(description="Maximum number of photos in a request.")]
    photo_bytes: Annotated[int, Field(description="Maximum size of a photo, bytes.")]
    photo_pixels: Annotated[int, Field(description="Maximum width times height of a photo.")]
    request_bytes: Annotated[int, Field(description="Maximum size of a request body, bytes.")]


def model_fields(card: Card) -> dict[str, Any]:
    """Return the fields of `ModelDescription` that a model card has."""
    return {
        "aligned": card.aligned,
        "input_shape": card.input_shape,
        "operating_points": tuple(map(OperatingPoint.of, card.rules)),
        "histogram": None if card.histogram is None else ScoreHistogram(**asdict(card.histogram)),
    }
