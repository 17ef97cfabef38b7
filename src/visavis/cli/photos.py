"""Commands on photos: verify, explain, compare."""

from pathlib import Path
from typing import Any

import click

from visavis.cli.options import (
    decision_options,
    json_option,
    matching_options,
    model_option,
    open_verifier,
    options,
    pad_option,
    print_json,
    print_note,
    print_warnings,
    quiet_option,
)
from visavis.cli.watchdog import photo_limits

__all__ = ["compare", "explain", "verify"]

SAME, DIFFERENT = 0, 1


@click.command(epilog="Example: visavis verify a.jpg b.jpg --model runs/mine && echo same")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--draw", type=click.Path(path_type=Path), help="Draw both photos, their faces and the score into this PNG.")
@options(model_option, decision_options, pad_option, matching_options, json_option)
@click.pass_context
def verify(
    context: click.Context, /, first: Path, second: Path, *, model: str, draw: Path | None, as_json: bool, **verifier: Any
) -> None:
    """Decide whether two photos show the same person.

    Exit codes: 0 the same person, 1 different people, 2 an error.
    """
    from visavis.verification.comparisons import verify_photos

    opened = open_verifier(model, **verifier)
    with photo_limits(opened.acquisition.budget, 2):
        verdict = verify_photos(opened, first, second, out=draw)
    if as_json:
        print_json({"first": str(first), "second": str(second), **verdict.to_json()})
    else:
        click.echo(verdict.describe())
        if verdict.measured_on:
            click.echo(f"threshold: {verdict.measured}; predict it for your photos with: visavis check")
        print_warnings(verdict.warnings)
    context.exit(SAME if verdict.same else DIFFERENT)


@click.command(epilog="Example: visavis explain a.jpg b.jpg --out why.png")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The PNG to draw.")
@options(model_option, decision_options, matching_options, json_option)
def explain(first: Path, second: Path, *, out: Path, model: str, as_json: bool, **verifier: Any) -> None:
    """Draw occlusion maps: which regions raise or lower the score."""
    from visavis.verification.explanation import explain_photos

    opened = open_verifier(model, **verifier)
    with photo_limits(opened.acquisition.budget, 2):
        explanation = explain_photos(opened, first, second, out=out)
    if as_json:
        maps = [weights.round(6).tolist() for weights in explanation.maps]
        print_json({"first": str(first), "second": str(second), **explanation.verdict.to_json(), "maps": maps})
    else:
        click.echo(f"{explanation.verdict.describe()}\npicture: {out}")
        print_warnings(explanation.verdict.warnings)


@click.command(epilog="Example: visavis compare anchor.jpg photos/*.jpg --model runs/mine --out compared.png")
@click.argument("anchor", type=click.Path(path_type=Path))
@click.argument("photos", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Draw the comparisons into this PNG.")
@options(model_option, decision_options, pad_option, matching_options, quiet_option, json_option)
def compare(
    anchor: Path,
    photos: tuple[Path, ...],
    *,
    model: str,
    out: Path | None,
    quiet: bool,
    as_json: bool,
    **verifier: Any,
) -> None:
    """Compare one photo with many, best match first.

    PHOTOS are files, and folders of photos at any depth.
    """
    from visavis.data import Intake, shown_name
    from visavis.verification.comparisons import compare_photos

    compared = compare_photos(open_verifier(model, **verifier), anchor, photos, out=out)
    if out is not None:
        print_note(f"picture: {out}", quiet=quiet)
    if as_json:
        print_json(compared.to_json())
        return
    for photo, verdict in compared.ranked:
        click.echo(f"{shown_name(str(photo))}: {verdict.describe()}")
    print_warnings(compared.warnings)
    for _, reason in compared.failures:
        click.echo(f"not compared: {reason}", err=True)
    for line in Intake("", len(compared.ranked), 0, compared.passed_over).describe():
        click.echo(line, err=True)
