"""An album that is open for review: each name that is given changes its groups and is saved at once."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from visavis.albums.naming import Names, check_label, read_names, write_people
from visavis.albums.review import render_review, write_review
from visavis.albums.sorting import FACES, NAMES, Album, group_faces, sort_photos
from visavis.albums.source import AlbumSource
from visavis.encoders import load_encoder
from visavis.errors import DataError

__all__ = ["AlbumReview"]


class AlbumReview:
    """An open album; several threads may use it.

    Attributes:
        folder: Its folder.
        album: Its faces and groups at the moment.
    """

    def __init__(self, folder: Path, *, settings: AlbumSource | None = None, progress: bool = False) -> None:
        """Open an album that `sort_photos` wrote; new photos are read and join it.

        Args:
            folder: The folder of the album.
            settings: What it is sorted from; None: what it was sorted from.
            progress: Whether to show a bar on standard error.

        Raises:
            DataError: If there is no album, or its photos are not there any more.
        """
        self.folder, self._source = folder, settings or AlbumSource.read(folder)
        self._settings = replace(self._source.settings, progress=progress)
        self._card = load_encoder(self._settings.model).card
        self.album = sort_photos(self._source.photos, folder, settings=self._settings, precision=self._source.precision)
        self._keys = frozenset(self.album.faces.keys)
        self._pictures = {place: picture for place, picture in enumerate(self.album.faces.thumbnails) if picture}
        self._lock = threading.Lock()

    def page(self) -> str:
        """Return the page as it is served."""
        return render_review(self.album, self._source.photos, self.folder, served=True)

    def picture(self, place: int) -> bytes | None:
        """Return the JPEG of a face by its place in the album; None: it has none."""
        return self._pictures.get(place)

    def save(self, changes: Mapping[str, str]) -> Album:
        """Change the names of faces, sort again, and write names, tables, page and the folder of people.

        Args:
            changes: New names by the keys of faces; `-`: the face is not to be sorted; empty: it has no name.

        Raises:
            DataError: If a face is not in the album, or a name cannot be used.
        """
        checked = {key: self._check(key, name) for key, name in changes.items()}
        with self._lock:
            path = self.folder / NAMES
            names = read_names(path) if path.is_file() else None  # another command may have changed them
            names = (names or self.album.given).updated(Names.of(checked))
            album = group_faces(self.album.faces, self._card, precision=self._source.precision, names=names)
            names.write(path)
            self.album = album
            album.write_csv(self.folder / FACES)
            write_review(album, self._source.photos, self.folder)
            write_people(self.folder / "people", album.faces, album.names, self._source.photos, self._settings)
        return album

    def _check(self, key: str, name: str) -> str:
        if key not in self._keys:
            raise DataError(f"no face {key!r} in the album")
        try:
            return check_label(name)
        except ValueError as error:
            raise DataError(str(error)) from error
