"""Inspect a data set: audit it, and write the findings as a page and as a list of photos to leave out."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from visavis.data import FaceDataset, IntakeRules, load_dataset
from visavis.data.audit import KINDS, Audit, audit_dataset, write_fix_list
from visavis.encoders import Encoder, embed_faces, load_encoder, load_faces
from visavis.evaluation.plots import plot_montage
from visavis.evaluation.report import write_audit

__all__ = ["InspectionOptions", "inspect_data"]

_SIDE = 112
_LIKELY_SAME = 0.5
_SHOWN = 24


@dataclass(frozen=True)
class InspectionOptions:
    """What `inspect_data` searches for besides duplicates and poor faces.

    Attributes:
        model: A run folder or model file, which finds doubtful labels.
        against: Another data set that no photo may be shared with.
        rules: Which files are photos, and whose, and the limits of one; None: the usual rules.
        progress: Whether to show a bar on standard error.
    """

    model: Path | str | None = None
    against: str | None = None
    rules: IntakeRules | None = None
    progress: bool = False


def inspect_data(
    data: str, options: InspectionOptions | None = None, *, out: Path | None = None, fix_list: Path | None = None
) -> Audit:
    """Audit a data set, and write the findings.

    Args:
        data: What `load_dataset` takes.
        options: What else to search for; None: `InspectionOptions()`.
        out: The HTML page to write; None: none.
        fix_list: The CSV of photos that may be left out; None: none.

    Raises:
        DataError: If data cannot be read, or if its faces are not aligned as those of the model were.
        ModelError: If the model cannot be read.
    """
    options = options or InspectionOptions()
    encoder = None if options.model is None else load_encoder(options.model)
    if encoder is None:
        load: Callable[[str], FaceDataset] = partial(load_dataset, size=(_SIDE, _SIDE), rules=options.rules)
    else:
        load = partial(load_faces, encoder.card, rules=options.rules)
    dataset = load(data)
    audit = audit_dataset(
        dataset,
        folder=Path(data) if Path(data).is_dir() else None,
        other=None if options.against is None else load(options.against),
        embeddings=None if encoder is None else embed_faces(encoder, dataset, progress=options.progress),
        threshold=_threshold_of(encoder),
    )
    if out is not None:
        montages = {kind: _montage(audit, dataset, kind) for kind in KINDS if audit.of_kind(kind)}
        write_audit(out, audit, name=data, montages=montages)
    if fix_list is not None:
        write_fix_list(fix_list, audit, dataset)
    return audit


def _threshold_of(encoder: Encoder | None) -> float:
    rule = None if encoder is None else encoder.card.threshold
    return _LIKELY_SAME if rule is None else rule.score


def _montage(audit: Audit, dataset: FaceDataset, kind: str) -> bytes:
    """Draw the first findings of one kind, numbered as the page lists them."""
    shown = audit.of_kind(kind)[:_SHOWN]
    images = [np.concatenate(list(dataset.gather(finding.photos)), axis=1) for finding in shown]
    file = io.BytesIO()
    plot_montage(images, [str(number + 1) for number in range(len(shown))]).savefig(file, format="png", dpi=80)
    return file.getvalue()
