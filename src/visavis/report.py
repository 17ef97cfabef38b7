"""Self-contained HTML pages: about one evaluation, and about what is in a data set."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from visavis.audit import KINDS, Audit
from visavis.cards import Card
from visavis.checkpoints import replaced
from visavis.evaluation import Evaluation

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
        told = [finding.told for finding in audit.of_kind(kind)]
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
    loader = jinja2.PackageLoader("visavis", "templates")
    html = jinja2.Environment(loader=loader, autoescape=True).get_template(template).render(**values)
    with replaced(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path


def _summary(evaluation: Evaluation) -> list[str]:
    decisions = evaluation.decisions
    return [
        f"On {evaluation.photos:,} photos of {evaluation.people:,} people, at the threshold chosen on {evaluation.threshold_from}, "
        f"strangers were taken for one person in {decisions.fmr.value:.2%} of {decisions.fmr.trials:,} comparisons, and "
        f"photos of one person were refused in {decisions.fnmr.value:.2%} of {decisions.fnmr.trials:,}.",
        f"Where both errors are equal they are {evaluation.eer:.2%} (equal error rate).",
    ]


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
        {"name": "Equal error rate", "value": f"{evaluation.eer:.2%}", "interval": "", "counts": pairs},
        {"name": "ROC AUC", "value": f"{evaluation.roc_auc:.4f}", "interval": "", "counts": pairs},
    ]
    for name, rate in evaluation.rates().items():
        low, high = rate.interval
        counts = f"{rate.count:,} of {rate.trials:,}"
        interval = f"{low:.2%} to {high:.2%}"
        rows.append({"name": _NAMES[name], "value": f"{rate.value:.2%}", "interval": interval, "counts": counts})
    decisions = evaluation.decisions
    counts = f"TP {decisions.tp:,}, FP {decisions.fp:,}, FN {decisions.fn:,}"
    rows.append({"name": "F1", "value": f"{decisions.f1:.4f}", "interval": "", "counts": counts})
    return rows
