"""Evaluate a model on data: metrics, plots and a report in a folder."""

import csv
import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from visavis.data import FaceDataset, IntakeRules, PairProtocol, as_numbers, read_attributes, read_pairs
from visavis.data.preparation import QUALITIES, TABLE
from visavis.encoders import Encoder, load_encoder, load_faces, raw_embeddings
from visavis.encoders.card import Card
from visavis.errors import DataError, check_option
from visavis.evaluation.compare import METRICS
from visavis.evaluation.plots import (
    plot_det,
    plot_discard,
    plot_history,
    plot_pairs,
    plot_reliability,
    plot_roc,
    plot_scores,
    save_figure,
)
from visavis.evaluation.protocols import Claims, evaluate_protocol, evaluate_scores, extreme_pairs
from visavis.evaluation.report import Picture, write_report
from visavis.evaluation.results import Evaluation
from visavis.evaluation.sampling import sample_pairs
from visavis.files import atomic_write
from visavis.metrics import PairScores, score_all_pairs, unit_rows
from visavis.metrics.quality import DiscardCurve, check_quality, evaluate_quality
from visavis.metrics.search import Reference, evaluate_search
from visavis.metrics.subgroups import MAX_GROUPS, Subgroups, check_groups, evaluate_groups

__all__ = ["Evaluated", "EvaluationOptions", "People", "evaluate_model"]

People = Literal["unseen", "all"]
REPORT = "report.html"
_LENGTH, _SAME_LENGTH = "embedding norm", 1e-3


