"""The review page of a sorted album: faces by person, to name, merge, split and reject; it opens with or without a server."""

import hashlib
import shlex
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from visavis.albums.pages import render_html
from visavis.albums.sorting import Album
from visavis.albums.tables import MOST_THUMBNAILS
from visavis.files import atomic_write, make_private_folder
from visavis.wording import counted

__all__ = ["MOST_FACES", "render_review", "write_review"]

MOST_FACES = 20_000
"""How many faces the page shows; a browser needs seconds for more."""
_REJECTED = -2  # stands for the number of a group
_THUMBNAILS = "thumbnails"


def write_review(album: Album, photos: Path | str, out: Path) -> Path:
    """Write the page and the pictures of the faces; return the file.

    Args:
        album: What `sort_photos` returned, with thumbnails.
        photos: The photos, or the table, that it was called with.
        out: The folder of the album.
    """
    make_private_folder(out / _THUMBNAILS)
    pictures = {out / name: place for place in range(len(album.faces)) if (name := _file(album, place))}
    for file, place in pictures.items():
        if not file.is_file():
            with atomic_write(file, private=True) as temporary:
                temporary.write_bytes(album.faces.thumbnails[place])
    for file in set((out / _THUMBNAILS).glob("*.jpg")) - set(pictures):
        file.unlink()
    with atomic_write(out / "index.html", private=True) as temporary:
        temporary.write_text(render_review(album, photos, out), encoding="utf-8")
    return out / "index.html"


def render_review(album: Album | None, photos: Path | str, out: Path, *, served: bool = False) -> str:
    """Return the page.

    Args:
        album: The album; None: none, for the parts of the page that are the same for all.
        photos: Its photos, or its table.
        out: Its folder.
        served: Whether a server saves the names; otherwise the browser saves them as a file.
    """
    groups = [] if album is None else _groups(album, served=served)
    return render_html(
        "sort.html",
        title="Album",
        summary=[""] if album is None else [*album.describe(), *_left_out(album, groups)],
        groups=groups,
        served=served,
        named=album is not None and any(album.names),
        command=shlex.join(["visavis", "sort", str(photos), "--out", str(out), "--names", "names.csv"]),
        people=shlex.quote(str(out / "people")),
    )


def _served(album: Album, place: int) -> str:
    return f"{_THUMBNAILS}/{place}" if album.faces.thumbnails[place] else ""


def _left_out(album: Album, groups: list[dict[str, Any]]) -> list[str]:
    """Return what the page does not show, a line each."""
    faces = [face for group in groups for face in group["faces"]]
    lines = []
    if len(faces) < len(album.faces):
        lines.append(
            f"This page shows {len(faces):,} of {counted(len(album.faces), 'face')}, of the largest groups; faces.csv lists all."
        )
    if missing := sum(not face["file"] for face in faces):
        lines.append(
            f"{counted(missing, 'face')} without a picture: those of a table get one if the photos are still there and the album "
            f"has at most {counted(MOST_THUMBNAILS, 'face')}."
        )
    return lines


def _file(album: Album, place: int) -> str:
    """Return the file of a thumbnail, named by its content; empty: there is none."""
    picture = album.faces.thumbnails[place]
    return f"{_THUMBNAILS}/{hashlib.sha256(picture).hexdigest()[:20]}.jpg" if picture else ""


def _groups(album: Album, *, served: bool) -> list[dict[str, Any]]:
    """Return people with their faces, named ones and larger ones first, then those seen once, then faces that are not sure.

    Of very many faces, those are left out that would come last.
    """
    faces, members = partial(_faces, album, served=served), dict[int, list[int]]()
    keys, rejected = album.faces.keys, album.given.rejected
    for place, group in enumerate(album.groups):
        members.setdefault(_REJECTED if keys[place] in rejected else int(group), []).append(place)
    groups = [
        {"title": f"Person {group + 1}", "name": album.names[places[0]] or "", "hint": "", "faces": faces(places)}
        for group, places in sorted(members.items())
        if group >= 0
    ]
    groups.sort(key=lambda group: not group["name"])
    if -1 in members:
        hint = "Faces that may belong to a person above, or that are too small or blurred. Choose one to name it."
        groups.append({"title": "Not sure", "name": "", "hint": hint, "faces": faces(members[-1])})
    if _REJECTED in members:
        groups.append({"title": "Not in the album", "name": "", "hint": "", "faces": faces(members[_REJECTED])})
    ends = np.cumsum([len(group["faces"]) for group in groups])
    return groups[: int(np.searchsorted(ends, max(MOST_FACES, int(ends[0])), side="right"))] if groups else []


def _faces(album: Album, places: list[int], *, served: bool) -> list[dict[str, Any]]:
    return [
        {
            "key": f"{album.faces.photos[place]}#{album.faces.numbers[place]}",
            "file": _served(album, place) if served else _file(album, place),
            "warnings": "; ".join(album.faces.warnings[place]),
            "note": f"perhaps person {album.nearest[place] + 1}" if album.nearest[place] >= 0 else "",
        }
        for place in places
    ]
