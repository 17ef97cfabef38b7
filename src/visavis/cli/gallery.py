"""Commands on galleries: enrol, search, verify, delete, list, log, backup, check, export, import, rotate, reembed."""

import getpass
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from visavis.cli.options import (
    acquisition_options,
    json_option,
    model_option,
    options,
    print_json,
    quiet_option,
    rule_options,
    say,
    warn,
)
from visavis.errors import GalleryKeyError

__all__ = ["gallery"]

FOUND, NOBODY = 0, 1
NEW_KEY_VARIABLE = "VISAVIS_GALLERY_NEW_KEY"

location_argument = click.argument("location", metavar="GALLERY")
out_argument = click.argument("out", type=click.Path(path_type=Path))
actor_option = click.option(
    "--actor", default=lambda: getpass.getuser(), show_default="your account", help="Who asks for it, for the gallery's log."
)


@click.group(
    epilog="A key in VISAVIS_GALLERY_KEY (openssl rand -hex 32) encrypts embeddings and photos in a new gallery, and opens it."
)
def gallery() -> None:
    """People enrolled in a file: find out who it is, verify, delete.

    \b
    visavis gallery enrol door.gallery people/                        one sub-folder per person
    visavis gallery search door.gallery who.jpg --target-fpir 0.01    who is it?
    """  # noqa: D301 - click asks for the character itself


