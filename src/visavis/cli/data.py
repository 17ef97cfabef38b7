"""Commands on data: prepare, embed, inspect."""

from pathlib import Path
from typing import Any

import click

from visavis.cli.options import (
    fallback_option,
    json_option,
    model_option,
    options,
    print_json,
    quiet_option,
    say,
    wanted_face_option,
    workers_option,
)

__all__ = ["embed", "inspect", "prepare"]


@click.command(epilog="Example: visavis prepare photos/ --out faces/ && visavis train faces/ --out runs/mine")
@click.argument("photos", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The folder to write; a new one, or one begun before.")
@options(wanted_face_option, fallback_option, workers_option, quiet_option, json_option)
def prepare(photos: Path, out: Path, *, quiet: bool, as_json: bool, **settings: Any) -> None:
    """Find and align the faces in PHOTOS, a folder with one sub-folder per person or a .tar or .zip of one.

    Writes a data set that train, evaluate and the others take, a table of the faces, and a list of the photos that gave none,
    with the reasons. Run it again after an interruption: it goes on where it stopped.
    """
    from visavis.data.preparation import prepare_photos

    result = prepare_photos(photos, out, progress=not quiet, **settings)
    print_json(result.to_json()) if as_json else click.echo(str(result))


@click.command(epilog="Example: visavis embed photos/ --out embeddings.parquet --model runs/mine")
@click.argument("photos")
@click.option("--out", required=True, help="The folder or URI of the table; a new one, or one begun before.")
@options(model_option)
@click.option("--aligned", is_flag=True, help="The photos are cut to the face already: look for none.")
@options(wanted_face_option, fallback_option)
@click.option("--engine", type=click.Choice(["processes", "ray"]), default="processes", show_default=True, help="What runs it.")
@options(workers_option)
@click.option("--shard", "photos_per_shard", type=click.IntRange(min=1), default=1024, show_default=True, help="Photos a file.")
@options(quiet_option, json_option)
def embed(photos: str, out: str, *, engine: Any, workers: int | None, quiet: bool, as_json: bool, **settings: Any) -> None:
    """Embed the faces in PHOTOS into a table: a folder of Parquet files, each written whole or not at all.

    PHOTOS is a folder with one sub-folder per person, a .tar or .zip of one, a URI such as s3://bucket/photos, or what prepare
    wrote. Photos that give no embedding are listed with the reasons. Run it again after an interruption: it goes on where it
    stopped. The engine ray works on the cluster of RAY_ADDRESS, or on this machine if that is not set.
    """
    from visavis.scale import EmbeddingSettings, embed_photos

    result = embed_photos(photos, out, EmbeddingSettings(**settings), engine=engine, workers=workers, progress=not quiet)
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
    from visavis.evaluation.inspection import inspect_data

    audit = inspect_data(data, out=out, progress=not quiet, **settings)
    if out is not None:
        say(f"page: {out}", quiet=quiet)
    print_json(audit.to_json()) if as_json else click.echo(str(audit))
