"""Self-contained HTML pages: the report of an evaluation, and the audit of a data set."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from visavis.data.audit import KINDS, Audit
from visavis.encoders.card import Card
from visavis.evaluation.folds import FoldedEvaluation
from visavis.evaluation.results import Evaluation
from visavis.files import atomic_write
from visavis.metrics.operating_points import OperatingPoint, PopulationRates
from visavis.metrics.search import SearchEvaluation
from visavis.metrics.subgroups import GroupErrors
from visavis.wording import counted

__all__ = ["Picture", "percent", "span", "write_audit", "write_page", "write_report"]

_NAMES = {
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall (true accept rate)",
    "fmr": "False match rate",
    "fnmr": "False non-match rate",
    "tar_at_fmr_1e-2": "True accept rate at FMR 1 %",
    "tar_at_fmr_1e-3": "True accept rate at FMR 0.1 %",
}


@dataclass(frozen=True)
class Picture:
    """A plot or picture in the report.

    Attributes:
        png: The file's bytes.
        caption: What it shows.
        broad: Whether it takes a whole row.
    """

    png: bytes
    caption: str
    broad: bool = False


def write_report(path: Path, evaluation: Evaluation, card: Card, *, pictures: list[Picture], command: str = "") -> Path:
    """Write the page.

    Args:
        path: The HTML file.
        evaluation: The numbers.
        card: The model's.
        pictures: What to show.
        command: The command that was given.

    Returns:
        `path`.
    """
    return write_page(
        path,
        "report.html",
        title=f"Face verification: {evaluation.name}",
        summary=_summary(evaluation),
        warnings=_warnings(evaluation, card),
        rates=_rates(evaluation),
        rules=_operating_points(evaluation),
        populations=[] if card.threshold is None else [_population(row) for row in card.threshold.populations],
        costs=evaluation.costs and _costs(evaluation),
        reliability=evaluation.reliability,
        groups=[{"findings": group.findings, "rows": [_group(row) for row in group.groups]} for group in evaluation.groups],
        search=evaluation.search and _search(evaluation.search),
        quality=[*(curve.finding for curve in evaluation.quality), *(gate.finding for gate in evaluation.gates)],
        pictures=[
            {"data": base64.b64encode(picture.png).decode(), "caption": picture.caption, "broad": picture.broad}
            for picture in pictures
        ],
        settings=list(card.summary.items()),
        command=command,
    )


def write_audit(path: Path, audit: Audit, *, name: str, montages: Mapping[str, bytes], most: int = 60) -> Path:
    """Write the page about a data set.

    Args:
        path: The HTML file.
        audit: What was found.
        name: The data set's.
        montages: A PNG of the first findings of each kind that has any.
        most: How many findings of a kind are listed.

    Returns:
        `path`.
    """
    sections = []
    for kind, montage in montages.items():
        lines = [finding.text for finding in audit.of_kind(kind)]
        data = base64.b64encode(montage).decode()
        more = max(0, len(lines) - most)
        sections.append({"title": KINDS[kind], "count": len(lines), "data": data, "lines": lines[:most], "more": more})
    return write_page(
        path,
        "audit.html",
        title=f"What is in {name}",
        summary=str(audit.summary),
        counts=[{"photos": photos, "people": people} for photos, people in audit.photos_per_person.items()],
        failures=audit.failures,
        sections=sections,
        most=most,
    )


def write_page(path: Path, template: str, **values: Any) -> Path:
    """Write a page from a template and values, atomically; return its path."""
    loader = jinja2.PackageLoader("visavis.evaluation")
    html = jinja2.Environment(loader=loader, autoescape=True).get_template(template).render(**values)
    with atomic_write(path, private=True) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path


def _summary(evaluation: Evaluation) -> list[str]:
    fmr, fnmr = (evaluation.rates()[name] for name in ("fmr", "fnmr"))
    spans = {name: span(evaluation.intervals[name]) for name in ("fmr", "fnmr", "eer")}
    sentences = [
        f"On {evaluation.photos:,} photos of {evaluation.people:,} people, at the threshold from {evaluation.threshold_from}, "
        f"the false match rate is {percent(fmr.value)} of {counted(fmr.trials, 'comparison')} of different people (95 % interval "
        f"{spans['fmr']}), and the false non-match rate is {percent(fnmr.value)} of {counted(fnmr.trials, 'comparison')} of one "
        f"person ({spans['fnmr']}). These are confidence intervals of the rates of the population. "
        f"Of another {evaluation.people:,} people like these expect a false match rate of {span(evaluation.predictions['fmr'])} "
        f"and a false non-match rate of {span(evaluation.predictions['fnmr'])} (95 % prediction intervals).",
        f"Equal error rate: {percent(evaluation.eer)} ({spans['eer']}).",
    ]
    if evaluation.concentrated:
        sentences.append(
            "Few people hold most of the pairs of one person: they weigh as "
            f"{counted(evaluation.effective_people, 'person')} would. "
            f"With every person weighing the same, the false match rate is {_balanced(evaluation, 'fmr')} and the false "
            f"non-match rate {_balanced(evaluation, 'fnmr')}."
        )
    return sentences


def _balanced(evaluation: Evaluation, name: str) -> str:
    rate = evaluation.balanced[name]
    return f"{percent(rate.value)} ({span(rate.interval)})"


def _costs(evaluation: Evaluation) -> dict[str, Any]:
    costs, (low, high) = evaluation.costs, evaluation.intervals["cllr"]
    assert costs is not None
    return {
        "cllr": f"{costs.cllr:.4f} ({low:.4f} to {high:.4f})",
        "min_cllr": f"{costs.min_cllr:.4f}",
        "detection": [
            {"prior": f"{row.costs.prior:g}", "dcf": f"{row.actual:.4f}", "min_dcf": f"{row.minimum:.4f}"}
            for row in costs.detection
        ],
    }


def percent(rate: float) -> str:
    """Return a rate as a percentage with two decimals, or as many as a small rate needs."""
    return f"{rate:.2%}" if rate == 0 or rate >= 0.001 else f"{100 * rate:.2g} %".replace(" %", "%")


def span(limits: tuple[float, float]) -> str:
    """Return limits as percentages."""
    return f"{percent(limits[0])} to {percent(limits[1])}"


def _operating_points(evaluation: Evaluation) -> list[dict[str, str]]:
    """The model's operating points: what was measured where they were chosen, and here."""
    return [
        {
            "target": "none" if reached.point.target_fmr is None else percent(reached.point.target_fmr),
            "threshold": f"{reached.point.score:.4f}",
            "chosen": _chosen(reached.point),
            "fmr": f"{percent(reached.fmr.value)} ({span(reached.fmr.interval)})",
            "fnmr": f"{percent(reached.fnmr.value)} ({span(reached.fnmr.interval)})",
        }
        for reached in evaluation.points_reached
    ]


def _population(rates: PopulationRates) -> dict[str, str]:
    """What the default threshold does to one of the populations that it was chosen on."""
    return {
        "name": rates.name,
        "people": f"{rates.people:,}",
        "fmr": f"{percent(rates.fmr)} (at most {percent(rates.fmr_upper)})",
        "fnmr": f"{percent(rates.fnmr)} (at most {percent(rates.fnmr_upper)})",
        "ece": "" if rates.ece is None else f"{rates.ece:.3f}",
    }


def _group(errors: GroupErrors) -> dict[str, str]:
    row = {"name": errors.name, "people": f"{errors.people:,}"}
    for name, rate, enough in (("fmr", errors.fmr, errors.enough_fmr), ("fnmr", errors.fnmr, errors.enough_fnmr)):
        few = "" if enough else ", too few"
        row[name] = f"{percent(rate.value)} ({span(rate.interval)}{few})" if rate.trials else "no such pairs"
    return row


def _search(search: SearchEvaluation) -> dict[str, Any]:
    rates = [
        ("Right person first, whatever the score (rank 1)", search.rank1),
        ("Enrolled people not found at the threshold (FNIR)", search.fnir),
        ("Searches for people not enrolled that return a candidate (FPIR)", search.fpir),
    ]
    return {
        "rates": [
            {
                "name": name,
                "value": f"{percent(rate.value)} ({span(rate.interval)})",
                "counts": f"{rate.count:,} of {rate.trials:,}",
            }
            for name, rate in rates
        ],
        "growth": [
            {"enrolled": f"{step.enrolled:,}", "measured": percent(step.measured), "predicted": percent(step.predicted)}
            for step in search.growth
        ],
        "summary": f"{search.enrolled:,} people are enrolled with {counted(search.photos, 'photo')} each ({search.reference}); "
        f"not enrolled: {counted(search.not_enrolled, 'person')}. The threshold is {search.threshold:.4f}.",
    }


def _chosen(point: OperatingPoint) -> str:
    if not point.nonmated:
        return point.chosen_on
    kind = "" if point.chosen_as is None else f"{point.chosen_as}: "
    if len(point.populations) > 1:
        rows = [f"{percent(row.fmr)}, at most {percent(row.fmr_upper)}, on {row.people:,} {row.name}" for row in point.populations]
        return kind + "; ".join(rows)
    bound = "" if point.fmr_upper is None else f", at most {percent(point.fmr_upper)}"
    return f"{kind}{percent(point.false_matches / point.nonmated)}{bound} on {point.people:,} {point.chosen_on}"


def _folded(folded: FoldedEvaluation) -> dict[str, str]:
    right, pairs = (sum(getattr(fold.accuracy, name) for fold in folded.decisions) for name in ("count", "trials"))
    return {
        "name": f"Accuracy, each of {counted(len(folded.folds), 'fold')} at the best threshold of the others",
        "value": percent(folded.accuracy),
        "interval": f"standard error {percent(folded.standard_error)}",
        "counts": f"{right:,} of {pairs:,}",
    }


def _warnings(evaluation: Evaluation, card: Card) -> list[str]:
    warnings = []
    if card.split == "photo":
        warnings.append(
            "The data was split by photo: the model was also trained on these people. Errors on other people are higher."
        )
    if evaluation.trained_people:
        warnings.append("People that the model was trained on may be among these. Errors on other people are higher.")
    return warnings


def _rates(evaluation: Evaluation) -> list[dict[str, str]]:
    pairs = f"{evaluation.curve.mated:,} mated, {evaluation.curve.nonmated:,} non-mated"
    rows = [
        {
            "name": "Equal error rate",
            "value": percent(evaluation.eer),
            "interval": span(evaluation.intervals["eer"]),
            "counts": pairs,
        },
        {
            "name": "ROC AUC",
            "value": f"{evaluation.roc_auc:.4f}",
            "interval": "{:.4f} to {:.4f}".format(*evaluation.intervals["roc_auc"]),
            "counts": pairs,
        },
    ]
    for name, rate in evaluation.rates().items():
        counts = f"{rate.count:,} of {rate.trials:,}"
        interval = "extrapolated" if name in evaluation.extrapolated else span(rate.interval)
        value = percent(rate.value) if rate.trials else "undefined"
        rows.append({"name": _NAMES[name], "value": value, "interval": interval, "counts": counts})
    for name, even in evaluation.balanced.items():
        every = {"name": f"{_NAMES[name]}, every person with the same weight", "value": percent(even.value)}
        rows.append({**every, "interval": span(even.interval), "counts": ""})
    if evaluation.acquisition is not None:
        fta = evaluation.acquisition
        note = "counted into" if fta.counted else "not counted into"
        rows.append(
            {
                "name": f"Failure to acquire, {note} the false non-match rate",
                "value": percent(fta.rate.value),
                "interval": span(fta.rate.interval),
                "counts": f"{fta.rate.count:,} of {counted(fta.rate.trials, 'photo')}",
            }
        )
    if evaluation.folded is not None:
        rows.append(_folded(evaluation.folded))
    decisions = evaluation.decisions
    counts = f"TP {decisions.tp:,}, FP {decisions.fp:,}, FN {decisions.fn:,}"
    rows.append({"name": "F1", "value": f"{decisions.f1:.4f}", "interval": "", "counts": counts})
    return rows