@dataclass(frozen=True)
class EvaluationOptions:
    """What `evaluate_model` measures besides the error rates of all pairs.

    Attributes:
        pairs: A protocol file, of which pairs with people that were left out are left out too. None: all pairs of the photos.
        sample: Take so many mated and so many non-mated pairs at random where there are more, instead of all pairs; the result says
            what standard error this adds. For more photos than some ten thousand.
        attributes: A CSV of attributes of people or photos, see `read_attributes`: a column of at most 20 different values makes
            subgroups, one of more numbers is a quality measure. Those of prepared faces are known without it.
        enrol: Also search for everybody in a gallery of half of the people, with so many photos of each; None: do not.
        reference: How several photos of a person are compared: `"mean"` or `"best"`.
        target_fmr: Decide by the model's threshold for this false match rate; None: by its default one.
        prior: The share of mated pairs that probabilities assume when they are compared with the truth.
        rules: Which files are photos, and whose, and the limits of one; None: the usual rules.
        command: The command that was given, for the report.
        progress: Whether to show a bar on standard error.
    """

    pairs: Path | str | None = None
    sample: int | None = None
    attributes: Path | str | None = None
    enrol: int | None = None
    reference: Reference = "mean"
    target_fmr: float | None = None
    prior: float = 0.5
    rules: IntakeRules | None = None
    command: str = ""
    progress: bool = False

    def __post_init__(self) -> None:
        """Check what can be checked before anything is loaded."""
        if self.pairs is not None and self.sample is not None:
            raise ValueError(f"pairs and sample exclude each other, got pairs={str(self.pairs)!r} and sample={self.sample}")
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
        report: The path of the report.
        left_out: How many people were left out because the model was trained or validated on them.
    """

    evaluation: Evaluation
    report: Path
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
    """Measure a model on unseen people, and write metrics, plots and a report.

    Args:
        model: What `load_encoder` takes, or an encoder.
        data: What `load_dataset` takes, or a data set.
        people: `"unseen"` leaves out people that the model was trained, validated or calibrated on, by name; `"all"` keeps them,
            and the report says so.
        options: What else to measure; None: `EvaluationOptions()`.
        out: The folder to write to; None: the model's.
        overwrite: Whether a report that is in the folder may be replaced.

    Raises:
        DataError: If fewer than two people are left, if no pair is left, if the faces are not aligned as those were that the model
            was trained on, if an attribute makes no groups, or if the folder holds a report and `overwrite` is not set.
        ModelError: If the model has no threshold for the target FMR.
        ValueError: If an argument is out of range.
    """
    check_option("people", people, People)
    options = options or EvaluationOptions()
    folder = _folder_of(model) if out is None else Path(out)
    if folder is not None and not overwrite and (folder / REPORT).exists():
        raise DataError(f"{folder / REPORT} exists. Give another folder, or allow it to be overwritten (--overwrite)")
    encoder = load_encoder(model) if isinstance(model, str | Path) else model
    if folder is None:
        raise ValueError("out must be a folder where the model is not a run folder or a file, got None")
    out = folder
    claims = _claims(encoder.card, options)
    faces = load_faces(encoder.card, data, options.rules)
    photos = _unseen(faces, encoder.card) if people == "unseen" else np.arange(len(faces))
    chosen = faces.select(photos)
    known = _known_attributes(data, chosen, options.attributes)
    name = f"{len(chosen.people)} {'unseen ' if people == 'unseen' else ''}people"
    protocol, sampled = None if options.pairs is None else read_pairs(options.pairs, faces).within(photos), None
    if options.sample is not None:
        sampled = sample_pairs(chosen.labels, count=options.sample)
        protocol = replace(sampled.protocol, name=f"{sampled.protocol.name} of {name}")
    raw = raw_embeddings(encoder, chosen, progress=options.progress)
    embeddings = unit_rows(raw)
    measured = _Measured(chosen, embeddings, np.linalg.norm(raw, axis=1).astype(np.float64), known)
    if protocol is None:
        scores = score_all_pairs(embeddings, chosen.labels, thresholds=claims.thresholds)
        evaluation = evaluate_scores(scores, claims, name=f"all pairs of {name}")
    else:
        scores = None
        evaluation = evaluate_protocol(embeddings, chosen.labels, protocol, claims)
    evaluation = replace(
        _with_details(evaluation, measured, scores, options),
        sampled=sampled,
        trained_people=people == "all" or encoder.card.split == "photo",
        data_digest=_digest(chosen, protocol),
        provider=str(getattr(encoder, "provider", "")),
    )
    figures = _figures(evaluation, chosen, embeddings, out / "history.csv")
    report = _write_evaluation(out, encoder.card, evaluation, figures=figures, command=options.command)
    return Evaluated(evaluation, report, len(faces.people) - len(chosen.people))


@dataclass(frozen=True, eq=False)
class _Measured:
    """Photos with their embeddings `(n, d)`, the lengths of these before normalisation `(n,)`, and attributes `(n,)` by name."""

    faces: FaceDataset
    embeddings: npt.NDArray[np.float32]
    lengths: npt.NDArray[np.float64]
    attributes: dict[str, npt.NDArray[np.str_]]


def _claims(card: Card, options: EvaluationOptions) -> Claims:
    """What the card claims."""
    claims = Claims(operating_points=card.rules, calibration=card.calibration, prior=options.prior)
    if not (card.threshold or options.target_fmr):
        return claims
    point = card.rule(options.target_fmr)
    return replace(claims, threshold=point.score, threshold_from=point.chosen_on)


def _with_details(evaluation: Evaluation, measured: _Measured, scores: PairScores | None, options: EvaluationOptions) -> Evaluation:
    """Add what is measured by subgroup, by quality and by search."""
    embeddings, labels, threshold = measured.embeddings, measured.faces.labels, evaluation.threshold
    quality: tuple[DiscardCurve, ...] = ()
    groups: tuple[Subgroups, ...] = ()
    of_unequal_length = np.ptp(measured.lengths) > _SAME_LENGTH
    if measured.attributes or of_unequal_length:
        scores = scores or score_all_pairs(embeddings, labels, thresholds=[threshold])
        groups, quality = _by_attribute(scores, measured.attributes, threshold)
        if of_unequal_length:
            quality += (evaluate_quality(scores, measured.lengths, threshold=threshold, measure=_LENGTH),)
    search = None
    if options.enrol is not None:
        search = evaluate_search(embeddings, labels, threshold=threshold, photos=options.enrol, reference=options.reference)
    return replace(evaluation, groups=groups, quality=quality, search=search)


def _known_attributes(
    data: str | FaceDataset, faces: FaceDataset, attributes: Path | str | None
) -> dict[str, npt.NDArray[np.str_]]:
    """Read the attributes that the user gives and those that `visavis prepare` wrote, and check that they can be used."""
    known = {} if attributes is None else read_attributes(attributes, faces)
    for name, values in known.items():
        _check_attribute(values, name)
    table = Path(data) / TABLE if isinstance(data, str) else None
    if table is not None and table.is_file():
        prepared = read_attributes(table, faces)
        known = {**{name: prepared[column] for column, name in QUALITIES.items() if _usable(prepared[column], name)}, **known}
    return known


def _check_attribute(values: npt.NDArray[np.str_], name: str) -> None:
    numbers = _quality(values)
    if numbers is None:
        check_groups(values, name)
    else:
        check_quality(numbers, name)


def _usable(values: npt.NDArray[np.str_], name: str) -> bool:
    try:
        _check_attribute(values, name)
    except DataError:
        return False
    return True


def _quality(values: npt.NDArray[np.str_]) -> npt.NDArray[np.float64] | None:
    """Return an attribute as numbers if it is a quality measure, None if it makes groups."""
    numbers = as_numbers(values)
    few = numbers is not None and len(np.unique(numbers[~np.isnan(numbers)])) <= MAX_GROUPS
    return None if few else numbers


def _by_attribute(
    scores: PairScores, attributes: dict[str, npt.NDArray[np.str_]], threshold: float
) -> tuple[tuple[Subgroups, ...], tuple[DiscardCurve, ...]]:
    """Return errors by each attribute that makes groups, and by each quality measure."""
    groups, quality = [], []
    for name, values in attributes.items():
        numbers = _quality(values)
        if numbers is None:
            groups.append(evaluate_groups(scores, values, threshold=threshold, attribute=name))
        else:
            quality.append(evaluate_quality(scores, numbers, threshold=threshold, measure=name))
    return tuple(groups), tuple(quality)


def _digest(faces: FaceDataset, protocol: PairProtocol | None) -> str:
    """Return the digest of people, photos and pairs; not of pixels, which each model sees at its own size."""
    sha = hashlib.sha256()
    for label, source in zip(faces.labels, faces.sources, strict=True):
        sha.update(f"{faces.people[label]}\n{source}\n".encode())
    if protocol is not None:
        sha.update(np.ascontiguousarray(protocol.pairs).tobytes())
    return sha.hexdigest()


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
            f"{unseen.sum()} of {len(faces.people)} people in the data are unseen: the model was trained on the others. "
            "Give photos of other people, or ask for all people."
        )
    return np.flatnonzero(unseen[faces.labels])


def _write_evaluation(
    out: Path, card: Card, evaluation: Evaluation, *, figures: list[tuple[Figure, str, str]], command: str
) -> Path:
    """Write metrics, plots and report into a folder; return the path of the report."""
    pictures = []
    for figure, name, caption in figures:
        path = save_figure(figure, out / "pictures" / f"{name}.png")
        pictures.append(Picture(path.read_bytes(), caption, broad=name in ("best_and_worst", "comparison")))
    with atomic_write(out / METRICS) as temporary:
        resampled = {name: values.round(9).tolist() for name, values in evaluation.resampled.items()}
        temporary.write_text(json.dumps({**evaluation.to_json(), "resampled": resampled}), encoding="utf-8")
    return write_report(out / REPORT, evaluation, card, pictures=pictures, command=command)


def _figures(
    evaluation: Evaluation, faces: FaceDataset, embeddings: npt.NDArray[np.float32], history: Path
) -> list[tuple[Figure, str, str]]:
    """Draw what the report shows: figure, file name and caption of each."""
    curve, threshold, people = evaluation.curve, evaluation.threshold, evaluation.resampled_curves
    figures = [
        (_figure_of(plot_scores(curve, threshold)), "scores", "Comparison scores of mated and non-mated pairs"),
        (_figure_of(plot_det(curve, resampled=people)), "det", "Detection error trade-off: both errors at every threshold"),
        (_figure_of(plot_roc(curve, resampled=people)), "roc", "True accept rate at every false match rate"),
    ]
    if evaluation.reliability is not None:
        caption = f"Share of mated pairs by predicted probability, at prior {evaluation.reliability.prior:g}"
        figures.append((_figure_of(plot_reliability(evaluation.reliability)), "reliability", caption))
    if evaluation.quality:
        caption = "Error versus discard, for each quality measure"
        figures.append((_figure_of(plot_discard(evaluation.quality)), "quality", caption))
    if history.is_file():
        with history.open(newline="", encoding="utf-8") as file:
            rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
        figures.append((_figure_of(plot_history(rows)), "history", "Training loss and validation EER"))
    pairs, scores, titles = extreme_pairs(embeddings, faces.labels)
    shown = np.stack([faces.gather(pairs[:, side]) for side in (0, 1)], axis=1)
    caption = "Mated pairs of the highest and of the lowest scores, and non-mated pairs of the lowest and of the highest"
    return [*figures, (plot_pairs(shown, scores, titles), "best_and_worst", caption)]


def _figure_of(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure
