"""Evaluate a model on data: metrics, plots and a report in a folder."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from visavis.data import FaceDataset, IntakeRules, PairProtocol, read_pairs
from visavis.data.names import UNNAMED
from visavis.data.preparation import FAILURES, read_failures
from visavis.encoders import Encoder, load_encoder, load_faces, raw_embeddings
from visavis.encoders.card import Card
from visavis.errors import DataError, check_numbers, check_option
from visavis.evaluation.attributes import errors_by_attribute, known_attributes
from visavis.evaluation.gate import evaluate_gates, known_quality
from visavis.evaluation.protocols import Claims, evaluate_protocol, evaluate_scores
from visavis.evaluation.results import Evaluation
from visavis.evaluation.sampling import sample_pairs
from visavis.evaluation.standard_report import write_standard_report
from visavis.evaluation.writing import REPORT, draw_evaluation, write_evaluation
from visavis.faces import FaceQuality
from visavis.files import check_path
from visavis.metrics import PairScores, score_all_pairs, unit_rows
from visavis.metrics.concentration import person_errors
from visavis.metrics.photos import AcquisitionFailures, with_failures
from visavis.metrics.quality import DiscardCurve, GateCost, evaluate_quality, is_quality
from visavis.metrics.reliability import NIST_COSTS, Costs
from visavis.metrics.search import Reference, evaluate_search
from visavis.metrics.subgroups import Subgroups

__all__ = ["Evaluated", "EvaluationOptions", "People", "claims_of", "evaluate_model", "report_folder"]

People = Literal["unseen", "all"]
_LENGTH, _SAME_LENGTH = "embedding norm", 1e-3


@dataclass(frozen=True)
class EvaluationOptions:
    """What `evaluate_model` measures besides the error rates of all pairs.

    Attributes:
        pairs: A protocol file, or its pairs; those with people that were left out are left out too. None: all pairs of the photos.
        encoding: Of the files `pairs` and `attributes`, such as `"cp1252"`; None: UTF-8, or UTF-16 with a byte order mark.
        sample: Take so many mated and so many non-mated pairs at random where there are more, instead of all pairs; the result says
            what standard error this adds. For more photos than some ten thousand.
        attributes: A CSV of attributes of people or photos, see `read_attributes`: a column of at most 20 different values makes
            subgroups, one of more numbers is a quality measure. Those of prepared faces are known without it.
        enrol: Also search for everybody in a gallery of half of the people, with so many photos of each; None: do not.
        reference: How several photos of a person are compared: `"mean"` or `"best"`.
        target_fmr: Decide by the model's threshold for this false match rate; None: by its default one.
        prior: The share of mated pairs that probabilities assume when they are compared with the truth.
        include_fta: Whether photos from which `prepare` acquired no face count as false non-matches with every photo of the person.
        costs: Costs of errors, for detection costs beside those of NIST.
        standard_report: A folder for a test report in the form of ISO/IEC 19795-1 and NIST's tests as well; None: none.
        rules: Which files are photos, and whose, and the limits of one; None: the usual rules.
        command: The command that was given, for the report.
        progress: Whether to show a bar on standard error.
    """

    pairs: PairProtocol | Path | str | None = None
    encoding: str | None = None
    sample: int | None = None
    attributes: Path | str | None = None
    enrol: int | None = None
    reference: Reference = "mean"
    target_fmr: float | None = None
    prior: float = 0.5
    include_fta: bool = False
    costs: tuple[Costs, ...] = ()
    standard_report: Path | str | None = None
    rules: IntakeRules | None = None
    command: str = ""
    progress: bool = False

    def __post_init__(self) -> None:
        """Check what can be checked before anything is loaded."""
        check_numbers(self)
        if self.pairs is not None and self.sample is not None:
            raise ValueError(f"pairs and sample exclude each other, got pairs={str(self.pairs)!r} and sample={self.sample}")
        if self.include_fta and (self.pairs is not None or self.sample is not None):
            raise ValueError("include_fta needs all pairs: give neither pairs nor sample")
        if self.sample is not None and self.sample < 1:
            raise ValueError(f"sample must be at least 1, got {self.sample}")
        if self.enrol is not None and self.enrol < 1:
            raise ValueError(f"enrol must be at least 1, got {self.enrol}")
        if not 0 < self.prior < 1:
            raise ValueError(f"prior must be in (0, 1), got {self.prior}")
        check_option("reference", self.reference, Reference)


@dataclass(frozen=True)
class Evaluated:
    """What `evaluate_model` found and where it wrote it.

    Attributes:
        evaluation: The numbers.
        report: The path of the report; None: none was written.
        left_out: How many people were left out because the model was trained or validated on them.
    """

    evaluation: Evaluation
    report: Path | None
    left_out: int


def evaluate_model(
    model: Path | str | Encoder,
    data: str | FaceDataset,
    *,
    people: People = "unseen",
    options: EvaluationOptions | None = None,
    out: Path | str | None = None,
    overwrite: bool = False,
) -> Evaluated:
    """Measure a model on unseen people, and write metrics, plots and a report if there is a folder for them.

    Args:
        model: What `load_encoder` takes, or an encoder.
        data: What `load_dataset` takes, or a data set.
        people: `"unseen"` leaves out people that the model was trained, validated or calibrated on, by name; `"all"` keeps them,
            and the report says so.
        options: What else to measure; None: `EvaluationOptions()`.
        out: The folder to write to; None: that of the run or of the model's file. Without either, as for `"pretrained"` or an
            encoder, nothing is written.
        overwrite: Whether a report that is in the folder may be replaced.

    Raises:
        DataError: If fewer than two people are left, if no pair is left, if the faces are not aligned as those were that the model
            was trained on, if an attribute makes no groups, or if the folder holds a report and `overwrite` is not set.
        ModelError: If the model has no threshold for the target FMR.
        ValueError: If an argument is out of range.
    """
    check_option("people", people, People)
    options = options or EvaluationOptions()
    out = report_folder(model, out, overwrite=overwrite)
    encoder = load_encoder(model) if isinstance(model, str | Path) else model
    claims = claims_of(encoder.card, options)
    faces = load_faces(encoder.card, data, options.rules)
    photos = _unseen(faces, encoder.card) if people == "unseen" else np.arange(len(faces))
    chosen = faces.select(photos)
    known = known_attributes(data, chosen, options.attributes, options.encoding)
    quality = known_quality(data, chosen)
    name = f"{len(chosen.people)} {'unseen ' if people == 'unseen' else ''}people"
    protocol, sampled = _protocol(options, faces, photos), None
    if protocol is None and not np.any(chosen.photos_per_person > 1):
        raise DataError(
            f"mated pairs need a person with two photos, got {name} with one photo each. Give more photos of the same people"
        )
    if options.sample is not None:
        sampled = sample_pairs(chosen.labels, count=options.sample)
        protocol = replace(sampled.protocol, name=f"{sampled.protocol.name} of {name}")
    failed = _failed(data, chosen, encoder.card if people == "unseen" else None, options)
    raw = raw_embeddings(encoder, chosen, progress=options.progress)
    embeddings = unit_rows(raw)
    measured = _Measured(chosen, embeddings, np.linalg.norm(raw, axis=1).astype(np.float64), known, quality)
    scores = None if protocol else score_all_pairs(embeddings, chosen.labels, thresholds=claims.thresholds)
    if protocol is not None:
        evaluation = evaluate_protocol(embeddings, chosen.labels, protocol, claims)
    else:
        assert scores is not None
        evaluation = _of_all_pairs(scores, failed, claims, options, name=f"all pairs of {name}")
    evaluation = replace(
        _with_details(evaluation, measured, scores, options),
        sampled=sampled,
        trained_people=people == "all" or encoder.card.split == "photo",
        data_digest=_digest(chosen, protocol, failed if options.include_fta else None),
        provider=str(getattr(encoder, "provider", "")),
    )
    report = None
    if out is not None:
        figures = draw_evaluation(evaluation, chosen, embeddings, out / "history.csv")
        report = write_evaluation(out, encoder.card, evaluation, figures=figures, command=options.command)
    if options.standard_report is not None:
        of_people = None if scores is None else person_errors(embeddings, scores, evaluation.threshold)
        write_standard_report(Path(options.standard_report), evaluation, encoder.card, chosen, of_people, command=options.command)
    return Evaluated(evaluation, report, len(faces.people) - len(chosen.people))


@dataclass(frozen=True, eq=False)
class _Measured:
    """Photos with their embeddings `(n, d)`, the lengths of these before normalisation `(n,)`, attributes and quality.

    Attributes are `(n,)` by name; the quality measures of each face are those of `prepare`, None where they are not known.
    """

    faces: FaceDataset
    embeddings: npt.NDArray[np.float32]
    lengths: npt.NDArray[np.float64]
    attributes: dict[str, npt.NDArray[np.str_]]
    quality: list[FaceQuality] | None


def _protocol(options: EvaluationOptions, faces: FaceDataset, photos: npt.NDArray[np.int64]) -> PairProtocol | None:
    """Return the pairs of some of the photos."""
    pairs = options.pairs
    if pairs is None:
        return None
    return (pairs if isinstance(pairs, PairProtocol) else read_pairs(pairs, faces, encoding=options.encoding)).within(photos)


def claims_of(card: Card, options: EvaluationOptions) -> Claims:
    """Return what the card claims."""
    costs = (*NIST_COSTS, *options.costs)
    claims = Claims(operating_points=card.rules, calibration=card.calibration, prior=options.prior, costs=costs)
    if not (card.threshold or options.target_fmr):
        return claims
    point = card.rule(options.target_fmr)
    return replace(claims, threshold=point.score, threshold_from=point.chosen_on)


def _failed(
    data: str | FaceDataset, chosen: FaceDataset, card: Card | None, options: EvaluationOptions
) -> npt.NDArray[np.int64] | None:
    """Return the person of each photo from which no face was acquired, numbered after those of the data set; None: not known.

    Args:
        data: Where the photos come from.
        chosen: The faces that are compared.
        card: Leave out people that its model has seen; None: leave out nobody.
        options: Whether they must be known.
    """
    failures = read_failures(data) if isinstance(data, str) else None
    if failures is None:
        if options.include_fta:
            raise DataError(
                f"failures to acquire are known only of a folder that visavis prepare wrote, with {FAILURES}; got {data!r}"
            )
        return None
    numbers = {person: number for number, person in enumerate(chosen.people)}
    names = [person for _, person in failures if person != UNNAMED and not (card and card.has_seen(person))]
    return np.array([numbers.setdefault(person, len(numbers)) for person in names], dtype=np.int64)


def _of_all_pairs(
    scores: PairScores, failed: npt.NDArray[np.int64] | None, claims: Claims, options: EvaluationOptions, *, name: str
) -> Evaluation:
    """Evaluate all pairs, with failures to acquire counted if that is asked for."""
    evaluation = evaluate_scores(scores, claims, name=name)
    if failed is None:
        return evaluation
    acquisition = AcquisitionFailures.of(scores.people, failed, counted=options.include_fta)
    if not options.include_fta:
        return replace(evaluation, acquisition=acquisition)
    counted = evaluate_scores(
        with_failures(scores, failed),
        replace(claims, threshold=evaluation.threshold, threshold_from=evaluation.threshold_from, calibration=None),
        name=f"{name}, failures to acquire counted",
    )
    return replace(
        counted, acquisition=acquisition, acquired=evaluation, reliability=evaluation.reliability, costs=evaluation.costs
    )


def _with_details(evaluation: Evaluation, measured: _Measured, scores: PairScores | None, options: EvaluationOptions) -> Evaluation:
    """Add what is measured by subgroup, by quality and by search."""
    embeddings, labels, threshold = measured.embeddings, measured.faces.labels, evaluation.threshold
    quality: tuple[DiscardCurve, ...] = ()
    groups: tuple[Subgroups, ...] = ()
    gates: tuple[GateCost, ...] = ()
    of_unequal_length = np.ptp(measured.lengths) > _SAME_LENGTH and is_quality(measured.lengths)
    if measured.attributes or of_unequal_length or measured.quality:
        scores = scores or score_all_pairs(embeddings, labels, thresholds=[threshold])
        groups, quality = errors_by_attribute(scores, measured.attributes, threshold)
        if of_unequal_length:
            quality += (evaluate_quality(scores, measured.lengths, threshold=threshold, measure=_LENGTH),)
        gates = evaluate_gates(scores, measured.quality, threshold) if measured.quality else ()
    search = None
    if options.enrol is not None:
        search = evaluate_search(embeddings, labels, threshold=threshold, photos=options.enrol, reference=options.reference)
    return replace(evaluation, groups=groups, quality=quality, gates=gates, search=search)


def _digest(faces: FaceDataset, protocol: PairProtocol | None, failed: npt.NDArray[np.int64] | None) -> str:
    """Return the digest of people, photos, pairs and failures; not of pixels, which each model sees at its own size."""
    sha = hashlib.sha256()
    for label, source in zip(faces.labels, faces.sources, strict=True):
        sha.update(f"{faces.people[label]}\n{source}\n".encode())
    if protocol is not None:
        sha.update(np.ascontiguousarray(protocol.pairs).tobytes())
    if failed is not None:
        sha.update(failed.tobytes())
    return sha.hexdigest()


def report_folder(model: Path | str | Encoder, out: Path | str | None, *, overwrite: bool) -> Path | None:
    """Return the folder for a report, by default the model's; None: the model has none.

    Raises:
        DataError: If it holds a report and `overwrite` is not set.
    """
    folder = _folder_of(model) if out is None else check_path(out)
    if folder is not None and not overwrite and (folder / REPORT).exists():
        raise DataError(f"{folder / REPORT} exists. Give another folder, or allow it to be overwritten (--overwrite)")
    return folder


def _folder_of(model: Path | str | Encoder) -> Path | None:
    """Return the folder of a model; None: it has none."""
    if not isinstance(model, str | Path) or not Path(model).exists():
        return None
    return Path(model) if Path(model).is_dir() else Path(model).parent


def _unseen(faces: FaceDataset, card: Card) -> npt.NDArray[np.int64]:
    """Return the photos of people that a model was not trained, validated or calibrated on."""
    if card.split == "photo":
        return np.arange(len(faces))
    unseen = np.array([not card.has_seen(person) for person in faces.people])
    if unseen.sum() < 2:
        raise DataError(
            f"at least two people in the data must be unseen, got {unseen.sum()} of {len(faces.people)}: "
            "the model was trained on the others. Give photos of other people, or ask for all people."
        )
    return np.flatnonzero(unseen[faces.labels])
