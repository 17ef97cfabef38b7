"""Pages of results, as folders of HTML and pictures that open without a server."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image

from visavis.albums.finding import FaceDecision, FoundPeople
from visavis.albums.pictures import annotate, save_jpeg
from visavis.albums.reading import ReadingSettings, open_album, photo_pixels
from visavis.files import atomic_write, make_private_folder
from visavis.images import Pixels

__all__ = ["render", "write_annotated", "write_found_page"]

_SIDE = 800


def write_found_page(found: FoundPeople, photos: Path | str, out: Path, settings: ReadingSettings) -> Path:
    """Write a page with every photo of known people, and boxes with names; return the file.

    Args:
        found: What `find_people` returned.
        photos: The photos that it was called with.
        out: The folder of the page.
        settings: Their limits bound what is decoded.
    """
    make_private_folder(out)
    shown = []
    for number, (faces, pixels) in enumerate(_photos_with_names(found, photos, settings)):
        name = f"photos/{number:05d}.jpg"
        save_jpeg(Image.fromarray(pixels), out / name, side=_SIDE)
        height, width = pixels.shape[:2]
        shown.append({"file": name, "photo": faces[0].photo, "boxes": [_box(face, width, height) for face in faces if face.box]})
    values = {"photos": shown, "people": found.photos_of, "summary": found.describe(), "failures": found.failures}
    return render(out / "index.html", "find.html", title="People in photos", **values)


def write_annotated(found: FoundPeople, photos: Path | str, out: Path, settings: ReadingSettings) -> int:
    """Write a copy of every photo of known people, with boxes and names drawn on it; return how many."""
    make_private_folder(out)
    count = 0
    for faces, pixels in _photos_with_names(found, photos, settings):
        labels = [(face.box, face.subject or "") for face in faces if face.box is not None]
        stem = faces[0].photo.rpartition("/")[2].rpartition(".")[0] or "photo"
        save_jpeg(annotate(pixels, labels), out / f"{count:05d}-{stem[:100]}.jpg", quality=92)
        count += 1
    return count


def _photos_with_names(
    found: FoundPeople, photos: Path | str, settings: ReadingSettings
) -> Iterator[tuple[list[FaceDecision], Pixels]]:
    """Decode the photos of known people, one at a time."""
    with open_album(photos, settings) as files:
        for photo, group in groupby(found.faces, key=lambda face: face.photo):
            faces = list(group)
            if any(face.subject is not None for face in faces):
                yield faces, photo_pixels(photo, files, settings)


def _box(face: FaceDecision, width: int, height: int) -> dict[str, Any]:
    """Return a box in percent of its photo."""
    assert face.box is not None
    left, top, box_width, box_height = face.box
    return {
        "left": round(100 * left / width, 3),
        "top": round(100 * top / height, 3),
        "width": round(100 * box_width / width, 3),
        "height": round(100 * box_height / height, 3),
        "name": face.subject or "",
        "score": None if face.score is None else f"{face.score:.2f}",
        "warnings": "; ".join(face.warnings),
    }


def render(path: Path, template: str, **values: Any) -> Path:
    """Write a page that only its owner may read."""
    loader = jinja2.ChoiceLoader([jinja2.PackageLoader("visavis.albums"), jinja2.PackageLoader("visavis.evaluation")])
    html = jinja2.Environment(loader=loader, autoescape=True).get_template(template).render(**values)
    with atomic_write(path, private=True) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path
