"""The review page of a sorted album: faces by person, to name, merge, split and reject; it opens without a server."""

import shlex
from pathlib import Path
from typing import Any

import numpy as np

from visavis.albums.pages import render
from visavis.albums.sorting import Album
from visavis.albums.tables import MOST_THUMBNAILS
from visavis.files import atomic_write, make_private_folder
from visavis.wording import counted

__all__ = ["MOST_FACES", "write_review"]

MOST_FACES = 20_000
"""How many faces the page shows; a browser needs seconds for more."""
_THUMBNAILS = "thumbnails"


def write_review(album: Album, photos: Path | str, out: Path) -> Path:
    """Write the page and the pictures of the faces; return the file.

    Args:
        album: What `sort_photos` returned, with thumbnails.
        photos: The photos, or the table, that it was called with.
        out: The folder of the album.
    """
    make_private_folder(out / _THUMBNAILS)
    groups = _groups(album)
    for face in (face for group in groups for face in group["faces"] if face["file"]):
        with atomic_write(out / face["file"], private=True) as temporary:
            temporary.write_bytes(album.faces.thumbnails[face["place"]])
    command = shlex.join(["visavis", "sort", str(photos), "--out", str(out), "--names", "names.csv"])
    summary = [*album.describe(), *_left_out(album, groups)]
    return render(out / "index.html", "sort.html", title="Album", summary=summary, groups=groups, command=command)


def _left_out(album: Album, groups: list[dict[str, Any]]) -> list[str]:
    """Return what the page does not show, a line each."""
    faces = [face for group in groups for face in group["faces"]]
    lines = []
    if len(faces) < len(album.faces):
        lines.append(f"This page shows {len(faces):,} of {len(album.faces):,} faces, of the largest groups; faces.csv lists all.")
    if missing := sum(not face["file"] for face in faces):
        lines.append(
            f"{counted(missing, 'face')} without a picture: those of a table get one if the photos are still there and the album "
            f"has at most {MOST_THUMBNAILS:,} faces."
        )
    return lines


def _file(album: Album, place: int) -> str:
    return f"{_THUMBNAILS}/{place:07d}.jpg" if album.faces.thumbnails[place] else ""


def _groups(album: Album) -> list[dict[str, Any]]:
    """Return people with their faces, named ones and larger ones first, then those seen once, then faces that are not sure.

    Of very many faces, those are left out that would come last.
    """
    members: dict[int, list[int]] = {}
    for place, group in enumerate(album.groups):
        members.setdefault(int(group), []).append(place)
    groups = [
        {"title": f"Person {group + 1}", "name": album.names[places[0]] or "", "hint": "", "faces": _faces(album, places)}
        for group, places in sorted(members.items())
        if group >= 0
    ]
    groups.sort(key=lambda group: not group["name"])
    if -1 in members:
        hint = "Faces that may belong to a person above, or that are too small or blurred. Choose one to name it."
        groups.append({"title": "Not sure", "name": "", "hint": hint, "faces": _faces(album, members[-1])})
    ends = np.cumsum([len(group["faces"]) for group in groups])
    return groups[: int(np.searchsorted(ends, max(MOST_FACES, int(ends[0])), side="right"))] if groups else []


def _faces(album: Album, places: list[int]) -> list[dict[str, Any]]:
    return [
        {
            "place": place,
            "key": f"{album.faces.photos[place]}#{album.faces.numbers[place]}",
            "file": _file(album, place),
            "warnings": "; ".join(album.faces.warnings[place]),
            "note": f"perhaps person {album.nearest[place] + 1}" if album.nearest[place] >= 0 else "",
        }
        for place in places
    ]
