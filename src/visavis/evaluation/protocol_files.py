"""Evaluate a model on a protocol file that brings its own photos: InsightFace's `.bin` files, IJB-B and IJB-C."""

from dataclasses import replace
from pathlib import Path

from visavis.data import read_bin
from visavis.data.ijb import read_ijb
from visavis.encoders import Encoder, load_encoder
from visavis.evaluation.evaluate import Evaluated, EvaluationOptions, claims_of, evaluate_model, report_folder
from visavis.evaluation.templates import evaluate_templates
from visavis.evaluation.writing import draw_curves, write_evaluation
from visavis.images import Limits

__all__ = ["evaluate_protocol_file"]


def evaluate_protocol_file(
    model: Path | str | Encoder,
    protocol: Path | str,
    *,
    options: EvaluationOptions | None = None,
    out: Path | str | None = None,
    overwrite: bool = False,
) -> Evaluated:
    """Measure a model on all pairs of a protocol, and write metrics, plots and a report if there is a folder for them.

    Such files name nobody, so people that the model was trained on cannot be left out, and the report says so.

    Args:
        model: What `load_encoder` takes, or an encoder.
        protocol: A `.bin` file of InsightFace (LFW, CFP-FP, AgeDB-30, CALFW, CPLFW); or the folder of IJB-B or IJB-C, with
            `loose_crop` and `meta`.
        options: What else to measure; None: `EvaluationOptions()`.
        out: As in `evaluate_model`.
        overwrite: Whether a report that is in the folder may be replaced.

    Raises:
        DataError: If the protocol cannot be read, or if the folder holds a report and `overwrite` is not set.
        ValueError: If the options ask for what such a protocol cannot have.
    """
    options = options or EvaluationOptions()
    for name in ("pairs", "sample", "attributes", "enrol", "standard_report", "include_fta"):
        if getattr(options, name) not in (None, False):
            raise ValueError(f"{name} and a protocol file exclude each other, got {name}={getattr(options, name)!s}")
    limits = options.rules.limits if options.rules else Limits()
    if not Path(protocol).is_dir():
        faces, pairs = read_bin(protocol, limits=limits)
        return evaluate_model(model, faces, people="all", options=replace(options, pairs=pairs), out=out, overwrite=overwrite)
    out = report_folder(model, out, overwrite=overwrite)
    encoder = load_encoder(model) if isinstance(model, str | Path) else model
    templates = read_ijb(protocol)
    evaluation = evaluate_templates(encoder, templates, claims_of(encoder.card, options), limits=limits)
    evaluation = replace(evaluation, trained_people=True, provider=str(getattr(encoder, "provider", "")))
    report = None
    if out is not None:
        report = write_evaluation(out, encoder.card, evaluation, figures=draw_curves(evaluation), command=options.command)
    return Evaluated(evaluation, report, 0)
