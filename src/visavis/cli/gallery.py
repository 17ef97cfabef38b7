"""Commands on galleries: enrolment and search, and maintenance of the gallery."""

import getpass
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from visavis.cli.groups import SectionedGroup
from visavis.cli.options import (
    PhotosLocation,
    acquisition_options,
    decision_options,
    enrolment_options,
    json_option,
    min_quality_option,
    model_option,
    open_verifier,
    options,
    pad_option,
    people_depth_option,
    print_json,
    print_note,
    print_warnings,
    quiet_option,
    search_options,
)
from visavis.cli.watchdog import photo_limits
from visavis.errors import GalleryKeyError
from visavis.wording import counted

__all__ = ["gallery"]

MATCH, NO_MATCH = 0, 1
NEW_KEY_VARIABLE = "VISAVIS_GALLERY_NEW_KEY"

location_argument = click.argument("location", metavar="GALLERY")
out_argument = click.argument("out", type=click.Path(path_type=Path))
actor_option = click.option(
    "--actor", default=lambda: getpass.getuser(), show_default="your account", help="The account to record in the gallery's log."
)


@click.group(
    cls=SectionedGroup,
    epilog="A gallery is encrypted. A key in VISAVIS_GALLERY_KEY (openssl rand -hex 32) protects its key file.",
)
def gallery() -> None:
    """Enrol people in a gallery; search it, verify, delete.

    \b
    visavis gallery enrol door.gallery people/        one sub-folder per person
    visavis gallery search door.gallery who.jpg       decide who it is, if anybody
    """  # noqa: D301 - click asks for the character itself


def maintenance(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the arguments of a command that needs no encoder: the gallery, the actor and the output format."""
    return options(location_argument, actor_option, json_option)(command)


@click.command(epilog="Example: visavis gallery enrol door.gallery anna-1.jpg anna-2.jpg --subject anna")
@location_argument
@click.argument("photos", nargs=-1, required=True, type=PhotosLocation())
@click.option(
    "--subject",
    help="The person in PHOTOS (files or folders); without it, PHOTOS is a folder, .tar, .zip or URI with a sub-folder per person.",
)
@click.option("--keep-photos", is_flag=True, help="Store the photos too, so that reembed can use another encoder later.")
@options(min_quality_option("none"), people_depth_option, model_option, enrolment_options)
@options(actor_option, quiet_option, json_option)
def enrol(
    location: str,
    photos: tuple[Path | str, ...],
    *,
    subject: str | None,
    model: str,
    quiet: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Enrol people in a gallery.

    The gallery is created if missing. Only embeddings are stored unless --keep-photos is given.
    """
    from visavis.faces import quality_limits
    from visavis.formats import is_image_file
    from visavis.gallery import open_gallery
    from visavis.gallery.enrolling import EnrolmentOptions, enrol_folder, enrol_photos

    if subject is None and (len(photos) > 1 or (isinstance(photos[0], Path) and is_image_file(photos[0]))):
        raise click.UsageError("name the person in the photos (--subject NAME), or give one folder with one sub-folder per person")
    if subject is not None and any(isinstance(photo, str) for photo in photos):
        raise click.UsageError("--subject takes files and folders; a URI must lead to a folder with one sub-folder per person")
    given = {name: settings.pop(name) for name in ("keep_photos", "actor", "people_depth")}
    options = EnrolmentOptions(**given, progress=not quiet, quality=quality_limits(settings.pop("min_quality")))
    verifier = open_verifier(model, **settings)
    with open_gallery(location, verifier.encoder) as opened:
        if subject is None:
            result = enrol_folder(opened, verifier, photos[0], options)
        else:
            result = enrol_photos(opened, verifier, subject, [Path(photo) for photo in photos], options)
    if as_json:
        print_json(result.to_json())
    else:
        click.echo(str(result))
        print_warnings(f"{photo}: {text}" for photo, text in result.warnings)


@click.command(epilog="Example: visavis gallery search door.gallery who.jpg && echo known")
@location_argument
@click.argument("photo", type=click.Path(path_type=Path))
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="Maximum number of people.")
@click.option("--threshold", type=float, help="Minimum comparison score, instead of one for --target-fpir.")
@click.option(
    "--target-fpir",
    type=float,
    help="Choose the threshold for this expected false positive identification rate (FPIR) at the gallery's size; default: 0.01.",
)
@options(model_option, pad_option, search_options, json_option)
@click.pass_context
def search(context: click.Context, /, location: str, photo: Path, *, model: str, as_json: bool, **settings: Any) -> None:
    """Search a gallery for the person in a photo, and decide whether they are enrolled.

    With --face all, each face of the photo is searched for, and each person found once at most.
    If the model cannot show the default FPIR, the most similar people are listed without a decision.
    Exit codes: 0 at least one match, 1 no match or no decision, 2 an error.
    """
    from visavis.gallery.searching import search_photo

    query = {name: settings.pop(name) for name in ("top", "threshold", "target_fpir")}
    opened = open_verifier(model, **settings)
    with photo_limits(opened.acquisition.budget):
        result = search_photo(location, opened, photo, **query)
    if as_json:
        print_json(result.to_json())
    else:
        click.echo(str(result))
        print_warnings(f"{photo}: {text}" for text in result.warnings)
    context.exit(MATCH if result.matched else NO_MATCH)


