"""The review page of a sorted album: faces by person, to name, merge, split and reject; it opens without a server."""

import shlex
from pathlib import Path
from typing import Any

from visavis.albums.pages import render
from visavis.albums.sorting import Album
from visavis.files import atomic_write, make_private_folder

__all__ = ["write_review"]

_THUMBNAILS = "thumbnails"


def write_review(album: Album, photos: Path | str, out: Path) -> Path:
    """Write the page and the pictures of the faces; return the file.

    Args:
        album: What `sort_photos` returned, with thumbnails.
        photos: The photos that it was called with.
        out: The folder of the album.
    """
    make_private_folder(out / _THUMBNAILS)
    for place, picture in enumerate(album.faces.thumbnails):
        with atomic_write(out / _file(place), private=True) as temporary:
            temporary.write_bytes(picture)
    command = shlex.join(["visavis", "sort", str(photos), "--out", str(out), "--names", "names.csv"])
    return render(out / "index.html", "sort.html", title="Album", summary=album.describe(), groups=_groups(album), command=command)


def _file(place: int) -> str:
    return f"{_THUMBNAILS}/{place:07d}.jpg"


def _groups(album: Album) -> list[dict[str, Any]]:
    """Return people with their faces, named ones and larger ones first, then those seen once, then faces that are not sure."""
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
    return groups


def _faces(album: Album, places: list[int]) -> list[dict[str, str]]:
    return [
        {
            "key": album.faces.keys[place],
            "file": _file(place),
            "warnings": "; ".join(album.faces.warnings[place]),
            "note": f"perhaps person {album.nearest[place] + 1}" if album.nearest[place] >= 0 else "",
        }
        for place in places
    ]
