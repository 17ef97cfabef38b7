"""Commands on data: prepare, inspect."""

from pathlib import Path
from typing import Any

import click

from visavis.cli.options import fallback_option, json_option, options, print_json, quiet_option, say

__all__ = ["inspect", "prepare"]


@click.command(epilog="Example: visavis prepare photos/ --out faces/ && visavis train faces/ --out runs/mine")
@click.argument("photos", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The folder to write; a new one, or one begun before.")
@click.option("--face", type=click.Choice(["largest", "centre", "all", "error"]), default="largest", help="Which face of several.")
@fallback_option
@click.option("--workers", type=click.IntRange(min=1), default=None, help="Processes; default: one for each core.")
@options(quiet_option, json_option)
def prepare(photos: Path, out: Path, *, face: Any, fallback: Any, workers: int | None, quiet: bool, as_json: bool) -> None:
    """Find and align the faces in PHOTOS, a folder with one sub-folder per person or a .tar or .zip of one.

    Writes a data set that train, evaluate and the others take, a table of the faces, and a list of the photos that gave none,
    with the reasons. Run it again after an interruption: it goes on where it stopped.
    """
    from visavis.preparation import prepare_photos

    result = prepare_photos(photos, out, policy=face, fallback=fallback, workers=workers, progress=not quiet)
    print_json(result.to_json()) if as_json else click.echo(str(result))


@click.command(epilog="Example: visavis inspect faces/ --out inspect.html --fix-list drop.csv")
@click.argument("data")
@click.option("--out", type=click.Path(path_type=Path), help="The page to write, with pictures.")
@click.option("--fix-list", type=click.Path(path_type=Path), help="A CSV of the photos that may be left out.")
@click.option("--model", help="A run folder, a model file or pretrained: finds doubtful names as well.")
@click.option("--against", help="Another data set, such as test people: no photo may be in both.")
@options(quiet_option, json_option)
def inspect(data: str, *, out: Path | None, quiet: bool, as_json: bool, **settings: Any) -> None:
    """Look through DATA: near-duplicates, blurred and small faces, photos without a face, doubtful names, leaks."""
    from visavis.inspection import inspect_data

    audit = inspect_data(data, out=out, progress=not quiet, **settings)
    if out is not None:
        say(f"page: {out}", quiet=quiet)
    print_json(audit.to_json()) if as_json else click.echo(str(audit))