@click.command(epilog="Example: visavis gallery verify door.gallery anna who.jpg && echo it is Anna")
@location_argument
@click.argument("subject")
@click.argument("photo", type=click.Path(path_type=Path))
@options(model_option, decision_options, pad_option, search_options, json_option)
@click.pass_context
def verify(
    context: click.Context, /, location: str, subject: str, photo: Path, *, model: str, as_json: bool, **verifier: Any
) -> None:
    """Decide whether a photo shows an enrolled person.

    The photo is compared with the mean of all references of SUBJECT; with --face all, that of its faces with the highest score.
    Exit codes: 0 the same person, 1 different people, 2 an error.
    """
    from visavis.gallery.searching import verify_photo

    opened = open_verifier(model, **verifier)
    with photo_limits(opened.acquisition.budget):
        hit, verdict = verify_photo(location, opened, subject, photo)
    if as_json:
        print_json({"subject": subject, "reference": hit.reference, "photo": str(photo), **verdict.to_json()})
    else:
        click.echo(verdict.describe())
        print_warnings(verdict.warnings)
    context.exit(MATCH if verdict.same else NO_MATCH)


@click.command(epilog="Example: visavis gallery delete door.gallery anna berta")
@maintenance
@click.argument("subjects", nargs=-1, required=True)
def delete(location: str, subjects: tuple[str, ...], *, actor: str, as_json: bool) -> None:
    """Delete people and all their data from a gallery.

    Their data keys are destroyed before the command returns, so that no copy can be read.
    """
    from visavis.gallery import open_gallery

    with open_gallery(location, None) as opened:
        deleted = {subject: opened.delete(subject, actor=actor) for subject in subjects}
    if as_json:
        print_json({"deleted": deleted})
    else:
        click.echo("\n".join(f"deleted {subject}: {counted(count, 'reference')}" for subject, count in deleted.items()))


@click.command("list", epilog="Example: visavis gallery list door.gallery --limit 20 --after anna")
@location_argument
@click.option("--after", help="Start after this name.")
@click.option("--limit", type=click.IntRange(min=1), default=1000, show_default=True, help="Maximum number of people.")
@click.option("--references", is_flag=True, help="Print the number of each reference, which `remove` takes.")
@json_option
def list_subjects(location: str, *, after: str | None, limit: int, references: bool, as_json: bool) -> None:
    """List the people in a gallery by name."""
    from visavis.gallery import open_gallery

    with open_gallery(location, None) as opened:
        subjects, count = opened.subjects(after=after, limit=limit), len(opened)
    if as_json:
        print_json({"references": count, "subjects": [subject.to_json() for subject in subjects]})
        return
    for subject in subjects:
        numbers = f" ({', '.join(subject.references)})" if references else ""
        click.echo(f"{subject.name}: {counted(len(subject.references), 'reference')}{numbers}, enrolled {subject.created}")


@click.command(epilog="Example: visavis gallery remove door.gallery anna --reference 17")
@maintenance
@click.argument("subject")
@click.option("--reference", required=True, help="Its number, as `list --references` prints it.")
def remove(location: str, subject: str, reference: str, *, actor: str, as_json: bool) -> None:
    """Delete one reference of a person who has others."""
    from visavis.gallery import open_gallery

    with open_gallery(location, None) as opened:
        opened.remove(subject, reference, actor=actor)
    print_json({"removed": reference}) if as_json else click.echo(f"removed reference {reference} of {subject}")


@click.command(epilog="Example: visavis gallery rename door.gallery ana anna")
@maintenance
@click.argument("subject")
@click.argument("name")
def rename(location: str, subject: str, name: str, *, actor: str, as_json: bool) -> None:
    """Give a person another name."""
    from visavis.gallery import open_gallery

    with open_gallery(location, None) as opened:
        opened.rename(subject, name, actor=actor)
    print_json({"renamed": subject, "name": name}) if as_json else click.echo(f"renamed {subject} to {name}")


@click.command(epilog="Example: visavis gallery merge door.gallery annie --into anna")
@maintenance
@click.argument("subject")
@click.option("--into", required=True, help="The person who gets the references.")
def merge(location: str, subject: str, into: str, *, actor: str, as_json: bool) -> None:
    """Move all references of a person to another one, and delete the first."""
    from visavis.gallery import open_gallery

    with open_gallery(location, None) as opened:
        count = opened.merge(subject, into, actor=actor)
    print_json({"merged": subject, "into": into, "references": count}) if as_json else click.echo(
        f"{into}: {counted(count, 'reference')}"
    )


@click.command(epilog="Example: visavis gallery log door.gallery --json")
@location_argument
@click.option("--after", type=int, default=0, help="Start after the entry with this number.")
@click.option("--limit", type=click.IntRange(min=1), default=1000, show_default=True, help="Maximum number of entries.")
@json_option
def log(location: str, *, as_json: bool, **page: Any) -> None:
    """Print the log of a gallery.

    Subjects appear by number; the names of deleted people are not kept.
    """
    from visavis.gallery.opening import open_file

    with open_file(location) as opened:
        entries = opened.log(**page)
    print_json({"log": [entry.to_json() for entry in entries]}) if as_json else click.echo("\n".join(map(str, entries)))


@click.command(epilog="Example: visavis gallery backup door.gallery copies/monday.gallery")
@maintenance
@out_argument
def backup(location: str, out: Path, *, actor: str, as_json: bool) -> None:
    """Copy a gallery to a new file while others use it.

    The copy is encrypted. The key file is not part of it.
    """
    from visavis.gallery import back_up
    from visavis.gallery.opening import open_file

    with open_file(location) as opened:
        back_up(opened, out, actor=actor)
    print_json({"backup": str(out)}) if as_json else click.echo(out)


@click.command(epilog="Example: visavis gallery check door.gallery && echo intact")
@location_argument
@json_option
def check(location: str, *, as_json: bool) -> None:
    """Check that a gallery is intact.

    Reads all pages, keys and embeddings. Exit codes: 0 intact, 2 damaged.
    """
    from visavis.gallery.opening import open_file

    with open_file(location) as opened:
        opened.check()
        count = len(opened)
    print_json({"references": count, "intact": True}) if as_json else click.echo(f"intact: {counted(count, 'reference')}")


@click.command(epilog="Example: visavis gallery export door.gallery door.zip")
@maintenance
@out_argument
def export(location: str, out: Path, *, actor: str, as_json: bool) -> None:
    """Export a gallery to a new ZIP, unencrypted.

    It holds JSON, embeddings and photos that other programs can read.
    """
    from visavis.gallery import export_gallery
    from visavis.gallery.opening import open_file

    with open_file(location) as opened:
        count = export_gallery(opened, out, actor=actor)
    print_json({"export": str(out), "references": count}) if as_json else click.echo(f"{counted(count, 'reference')}: {out}")


@click.command("import", epilog="Example: visavis gallery import new.gallery door.zip")
@maintenance
@click.argument("source", type=click.Path(path_type=Path))
@model_option
def import_file(location: str, source: Path, *, model: str, actor: str, as_json: bool) -> None:
    """Enrol everybody from an exported ZIP.

    The gallery is created if missing.
    """
    from visavis.encoders import load_encoder
    from visavis.gallery import import_gallery, open_gallery

    with open_gallery(location, load_encoder(model)) as opened:
        count = import_gallery(opened, source, actor=actor)
    print_json({"references": count}) if as_json else click.echo(f"enrolled {counted(count, 'reference')}")


@click.command(epilog=f"Example: {NEW_KEY_VARIABLE}=$(openssl rand -hex 32) visavis gallery rotate-key door.gallery")
@maintenance
def rotate_key(location: str, *, actor: str, as_json: bool) -> None:
    """Set or change the key of a gallery, and encrypt everything again.

    The new key is read from VISAVIS_GALLERY_NEW_KEY, the current one from VISAVIS_GALLERY_KEY.
    """
    from visavis.gallery import rotate
    from visavis.gallery.opening import open_file

    key = os.environ.get(NEW_KEY_VARIABLE)
    if not key:
        raise GalleryKeyError(f"{NEW_KEY_VARIABLE} must hold the new key; create one with: openssl rand -hex 32")
    with open_file(location) as opened:
        rotate(opened, key, actor=actor)
        count = len(opened)
    print_json({"references": count}) if as_json else click.echo(f"encrypted {counted(count, 'reference')} with the new key")


@click.command(epilog="Example: visavis gallery reembed door.gallery --model new.onnx")
@maintenance
@click.option("--drop", is_flag=True, help="Delete references without a stored photo, or without a face in it.")
@options(model_option, acquisition_options, quiet_option)
def reembed(location: str, *, model: str, drop: bool, quiet: bool, actor: str, as_json: bool, **verifier: Any) -> None:
    """Recompute all embeddings with another encoder.

    This needs the photos, which enrol stores with --keep-photos.
    """
    from visavis.gallery.searching import reembed_photos

    result = reembed_photos(location, open_verifier(model, **verifier), drop=drop, actor=actor)
    print_note(f"from now on, open it with: --model {model}", quiet=quiet)
    print_json(result.to_json()) if as_json else click.echo(str(result))


gallery.add_section("People", enrol, search, verify, list_subjects, remove, rename, merge, delete)
gallery.add_section("Maintenance", log, check, backup, export, import_file, rotate_key, reembed)
