"""Pages of results, as folders of HTML and pictures that open without a server."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image

from visavis.albums.finding import FaceDecision, FoundPeople
from visavis.albums.pictures import annotate, save_jpeg
from visavis.albums.reading import ReadingSettings
from visavis.albums.tables import open_pictures
from visavis.files import atomic_write, make_private_folder
from visavis.images import Pixels
from visavis.wording import counted

__all__ = ["MOST_PHOTOS", "render", "render_html", "write_annotated", "write_found_page"]

MOST_PHOTOS = 2000
"""How many photos a page shows; a browser needs seconds for more."""
_SIDE = 800


def write_found_page(found: FoundPeople, photos: Path | str, out: Path, settings: ReadingSettings) -> Path:
    """Write a page with photos of known people, and boxes with names; return the file.

    The photos of a table that are not there any more are listed without a picture.

    Args:
        found: What `find_people` returned.
        photos: The photos, or the table, that it was called with.
        out: The folder of the page.
        settings: Their limits bound what is decoded.
    """
    make_private_folder(out)
    shown = []
    for number, (faces, pixels) in enumerate(islice(_photos_with_names(found, photos, settings), MOST_PHOTOS)):
        name = f"photos/{number:05d}.jpg"
        if pixels is not None:
            save_jpeg(Image.fromarray(pixels), out / name, side=_SIDE)
        height, width = (1, 1) if pixels is None else pixels.shape[:2]
        boxes = [_box(face, width, height) for face in faces if face.box or face.subject]
        shown.append({"file": None if pixels is None else name, "photo": faces[0].photo, "boxes": boxes})
    values = {"photos": shown, "people": found.photos_of, "summary": [*found.describe(), *_left_out(found, shown)]}
    return render(out / "index.html", "find.html", title="People in photos", **values)


def _left_out(found: FoundPeople, shown: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what the page does not show, a line each."""
    lines, photos = [], len({face.photo for face in found.named})
    if photos > len(shown):
        lines.append(
            f"This page shows the first {len(shown):,} of {counted(photos, 'photo')} of known people; faces.csv lists all."
        )
    if missing := sum(photo["file"] is None for photo in shown):
        lines.append(f"{counted(missing, 'photo')} cannot be read any more below {found.intake.root}: listed without a picture.")
    return lines


def write_annotated(found: FoundPeople, photos: Path | str, out: Path, settings: ReadingSettings) -> int:
    """Write a copy of every photo of known people, with boxes and names drawn on it; return how many.

    Photos of a table that are not there any more are left out.
    """
    make_private_folder(out)
    count = 0
    for faces, pixels in _photos_with_names(found, photos, settings):
        if pixels is None:
            continue
        labels = [(face.box, face.subject or "") for face in faces if face.box is not None]
        stem = faces[0].photo.rpartition("/")[2].rpartition(".")[0] or "photo"
        save_jpeg(annotate(pixels, labels), out / f"{count:05d}-{stem[:100]}.jpg", quality=92)
        count += 1
    return count


def _photos_with_names(
    found: FoundPeople, photos: Path | str, settings: ReadingSettings
) -> Iterator[tuple[list[FaceDecision], Pixels | None]]:
    """Decode the photos of known people, one at a time."""
    with open_pictures(photos, found.intake.root, settings) as picture:
        for photo, group in groupby(found.faces, key=lambda face: face.photo):
            faces = list(group)
            if any(face.subject is not None for face in faces):
                yield faces, picture(photo)


def _box(face: FaceDecision, width: int, height: int) -> dict[str, Any]:
    """Return a box in percent of its photo; without one, all of it."""
    left, top, box_width, box_height = face.box or (0, 0, width, height)
    return {
        "left": round(100 * left / width, 3),
        "top": round(100 * top / height, 3),
        "width": round(100 * box_width / width, 3),
        "height": round(100 * box_height / height, 3),
        "name": face.subject or "",
        "score": None if face.score is None else f"{face.score:.2f}",
        "warnings": "; ".join(face.warnings),
    }


def render_html(template: str, **values: Any) -> str:
    """Return a page."""
    loader = jinja2.ChoiceLoader([jinja2.PackageLoader("visavis.albums"), jinja2.PackageLoader("visavis.evaluation")])
    return jinja2.Environment(loader=loader, autoescape=True).get_template(template).render(**values)


def render(path: Path, template: str, **values: Any) -> Path:
    """Write a page that only its owner may read."""
    html = render_html(template, **values)
    with atomic_write(path, private=True) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path