def managing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the gallery and an actor, without an encoder: it looks after the gallery only."""
    return options(location_argument, actor_option, json_option)(command)


@gallery.command(epilog="Example: visavis gallery enrol door.gallery anna-1.jpg anna-2.jpg --subject anna")
@location_argument
@click.argument("photos", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--subject", help="Whose photos they are; without it, PHOTOS is a folder (or .tar, .zip) with one sub-folder per person."
)
@click.option("--keep-photos", is_flag=True, help="Keep the photos in the gallery, so that another encoder can embed them later.")
@options(model_option, acquisition_options, actor_option, quiet_option, json_option)
def enrol(
    location: str, photos: tuple[Path, ...], *, subject: str | None, model: str, quiet: bool, as_json: bool, **settings: Any
) -> None:
    """Put people into GALLERY, which is made if there is none. Only embeddings are kept, unless asked otherwise."""
    from visavis.gallery import open_gallery
    from visavis.gallery.enrolling import enrol_folder, enrol_photos
    from visavis.images import IMAGE_SUFFIXES
    from visavis.verification import Verifier

    if subject is None and (len(photos) > 1 or photos[0].suffix.lower() in IMAGE_SUFFIXES):
        raise click.UsageError("photos need the name of their person (--subject NAME); or give one folder of people")
    how = {name: settings.pop(name) for name in ("keep_photos", "actor")}
    verifier = Verifier(model, **settings)
    with open_gallery(location, verifier.encoder) as opened:
        if subject is None:
            result = enrol_folder(opened, verifier, photos[0], progress=not quiet, **how)
        else:
            result = enrol_photos(opened, verifier, subject, photos, **how)
    if as_json:
        print_json(result.to_json())
    else:
        click.echo(str(result))
        warn(f"{photo}: {text}" for photo, text in result.warnings)


@gallery.command(epilog="Example: visavis gallery search door.gallery who.jpg --target-fpir 0.01 && echo known")
@location_argument
@click.argument("photo", type=click.Path(path_type=Path))
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="How many people at most.")
@click.option("--threshold", type=float, help="The least comparison score.")
@click.option("--target-fpir", type=float, help="Choose the threshold so that this part of strangers finds somebody, at this size.")
@options(model_option, acquisition_options, json_option)
@click.pass_context
def search(context: click.Context, /, location: str, photo: Path, *, model: str, as_json: bool, **settings: Any) -> None:
    """Find out who in GALLERY is most alike. Exits with 0 if somebody is found, 1 if nobody is, 2 on an error."""
    from visavis.gallery.searching import search_photo
    from visavis.verification import Verifier

    how = {name: settings.pop(name) for name in ("top", "threshold", "target_fpir")}
    found = search_photo(location, Verifier(model, **settings), photo, **how)
    if as_json:
        print_json(found.to_json())
    else:
        click.echo(str(found))
        warn(f"{photo}: {text}" for text in found.face.warnings)
    context.exit(FOUND if found.hits else NOBODY)


@gallery.command(epilog="Example: visavis gallery verify door.gallery anna who.jpg && echo it is Anna")
@location_argument
@click.argument("subject")
@click.argument("photo", type=click.Path(path_type=Path))
@options(model_option, rule_options, acquisition_options, json_option)
@click.pass_context
def verify(
    context: click.Context, /, location: str, subject: str, photo: Path, *, model: str, as_json: bool, **verifier: Any
) -> None:
    """Tell whether PHOTO shows SUBJECT, by the best of their references. Exits with 0 if so, 1 if not, 2 on an error."""
    from visavis.gallery.searching import verify_photo
    from visavis.verification import Verifier

    hit, verdict = verify_photo(location, Verifier(model, **verifier), subject, photo)
    if as_json:
        print_json({"subject": subject, "reference": hit.reference, "photo": str(photo), **verdict.to_json()})
    else:
        click.echo(f"{verdict.answer} ({verdict.figures})")
        warn(verdict.warnings)
    context.exit(FOUND if verdict.same else NOBODY)


@gallery.command(epilog="Example: visavis gallery delete door.gallery anna berta")
@managing
@click.argument("subjects", nargs=-1, required=True)
def delete(location: str, subjects: tuple[str, ...], *, actor: str, as_json: bool) -> None:
    """Delete SUBJECTS with all that the gallery has of them; nothing of it is left in the file."""
    from visavis.gallery import open_gallery

    with open_gallery(location, None) as opened:
        deleted = {subject: opened.delete(subject, actor=actor) for subject in subjects}
    if as_json:
        print_json({"deleted": deleted})
    else:
        click.echo("\n".join(f"deleted {subject}: {count} references" for subject, count in deleted.items()))


@gallery.command("list", epilog="Example: visavis gallery list door.gallery --limit 20 --after anna")
@location_argument
@click.option("--after", help="Begin after this name.")
@click.option("--limit", type=click.IntRange(min=1), default=1000, show_default=True, help="How many people at most.")
@json_option
def list_subjects(location: str, *, after: str | None, limit: int, as_json: bool) -> None:
    """List the people in GALLERY by name."""
    from visavis.gallery import open_gallery

    with open_gallery(location, None) as opened:
        subjects, count = opened.subjects(after=after, limit=limit), len(opened)
    if as_json:
        print_json({"references": count, "subjects": [subject.to_json() for subject in subjects]})
        return
    for subject in subjects:
        click.echo(f"{subject.name}: {len(subject.references)} references, enrolled {subject.created}")


@gallery.command(epilog="Example: visavis gallery log door.gallery --json")
@location_argument
@click.option("--after", type=int, default=0, help="Begin after the entry of this number.")
@click.option("--limit", type=click.IntRange(min=1), default=1000, show_default=True, help="How many entries at most.")
@json_option
def log(location: str, *, as_json: bool, **page: Any) -> None:
    """Tell who did what to GALLERY. Deleted people stand in it by number alone."""
    from visavis.gallery.opening import open_file

    with open_file(location) as opened:
        entries = opened.log(**page)
    print_json({"log": [entry.to_json() for entry in entries]}) if as_json else click.echo("\n".join(map(str, entries)))


@gallery.command(epilog="Example: visavis gallery backup door.gallery copies/monday.gallery")
@managing
@out_argument
def backup(location: str, out: Path, *, actor: str, as_json: bool) -> None:
    """Write a copy of GALLERY to OUT, a new file, while others use it. Encrypted stays encrypted."""
    from visavis.gallery import back_up
    from visavis.gallery.opening import open_file

    with open_file(location) as opened:
        back_up(opened, out, actor=actor)
    print_json({"backup": str(out)}) if as_json else click.echo(out)


@gallery.command(epilog="Example: visavis gallery check door.gallery && echo sound")
@location_argument
@json_option
def check(location: str, *, as_json: bool) -> None:
    """Look through all of GALLERY: pages, keys and every embedding. Exits with 2 if something is wrong."""
    from visavis.gallery.opening import open_file

    with open_file(location) as opened:
        opened.check()
        count = len(opened)
    print_json({"references": count, "sound": True}) if as_json else click.echo(f"sound: {count:,} references")


@gallery.command(epilog="Example: visavis gallery export door.gallery door.zip")
@managing
@out_argument
def export(location: str, out: Path, *, actor: str, as_json: bool) -> None:
    """Write all of GALLERY to OUT, a new ZIP of JSON, embeddings and photos. Nothing in it is encrypted."""
    from visavis.gallery import export_gallery
    from visavis.gallery.opening import open_file

    with open_file(location) as opened:
        count = export_gallery(opened, out, actor=actor)
    print_json({"export": str(out), "references": count}) if as_json else click.echo(f"{count:,} references: {out}")


@gallery.command("import", epilog="Example: visavis gallery import new.gallery door.zip")
@managing
@click.argument("source", type=click.Path(path_type=Path))
@model_option
def import_file(location: str, source: Path, *, model: str, actor: str, as_json: bool) -> None:
    """Enrol everybody in SOURCE, a file of export, in GALLERY, which is made if there is none."""
    from visavis.encoders import load_encoder
    from visavis.gallery import import_gallery, open_gallery

    with open_gallery(location, load_encoder(model)) as opened:
        count = import_gallery(opened, source, actor=actor)
    print_json({"references": count}) if as_json else click.echo(f"enrolled {count:,} references")


@gallery.command(epilog=f"Example: {NEW_KEY_VARIABLE}=$(openssl rand -hex 32) visavis gallery rotate door.gallery")
@managing
def rotate(location: str, *, actor: str, as_json: bool) -> None:
    """Encrypt GALLERY with the key in VISAVIS_GALLERY_NEW_KEY in the place of the old one, or for the first time."""
    from visavis.gallery import rotate as rotate_key
    from visavis.gallery.opening import open_file

    key = os.environ.get(NEW_KEY_VARIABLE)
    if not key:
        raise GalleryKeyError(f"put the new key into {NEW_KEY_VARIABLE}. Make one with: openssl rand -hex 32")
    with open_file(location) as opened:
        rotate_key(opened, key, actor=actor)
        count = len(opened)
    print_json({"references": count}) if as_json else click.echo(f"encrypted {count:,} references with the new key")


@gallery.command(epilog="Example: visavis gallery reembed door.gallery --model new.onnx")
@managing
@click.option("--drop", is_flag=True, help="Delete references of which no photo was kept, or in which no face is found.")
@options(model_option, acquisition_options, quiet_option)
def reembed(location: str, *, model: str, drop: bool, quiet: bool, actor: str, as_json: bool, **verifier: Any) -> None:
    """Give GALLERY to another encoder: all embeddings are made again from the photos that were kept (enrol --keep-photos)."""
    from visavis.gallery.searching import reembed_photos
    from visavis.verification import Verifier

    result = reembed_photos(location, Verifier(model, **verifier), drop=drop, actor=actor)
    say(f"open it from now on with: --model {model}", quiet=quiet)
    print_json(result.to_json()) if as_json else click.echo(str(result))
