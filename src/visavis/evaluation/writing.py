"""Draw an evaluation, and write its metrics, plots and report into a folder."""

import csv
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from visavis.data import FaceDataset
from visavis.encoders.card import Card
from visavis.evaluation.compare import METRICS
from visavis.evaluation.embedding_map import (
    map_embeddings,
    nearest_neighbours,
    plot_map,
    plot_neighbours,
    sample_for_map,
)
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
from visavis.evaluation.protocols import extreme_pairs
from visavis.evaluation.report import Picture, write_report
from visavis.evaluation.results import Evaluation
from visavis.files import atomic_write
from visavis.wording import counted

__all__ = ["REPORT", "draw_curves", "draw_evaluation", "write_evaluation"]

REPORT = "report.html"
_BROAD = frozenset({"best_and_worst", "comparison", "map", "neighbours"})
_MAPPED, _SEARCHED = 300, 2000  # photos


def write_evaluation(
    out: Path, card: Card, evaluation: Evaluation, *, figures: list[tuple[Figure, str, str]], command: str
) -> Path:
    """Write metrics, plots and report into a folder; return the path of the report."""
    pictures = []
    for figure, name, caption in figures:
        path = save_figure(figure, out / "pictures" / f"{name}.png")
        pictures.append(Picture(path.read_bytes(), caption, broad=name in _BROAD))
    with atomic_write(out / METRICS, private=True) as temporary:
        resampled = {name: values.round(9).tolist() for name, values in evaluation.resampled.items()}
        temporary.write_text(json.dumps({**evaluation.to_json(), "resampled": resampled}), encoding="utf-8")
    return write_report(out / REPORT, evaluation, card, pictures=pictures, command=command)


def draw_evaluation(
    evaluation: Evaluation, faces: FaceDataset, embeddings: npt.NDArray[np.float32], history: Path
) -> list[tuple[Figure, str, str]]:
    """Draw what the report shows: figure, file name and caption of each."""
    figures = draw_curves(evaluation)
    if history.is_file():
        with history.open(newline="", encoding="utf-8") as file:
            rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
        figures.append((_figure_of(plot_history(rows)), "history", "Training loss and validation EER"))
    pairs, scores, titles = extreme_pairs(embeddings, faces.labels)
    shown = np.stack([faces.gather(pairs[:, side]) for side in (0, 1)], axis=1)
    caption = "Mated pairs of the highest and of the lowest scores, and non-mated pairs of the lowest and of the highest"
    figures.append((plot_pairs(shown, scores, titles), "best_and_worst", caption))
    return [*figures, *_draw_embeddings(faces, embeddings)]


def _draw_embeddings(faces: FaceDataset, embeddings: npt.NDArray[np.float32]) -> list[tuple[Figure, str, str]]:
    """Draw a map of some faces, and the nearest neighbours of a few."""
    mapped = sample_for_map(faces.labels, count=_MAPPED)
    points = map_embeddings(embeddings[mapped])
    drawn = _figure_of(plot_map(points, faces.gather(mapped), faces.labels[mapped]))
    searched = sample_for_map(faces.labels, count=_SEARCHED)
    found = nearest_neighbours(embeddings[searched], faces.labels[searched])
    shown = counted(len(mapped), "photo") if len(mapped) < len(faces) else "all photos"
    among = counted(len(searched), "photo") if len(searched) < len(faces) else "all photos"
    return [
        (
            drawn,
            "map",
            f"Map of the embeddings of {shown} (t-SNE): similar faces lie close to each other, one colour for each person",
        ),
        (
            plot_neighbours(found, faces.gather(searched)),
            "neighbours",
            f"The most similar of {among}, first for those whose most similar photo shows another person",
        ),
    ]


def draw_curves(evaluation: Evaluation) -> list[tuple[Figure, str, str]]:
    """Draw the error rates, without photos: figure, file name and caption of each."""
    curve, threshold, people = evaluation.curve, evaluation.threshold, evaluation.resampled_curves
    figures = [
        (_figure_of(plot_scores(curve, threshold)), "scores", "Comparison scores of mated and non-mated pairs"),
        (
            _figure_of(plot_det(curve, resampled=people)),
            "det",
            "Detection error trade-off: both errors at every threshold",
        ),
        (_figure_of(plot_roc(curve, resampled=people)), "roc", "True accept rate at every false match rate"),
    ]
    if evaluation.reliability is not None:
        caption = f"Share of mated pairs by predicted probability, at prior {evaluation.reliability.prior:g}"
        figures.append((_figure_of(plot_reliability(evaluation.reliability)), "reliability", caption))
    if evaluation.quality:
        caption = "Error versus discard, for each quality measure"
        figures.append((_figure_of(plot_discard(evaluation.quality)), "quality", caption))
    return figures


def _figure_of(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure
