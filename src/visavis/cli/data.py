"""Commands on data: prepare, embed, inspect."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from visavis.cli.options import (
    PhotosLocation,
    detector_options,
    face_policy_option,
    fallback_option,
    json_option,
    limit_options,
    model_option,
    options,
    people_depth_option,
    print_json,
    print_note,
    quiet_option,
    rules_options,
    workers_option,
)

__all__ = ["embed", "inspect", "prepare"]


@click.command(epilog="Example: visavis prepare photos/ --out faces/ && visavis train faces/ --out runs/mine")
@click.argument("photos", type=PhotosLocation())
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The folder to write; a new one, or an unfinished one.")
@options(rules_options, face_policy_option, fallback_option, detector_options, workers_option, quiet_option, json_option)
def prepare(
    photos: Path | str, out: Path, *, rules: Any, workers: int | None, quiet: bool, as_json: bool, **acquisition: Any
) -> None:
    """Detect and align the faces in a folder of photos.

    PHOTOS is a folder with one sub-folder per person, a .tar or .zip of one, or the URI of either, such as s3://bucket/photos;
    photos in no person's folder get no name. Writes a data set for train, evaluate and the other commands, a table of the faces,
    a list of the photos without a usable face and a list of the files that are no photos, with the reasons. After an interruption,
    run it again: it resumes where it stopped.
    """
    from visavis.data.preparation import prepare_photos
    from visavis.faces import AcquisitionSettings

    settings = AcquisitionSettings(**acquisition)
    result = prepare_photos(
        photos, out, acquisition=settings, rules=replace(rules, people="optional"), workers=workers, progress=not quiet
    )
    print_json(result.to_json()) if as_json else click.echo(str(result))


@click.command(epilog="Example: visavis embed photos/ --out embeddings.parquet --model runs/mine")
@click.argument("photos")
@click.option("--out", required=True, help="The folder or URI to write; a new one, or an unfinished one.")
@options(model_option)
@click.option("--aligned", is_flag=True, help="The photos are face crops already: skip detection.")
@options(people_depth_option, face_policy_option, fallback_option, detector_options, limit_options)
@click.option(
    "--engine",
    type=click.Choice(["processes", "ray"]),
    default="processes",
    show_default=True,
    help="Run in local processes or on Ray.",
)
@options(workers_option)
@click.option(
    "--photos-per-file",
    "photos_per_shard",
    type=click.IntRange(min=1),
    default=1024,
    show_default=True,
    help="Photos in each Parquet file.",
)
@options(quiet_option, json_option)
def embed(photos: str, out: str, *, engine: Any, workers: int | None, quiet: bool, as_json: bool, **settings: Any) -> None:
    """Write the embeddings of many photos to a table of Parquet files.

    PHOTOS is a folder with one sub-folder per person, a .tar or .zip of one, a URI such as s3://bucket/photos, or a data set
    that prepare wrote. Each file is written atomically. Photos without an embedding are listed with the reasons. After an
    interruption, run it again: it resumes where it stopped. The engine ray uses the cluster at RAY_ADDRESS, or this machine if
    that is not set. find and sort take the table in place of photos, if it has every face: --face all.
    """
    from visavis.scale import EmbeddingSettings, embed_photos

    result = embed_photos(photos, out, EmbeddingSettings(**settings), engine=engine, workers=workers, progress=not quiet)
    print_json(result.to_json()) if as_json else click.echo(str(result))


@click.command(epilog="Example: visavis inspect faces/ --out inspect.html --fix-list drop.csv")
@click.argument("data")
@click.option("--out", type=click.Path(path_type=Path), help="The HTML page to write, with pictures.")
@click.option("--fix-list", type=click.Path(path_type=Path), help="Write a CSV of the photos to consider dropping.")
@click.option("--model", help="A run folder, a model file or pretrained; also finds doubtful labels.")
@click.option("--against", help="Another data set, such as the test people: report photos that are in both.")
@options(rules_options, quiet_option, json_option)
def inspect(data: str, *, out: Path | None, fix_list: Path | None, rules: Any, quiet: bool, as_json: bool, **settings: Any) -> None:
    """Check a data set for duplicates, poor faces, doubtful labels and leaks.

    Near-duplicates are found too, and photos without a face. Doubtful labels need --model, leaks need --against.
    """
    from visavis.evaluation.inspection import InspectionOptions, inspect_data

    options = InspectionOptions(**settings, rules=replace(rules, people="optional"), progress=not quiet)
    audit = inspect_data(data, options, out=out, fix_list=fix_list)
    if out is not None:
        print_note(f"page: {out}", quiet=quiet)
    print_json(audit.to_json()) if as_json else click.echo(str(audit))
