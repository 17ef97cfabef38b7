"""A model measured on data: metrics, pictures and a report in a folder."""

import csv
import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from visavis.data import FaceDataset, IntakeRules, PairProtocol, as_numbers, read_attributes, read_pairs
from visavis.data.preparation import QUALITIES, TABLE
from visavis.encoders import Encoder, load_encoder, load_faces, raw_embeddings
from visavis.encoders.card import Card
from visavis.errors import DataError
from visavis.evaluation import METRICS, Evaluation, evaluate_all_pairs, evaluate_protocol, sample_pairs, telling_pairs
from visavis.evaluation.plots import (
    plot_det,
    plot_history,
    plot_pairs,
    plot_rejects,
    plot_reliability,
    plot_roc,
    plot_scores,
    save_figure,
)
from visavis.evaluation.report import Picture, write_report
from visavis.files import atomic_write
from visavis.metrics import unit_rows
from visavis.metrics.quality import RejectCurve, evaluate_quality
from visavis.metrics.search import evaluate_search
from visavis.metrics.subgroups import MOST_GROUPS, Subgroups, evaluate_groups

__all__ = ["Evaluated", "evaluate_model"]

_LENGTH, _EVEN = "embedding norm", 1e-3


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
    pairs: Path | str | None = None,
    sample: int | None = None,
    people: str = "unseen",
    attributes: Path | str | None = None,
    enrol: int | None = None,
    template: str = "mean",
    target_fmr: float | None = None,
    prior: float = 0.5,
    out: Path | str | None = None,
    rules: IntakeRules | None = None,
    command: str = "",
    progress: bool = False,
) -> Evaluated:
    """Measure a model on people that it never saw, and write metrics, pictures and a report.

    Args:
        model: What `load_encoder` takes, or an encoder.
        data: What `load_dataset` takes, or faces of the model's input shape.
        pairs: A protocol file; pairs with people whom the model has seen are left out. None: all pairs of the photos.
        sample: Draw so many mated and so many non-mated pairs where there are more, in the place of all pairs; the result tells the
            error that this adds. For more photos than some ten thousand.
        people: `"unseen"` leaves out everybody whom the model was trained or validated on, by name; `"all"` keeps them, and the
            report says so.
        attributes: A CSV of what is known of people or photos, see `read_attributes`: a column of at most 20 different values tells
            groups apart, one of more numbers is a quality of photos. That of prepared faces is known without it.
        enrol: Also search for everybody in a gallery of half of the people, with so many photos of each; None: do not.
        template: How several photos of a person become one: `"mean"` or `"best"`.
        target_fmr: Decide by the model's threshold for this false match rate; None: by its usual one.
        prior: The part of mated pairs that the probabilities suppose when they are compared with the truth.
        out: The folder to write to; None: the model's.
        rules: Which files are photos, and whose, and the limits of one; None: the usual rules.
        command: The command that was given, for the report.
        progress: Whether to show a bar on standard error.

    Raises:
        DataError: If fewer than two people are left, if no pair is left, or if the faces are not aligned
            as those were that the model learned from.
        ModelError: If the model has no threshold for `target_fmr`.
        ValueError: If both `pairs` and `sample` are given.
    """
    if pairs is not None and sample is not None:
        raise ValueError(f"pairs and sample exclude each other. Received: pairs={str(pairs)!r}, sample={sample}")
    encoder = load_encoder(model) if isinstance(model, str | Path) else model
    out = _folder_of(model) if out is None else Path(out)
    faces = load_faces(encoder.card, data, rules)
    photos = _unseen(faces, encoder.card) if people == "unseen" else np.arange(len(faces))
    protocol = None if pairs is None else read_pairs(pairs, faces).within(photos)
    chosen = faces.select(photos)
    name = f"{len(chosen.people)} {'unseen ' if people == 'unseen' else ''}people"
    sampled = None if sample is None else sample_pairs(chosen.labels, count=sample)
    protocol = protocol if sampled is None else replace(sampled.protocol, name=f"{sampled.protocol.name} of {name}")
    raw = raw_embeddings(encoder, chosen, progress=progress)
    embeddings = unit_rows(raw)
    rule = encoder.card.rule(target_fmr) if encoder.card.threshold or target_fmr else None
    claims: dict[str, Any] = {} if rule is None else {"threshold": rule.score, "threshold_from": rule.chosen_on}
    claims |= {"rules": encoder.card.rules, "calibration": encoder.card.calibration, "prior": prior}
    if protocol is None:
        evaluation = evaluate_all_pairs(embeddings, chosen.labels, name=f"all pairs of {name}", **claims)
    else:
        evaluation = evaluate_protocol(embeddings, chosen.labels, protocol, **claims)
    groups, quality = _by_attribute(embeddings, chosen, _known(data, chosen, attributes), evaluation.threshold)
    lengths = np.linalg.norm(raw, axis=1).astype(np.float64)
    if np.ptp(lengths) > _EVEN:
        quality += (evaluate_quality(embeddings, chosen.labels, lengths, threshold=evaluation.threshold, measure=_LENGTH),)
    search = None
    if enrol is not None:
        search = evaluate_search(embeddings, chosen.labels, threshold=evaluation.threshold, photos=enrol, template=template)
    trained_people = people == "all" or encoder.card.split == "photo"
    evaluation = replace(
        evaluation,
        groups=groups,
        quality=quality,
        search=search,
        sampled=sampled,
        trained_people=trained_people,
        data_digest=_digest(chosen, protocol),
    )
    figures = _figures(evaluation, chosen, embeddings, out / "history.csv")
    report = _write_evaluation(out, encoder.card, evaluation, figures=figures, command=command)
    return Evaluated(evaluation, report, len(faces.people) - len(chosen.people))


def _known(data: str | FaceDataset, faces: FaceDataset, attributes: Path | str | None) -> dict[str, npt.NDArray[np.str_]]:
    """What is known of the photos: what the user tells, and what `visavis prepare` wrote about their quality."""
    known = {} if attributes is None else read_attributes(attributes, faces)
    table = Path(data) / TABLE if isinstance(data, str) else None
    if table is not None and table.is_file():
        prepared = read_attributes(table, faces)
        known = {**{name: prepared[column] for column, name in QUALITIES.items()}, **known}
    return known


def _by_attribute(
    embeddings: npt.NDArray[np.float32], faces: FaceDataset, known: dict[str, npt.NDArray[np.str_]], threshold: float
) -> tuple[tuple[Subgroups, ...], tuple[RejectCurve, ...]]:
    """Errors by each attribute that tells groups apart, and by each that is a quality."""
    groups, quality = [], []
    for name, values in known.items():
        numbers = as_numbers(values)
        if numbers is None or len(np.unique(numbers[~np.isnan(numbers)])) <= MOST_GROUPS:
            groups.append(evaluate_groups(embeddings, faces.labels, values, threshold=threshold, attribute=name))
        else:
            quality.append(evaluate_quality(embeddings, faces.labels, numbers, threshold=threshold, measure=name))
    return tuple(groups), tuple(quality)


def _digest(faces: FaceDataset, protocol: PairProtocol | None) -> str:
    """Of who is in which photo, and of the pairs; not of pixels, which models see at sizes of their own."""
    sha = hashlib.sha256()
    for label, source in zip(faces.labels, faces.sources, strict=True):
        sha.update(f"{faces.people[label]}\n{source}\n".encode())
    if protocol is not None:
        sha.update(np.ascontiguousarray(protocol.pairs).tobytes())
    return sha.hexdigest()


def _folder_of(model: Path | str | Encoder) -> Path:
    """Where the figures of a model go that were not asked for anywhere else."""
    if not isinstance(model, str | Path) or not Path(model).exists():
        raise ValueError("out must be given where the model is not a run folder or a file. Received: out=None")
    return Path(model) if Path(model).is_dir() else Path(model).parent


def _unseen(faces: FaceDataset, card: Card) -> npt.NDArray[np.int64]:
    """The photos of people that a model was not trained, validated or calibrated on."""
    if card.split == "photo":
        return np.arange(len(faces))
    unseen = np.array([not card.has_seen(person) for person in faces.people])
    if unseen.sum() < 2:
        raise DataError(
            f"{unseen.sum()} of {len(faces.people)} people in the data are unseen: the model learned from the others. "
            "Give other people's photos, or ask for all people."
        )
    return np.flatnonzero(unseen[faces.labels])


def _write_evaluation(
    out: Path, card: Card, evaluation: Evaluation, *, figures: list[tuple[Figure, str, str]], command: str
) -> Path:
    """Write metrics, pictures and report into a folder; return the report's path."""
    pictures = []
    for figure, name, caption in figures:
        path = save_figure(figure, out / "pictures" / f"{name}.png")
        pictures.append(Picture(path.read_bytes(), caption, broad=name in ("best_and_worst", "comparison")))
    with atomic_write(out / METRICS) as temporary:
        resampled = {name: values.round(9).tolist() for name, values in evaluation.resampled.items()}
        temporary.write_text(json.dumps({**evaluation.to_json(), "resampled": resampled}), encoding="utf-8")
    return write_report(out / "report.html", evaluation, card, pictures=pictures, command=command)


def _figures(
    evaluation: Evaluation, faces: FaceDataset, embeddings: npt.NDArray[np.float32], history: Path
) -> list[tuple[Figure, str, str]]:
    """Draw what the report shows: figure, file name and caption of each."""
    curve, threshold, people = evaluation.curve, evaluation.threshold, evaluation.replicates
    figures = [
        (_figure_of(plot_scores(curve, threshold)), "scores", "Comparison scores of mated and non-mated pairs"),
        (_figure_of(plot_det(curve, replicates=people)), "det", "Detection error trade-off: both errors at every threshold"),
        (_figure_of(plot_roc(curve, replicates=people)), "roc", "True accept rate at every false match rate"),
    ]
    if evaluation.reliability is not None:
        caption = (
            f"How often pairs are mated, if {evaluation.reliability.prior:g} of all are, by the probability that the model gave"
        )
        figures.append((_figure_of(plot_reliability(evaluation.reliability)), "reliability", caption))
    if evaluation.quality:
        caption = "What refusing the poorest photos brings, by each measure of quality"
        figures.append((_figure_of(plot_rejects(evaluation.quality)), "quality", caption))
    if history.is_file():
        with history.open(newline="", encoding="utf-8") as file:
            rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
        figures.append((_figure_of(plot_history(rows)), "history", "Training loss and validation EER"))
    pairs, scores, titles = telling_pairs(embeddings, faces.labels)
    shown = np.stack([faces.gather(pairs[:, side]) for side in (0, 1)], axis=1)
    caption = "The mated pairs of the highest and of the lowest scores, and the non-mated pairs of the lowest and of the highest"
    return [*figures, (plot_pairs(shown, scores, titles), "best_and_worst", caption)]


def _figure_of(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure
