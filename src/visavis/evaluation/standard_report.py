"""A test report in the form of ISO/IEC 19795-1 and of NIST's face recognition tests, with the numbers as CSV and JSON."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from visavis.data import FaceDataset
from visavis.encoders.card import Card
from visavis.evaluation.plots import save_figure
from visavis.evaluation.report import percent, span, write_page
from visavis.evaluation.results import Evaluation
from visavis.evaluation.standard_plots import plot_fmr_matrix, plot_log_det, plot_zoo
from visavis.files import atomic_write, make_private_folder, write_csv
from visavis.metrics import Rate
from visavis.metrics.concentration import PersonErrors
from visavis.metrics.error_table import TABLE_FMR
from visavis.wording import counted

__all__ = ["write_standard_report"]

_DET_POINTS = 60


def write_standard_report(
    folder: Path, evaluation: Evaluation, card: Card, faces: FaceDataset, people: PersonErrors | None, *, command: str = ""
) -> Path:
    """Write the report into a folder.

    `report.html`, `report.json`, `error_rates.csv` (FNMR at falling FMR), `det.csv`, `fmr_matrix_ATTRIBUTE.csv` for each attribute,
    `people.csv` (errors and mean scores of each person, without names), and the plots.

    Args:
        folder: Where to write.
        evaluation: The numbers.
        card: The model's.
        faces: The faces that were compared.
        people: Scores and errors of each person; None: not all pairs were compared.
        command: The command that was given.

    Returns:
        The path of the page.
    """
    make_private_folder(folder)
    _write_tables(folder, evaluation, people)
    summary = {
        "evaluation": evaluation.to_json(),
        "concentration": [] if people is None else [each.to_json() for each in people.concentrations],
        "zoo": [] if people is None else [vars(animal) for animal in people.animals],
        "model": card.summary,
        "command": command,
    }
    with atomic_write(folder / "report.json") as path:
        path.write_text(json.dumps(summary), encoding="utf-8")
    return write_page(
        folder / "report.html",
        "standard_report.html",
        title=f"Biometric performance test: {evaluation.name}",
        clauses=_clauses(evaluation, card, faces),
        rows=_table_rows(evaluation),
        unshown=_unshown(evaluation),
        points=[_point(evaluation)],
        groups=[{"attribute": group.attribute, "findings": group.findings} for group in evaluation.groups],
        concentrations=[] if people is None else [each.finding for each in people.concentrations if each.count],
        zoo=[] if people is None else _zoo_rows(people),
        pictures=_pictures(folder, evaluation, people),
        command=command,
    )


def _write_tables(folder: Path, evaluation: Evaluation, people: PersonErrors | None) -> None:
    columns = ("fmr", "threshold", "fmr_reached", "fmr_low", "fmr_high", "fnmr", "fnmr_low", "fnmr_high", "false_matches")
    rows = [
        [row.fmr, row.threshold, row.reached.value, *row.reached.interval, row.fnmr.value, *row.fnmr.interval, row.reached.count]
        for row in evaluation.error_table
    ]
    write_csv(folder / "error_rates.csv", columns, rows)
    curve, smallest = evaluation.curve, evaluation.smallest_fmr
    rates = np.geomspace(1 / max(2, curve.nonmated), 1, _DET_POINTS)
    low, high = evaluation.resampled_curves.band(rates)
    fnmr = [1 - evaluation.tar_at_fmr(float(rate)).value for rate in rates]
    det = [[*values, int(values[0] < smallest)] for values in zip(rates, fnmr, low, high, strict=True)]
    write_csv(folder / "det.csv", ("fmr", "fnmr", "fnmr_low", "fnmr_high", "extrapolated"), det)
    for group in evaluation.groups:
        cells = [
            [
                row.first,
                row.second,
                row.people,
                row.fmr.count,
                row.fmr.trials,
                row.fmr.value,
                *row.fmr.interval,
                int(row.enough_fmr),
            ]
            for row in group.groups
        ]
        header = ("first", "second", "people", "false_matches", "pairs", "fmr", "fmr_low", "fmr_high", "enough_people")
        write_csv(folder / f"fmr_matrix_{_file_name(group.attribute)}.csv", header, cells)
    if people is not None:
        names = ("mated", "false_nonmatches", "nonmated", "false_matches", "mean_mated", "mean_nonmated")
        write_csv(folder / "people.csv", names, np.stack([getattr(people, name) for name in names], axis=1).tolist(), private=True)


def _clauses(evaluation: Evaluation, card: Card, faces: FaceDataset) -> list[dict[str, str]]:
    """What ISO/IEC 19795-1 asks a report to state about the test."""
    photos = np.bincount(faces.labels)
    fewest, median, most = np.quantile(photos, [0, 0.5, 1]).astype(int)
    acquisition = evaluation.acquisition
    pairs = "all pairs of photos" if evaluation.sampled is None else "pairs drawn at random"
    seen = (
        "people that the model was trained on may be among them" if evaluation.trained_people else "the model has seen none of them"
    )
    rows = {
        "Kind of test": "technology evaluation: stored photos, compared off-line; one attempt, one photo with one photo",
        "System": "; ".join(
            f"{name}: {card.summary[name]}" for name in ("input", "network", "data", "licence") if name in card.summary
        ),
        "Run on": evaluation.provider,
        "Test crew": f"{evaluation.people:,} people ({seen}); they weigh as "
        f"{counted(evaluation.effective_people, 'person')} with equally many mated pairs",
        "Photos": f"{evaluation.photos:,}; {fewest} to {most} of a person, median {median}",
        "Comparisons": f"{evaluation.curve.mated:,} mated and {evaluation.curve.nonmated:,} non-mated, {pairs}; "
        "non-mated ones are of people of all groups",
        "Failure to acquire": "not known" if acquisition is None else str(acquisition).removeprefix("failure to acquire "),
        "Decision policy": f"accept where the score is at least {evaluation.threshold:.4f}, from {evaluation.threshold_from}",
        "Uncertainty": "95 % intervals by the Bayesian bootstrap over people, with one more, unobserved person, all or none of "
        "whose comparisons go wrong",
        "Smallest false match rate shown": f"{percent(evaluation.smallest_fmr)}",
        "Not tested": "presentation attacks, live capture, several attempts, ageing beyond that of the photos",
    }
    return [{"name": name, "text": text} for name, text in rows.items() if text]


def _table_rows(evaluation: Evaluation) -> list[dict[str, str]]:
    return [
        {
            "fmr": f"{row.fmr:g}",
            "threshold": f"{row.threshold:.4f}",
            "reached": _described(row.reached),
            "fnmr": _described(row.fnmr),
        }
        for row in evaluation.error_table
    ]


def _described(rate: Rate) -> str:
    return f"{percent(rate.value)} ({span(rate.interval)}; {rate.count:,} of {rate.trials:,})"


def _unshown(evaluation: Evaluation) -> str:
    """Return which lines of the table are left out, and why."""
    left_out = [f"{fmr:g}" for fmr in TABLE_FMR if fmr not in {row.fmr for row in evaluation.error_table}]
    if not left_out:
        return ""
    return f"FMR {', '.join(left_out)}: left out, since these people show {percent(evaluation.smallest_fmr)} at best."


def _point(evaluation: Evaluation) -> dict[str, str]:
    rates, expected = evaluation.rates(), evaluation.predictions
    row = {"threshold": f"{evaluation.threshold:.4f}"}
    for name in ("fmr", "fnmr"):
        row[name] = _described(rates[name])
        row[f"{name}_expected"] = span(expected[name])
    return row


def _zoo_rows(people: PersonErrors) -> list[dict[str, str]]:
    verdicts = {None: "too few people to tell", True: "more than chance", False: "no more than chance explains"}
    return [
        {"name": row.name, "people": f"{row.people:,}", "expected": f"{row.expected:.1f}", "exists": verdicts[row.exists]}
        for row in people.animals
    ]


def _pictures(folder: Path, evaluation: Evaluation, people: PersonErrors | None) -> list[dict[str, Any]]:
    drawn = {"det": (plot_log_det(evaluation.curve, evaluation.resampled_curves), "DET with its 95 % band")}
    for group in evaluation.groups:
        caption = f"False match rate between people of each two groups: {group.attribute}"
        drawn[f"fmr_matrix_{_file_name(group.attribute)}"] = (plot_fmr_matrix(group), caption)
    if people is not None and len(people.numbers) > 1:
        drawn["zoo"] = (plot_zoo(people), "Zoo plot: mean scores of each person, with quartiles")
    pictures = []
    for name, (axes, caption) in drawn.items():
        png = save_figure(_figure_of(axes), folder / "pictures" / f"{name}.png").read_bytes()
        pictures.append({"data": base64.b64encode(png).decode(), "caption": caption})
    return pictures


def _figure_of(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure


def _file_name(attribute: str) -> str:
    """Return an attribute's name as part of a file name."""
    return "".join(character if character.isalnum() else "_" for character in attribute)
