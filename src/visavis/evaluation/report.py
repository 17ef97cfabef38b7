"""Self-contained HTML pages: about one evaluation, and about what is in a data set."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from visavis.data.audit import KINDS, Audit
from visavis.encoders.card import Card
from visavis.evaluation import Evaluation, FoldedEvaluation
from visavis.files import atomic_write
from visavis.metrics.operating_points import OperatingPoint
from visavis.metrics.search import SearchEvaluation
from visavis.metrics.subgroups import GroupErrors

__all__ = ["Picture", "write_audit", "write_report"]

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
    """A picture of the report.

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
    return _write(
        path,
        "report.html",
        title=f"Face verification: {evaluation.name}",
        summary=_summary(evaluation),
        warnings=_warnings(evaluation, card),
        rates=_rates(evaluation),
        rules=_rules(evaluation),
        reliability=evaluation.reliability,
        groups=[{"findings": group.findings, "rows": [_group(row) for row in group.groups]} for group in evaluation.groups],
        search=evaluation.search and _search(evaluation.search),
        quality=[curve.finding for curve in evaluation.quality],
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
        told = [finding.text for finding in audit.of_kind(kind)]
        data = base64.b64encode(montage).decode()
        more = max(0, len(told) - most)
        sections.append({"title": KINDS[kind], "count": len(told), "data": data, "lines": told[:most], "more": more})
    return _write(
        path,
        "audit.html",
        title=f"What is in {name}",
        summary=str(audit.summary),
        counts=[{"photos": photos, "people": people} for photos, people in audit.photos_per_person.items()],
        failures=audit.failures,
        sections=sections,
        most=most,
    )


def _write(path: Path, template: str, **values: Any) -> Path:
    loader = jinja2.PackageLoader("visavis.evaluation")
    html = jinja2.Environment(loader=loader, autoescape=True).get_template(template).render(**values)
    with atomic_write(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path


def _summary(evaluation: Evaluation) -> list[str]:
    fmr, fnmr = (evaluation.rates()[name] for name in ("fmr", "fnmr"))
    spans = {name: _span(evaluation.intervals[name]) for name in ("fmr", "fnmr", "eer")}
    return [
        f"On {evaluation.photos:,} photos of {evaluation.people:,} people, at the threshold from {evaluation.threshold_from}, "
        f"strangers were taken for one person in {_percent(fmr.value)} of {fmr.trials:,} comparisons, and photos of one person "
        f"were refused in {_percent(fnmr.value)} of {fnmr.trials:,}. For other people like these expect false matches in "
        f"{spans['fmr']}, and refusals in {spans['fnmr']} of the comparisons.",
        f"Where both errors are equal they are {_percent(evaluation.eer)} ({spans['eer']}; equal error rate).",
    ]


def _percent(rate: float) -> str:
    """Two decimals, or as many as a small rate needs."""
    return f"{rate:.2%}" if rate == 0 or rate >= 0.001 else f"{100 * rate:.2g} %".replace(" %", "%")


def _span(limits: tuple[float, float]) -> str:
    return f"{_percent(limits[0])} to {_percent(limits[1])}"


def _rules(evaluation: Evaluation) -> list[dict[str, str]]:
    """What each decision rule promised, and what it did here."""
    return [
        {
            "target": "none" if reached.rule.target_fmr is None else _percent(reached.rule.target_fmr),
            "threshold": f"{reached.rule.score:.4f}",
            "chosen": _chosen(reached.rule),
            "fmr": f"{_percent(reached.fmr.value)} ({_span(reached.fmr.interval)})",
            "fnmr": f"{_percent(reached.fnmr.value)} ({_span(reached.fnmr.interval)})",
        }
        for reached in evaluation.rules
    ]


def _group(errors: GroupErrors) -> dict[str, str]:
    told = {"name": errors.name, "people": f"{errors.people:,}"}
    for name, rate, enough in (("fmr", errors.fmr, errors.tells_fmr), ("fnmr", errors.fnmr, errors.tells_fnmr)):
        few = "" if enough else ", too few"
        told[name] = f"{_percent(rate.value)} ({_span(rate.interval)}{few})" if rate.trials else "no such pairs"
    return told


def _search(search: SearchEvaluation) -> dict[str, Any]:
    rates = [
        ("The right person first, whatever the score (rank 1)", search.rank1),
        ("Enrolled people not found at the threshold (FNIR)", search.fnir),
        ("Strangers taken for somebody (FPIR)", search.fpir),
    ]
    return {
        "rates": [
            {
                "name": name,
                "value": f"{_percent(rate.value)} ({_span(rate.interval)})",
                "counts": f"{rate.count:,} of {rate.trials:,}",
            }
            for name, rate in rates
        ],
        "growth": [
            {"enrolled": f"{step.enrolled:,}", "measured": _percent(step.measured), "predicted": _percent(step.predicted)}
            for step in search.growth
        ],
        "told": f"{search.enrolled:,} people are enrolled with {search.photos} photos each ({search.template}); "
        f"{search.strangers:,} others are strangers. The threshold is {search.threshold:.4f}.",
    }


def _chosen(rule: OperatingPoint) -> str:
    if not rule.nonmated:
        return rule.chosen_on
    bound = "" if rule.fmr_upper is None else f", at most {_percent(rule.fmr_upper)}"
    return f"{_percent(rule.false_matches / rule.nonmated)}{bound} on {rule.people:,} {rule.chosen_on}"


def _folded(folded: FoldedEvaluation) -> dict[str, str]:
    right, pairs = (sum(getattr(fold.accuracy, name) for fold in folded.decisions) for name in ("count", "trials"))
    return {
        "name": f"Accuracy, each of {len(folded.folds)} folds at the best threshold of the others",
        "value": _percent(folded.accuracy),
        "interval": f"standard error {_percent(folded.standard_error)}",
        "counts": f"{right:,} of {pairs:,}",
    }


def _warnings(evaluation: Evaluation, card: Card) -> list[str]:
    warnings = []
    if card.split == "photo":
        warnings.append("The data was split by photo: these people were also trained on. For anybody else errors are higher.")
    if evaluation.trained_people:
        warnings.append("People that the model was trained on may be among these. For anybody else errors are higher.")
    return warnings


def _rates(evaluation: Evaluation) -> list[dict[str, str]]:
    pairs = f"{evaluation.curve.mated:,} mated, {evaluation.curve.nonmated:,} non-mated"
    rows = [
        {
            "name": "Equal error rate",
            "value": _percent(evaluation.eer),
            "interval": _span(evaluation.intervals["eer"]),
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
        interval = _span(evaluation.intervals[name])
        rows.append({"name": _NAMES[name], "value": _percent(rate.value), "interval": interval, "counts": counts})
    if evaluation.folded is not None:
        rows.append(_folded(evaluation.folded))
    decisions = evaluation.decisions
    counts = f"TP {decisions.tp:,}, FP {decisions.fp:,}, FN {decisions.fn:,}"
    rows.append({"name": "F1", "value": f"{decisions.f1:.4f}", "interval": "", "counts": counts})
    return rows
