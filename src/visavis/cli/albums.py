"""Commands on albums: find known people in many photos, sort the faces of unknown ones."""

from pathlib import Path
from typing import Any

import click

from visavis.cli.options import (
    PhotosLocation,
    detector_options,
    fallback_option,
    json_option,
    limit_options,
    model_option,
    options,
    people_depth_option,
    print_json,
    print_note,
    quiet_option,
    workers_option,
)

__all__ = ["find", "sort"]

FOUND, NONE = 0, 1

reading_options = options(model_option, fallback_option, detector_options, limit_options, workers_option, quiet_option)


def _settings(model: str, workers: int | None, quiet: bool, *, thumbnails: bool = False, **acquisition: Any) -> Any:
    from visavis.albums.reading import ReadingSettings
    from visavis.faces import AcquisitionSettings

    return ReadingSettings(model, AcquisitionSettings("all", **acquisition), workers, not quiet, thumbnails)


@click.command(epilog="Example: visavis find people/ party/ --out found/")
@click.argument("known")
@click.argument("photos", type=PhotosLocation())
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for a page with named boxes, tables and what was read; a rerun reads new and changed photos only.",
)
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), help="Write a row for each face to this file.")
@click.option("--annotate", is_flag=True, help="Write copies of the photos with boxes and names into --out.")
@click.option("--threshold", type=float, help="Minimum comparison score, instead of one for --target-fpir.")
@click.option(
    "--target-fpir",
    type=float,
    help="Choose the threshold for this false positive identification rate (FPIR) of a face; default: 0.01.",
)
@options(people_depth_option, reading_options, json_option)
@click.pass_context
def find(
    context: click.Context,
    /,
    known: str,
    photos: Path | str,
    *,
    out: Path | None,
    csv_file: Path | None,
    annotate: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Find known people among all faces of many photos.

    KNOWN is a folder with one sub-folder per person, a photo of one person, or a gallery. PHOTOS is a folder of photos and videos
    at any depth, a .tar or .zip of photos, a photo or a video; or a table of faces: visavis embed PHOTOS --out TABLE --face all.
    Exit codes: 0 a known person was found, 1 none was, 2 an error.
    """
    from visavis.albums.finding import FindOptions, find_people
    from visavis.albums.pages import write_annotated, write_found_page

    if annotate and out is None:
        raise click.UsageError("--annotate needs a folder for the copies: --out FOLDER")
    query = FindOptions(**{name: settings.pop(name) for name in ("threshold", "target_fpir", "people_depth")})
    reading = _settings(**settings)
    found = find_people(known, photos, settings=reading, work=None if out is None else out / ".faces", options=query)
    if csv_file is not None:
        found.write_csv(csv_file)
    if out is not None:
        found.write_csv(out / "faces.csv")
        print_note(f"page: {write_found_page(found, photos, out, reading)}", quiet=settings["quiet"])
    if out is not None and annotate:
        write_annotated(found, photos, out / "annotated", reading)
    if as_json:
        print_json(found.to_json())
    else:
        for face in found.named:
            click.echo(f"{face.photo}: face {face.number}: {face.subject} (score {face.score:.3f})")
        click.echo("\n".join(found.describe()), err=bool(found.named))
    context.exit(FOUND if found.named else NONE)


@click.command(epilog="Example: visavis sort party/ --out album/")
@click.argument("photos", type=PhotosLocation())
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of the album: a page to review, tables, names and what was read. A rerun reads new photos alone.",
)
@click.option(
    "--names",
    type=click.Path(path_type=Path),
    help="Names of faces, a CSV that the page saves. The named people become the folder `people` in --out.",
)
@click.option(
    "--precision",
    type=float,
    default=0.99,
    show_default=True,
    help="Expected share of pairs of a person's faces that show one person. Higher: fewer mix-ups, more parts for one person.",
)
@options(reading_options, json_option)
def sort(photos: Path | str, *, out: Path, names: Path | None, precision: float, as_json: bool, **settings: Any) -> None:
    """Sort the faces of unlabelled photos by person.

    PHOTOS is a folder of photos at any depth, or a .tar or .zip of one; or a table of their faces: visavis embed PHOTOS --out TABLE
    --face all. Two faces of one photo are two people.
    """
    from visavis.albums.naming import write_people
    from visavis.albums.review import write_review
    from visavis.albums.sorting import sort_photos

    reading = _settings(**settings, thumbnails=True)
    album = sort_photos(photos, out, settings=reading, precision=precision, names=names)
    page = write_review(album, photos, out)
    named = any(album.names)
    if named:
        write_people(out / "people", album.faces, album.names, photos, reading)
    if as_json:
        print_json(album.to_json())
        return
    click.echo("\n".join(album.describe()))
    print_note(f"page to review: {page}", quiet=settings["quiet"])
    if named:
        print_note(f"named people: {out / 'people'}", quiet=settings["quiet"])
