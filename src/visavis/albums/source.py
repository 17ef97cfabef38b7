"""What an album was sorted from, kept in its folder: it can be opened again without repeating the options."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from visavis.albums.reading import ReadingSettings
from visavis.data.objects import is_uri
from visavis.errors import DataError
from visavis.faces import AcquisitionSettings, FaceFinder
from visavis.files import atomic_write
from visavis.images import Limits

__all__ = ["AlbumSource"]

_FILE = "album.json"


@dataclass(frozen=True)
class AlbumSource:
    """The arguments of `sort_photos`.

    Attributes:
        photos: The photos or the table; absolute, or a URI.
        precision: The expected share of pairs of faces within groups that are of one person.
        settings: How photos become faces.
    """

    photos: str
    precision: float
    settings: ReadingSettings

    @classmethod
    def of(cls, photos: Path | str, precision: float, settings: ReadingSettings) -> "AlbumSource":
        """Return the arguments, with a path that holds in any working directory."""
        model = Path(settings.model)
        settings = replace(settings, model=str(model.absolute()) if model.exists() else settings.model)
        return cls(str(photos) if is_uri(photos) else str(Path(photos).absolute()), precision, settings)

    def write(self, album: Path) -> None:
        """Write them into the folder of an album; a detector other than `FaceFinder` is not kept."""
        acquisition = self.settings.acquisition
        content = {
            "photos": self.photos,
            "precision": self.precision,
            "model": self.settings.model,
            "fallback": acquisition.fallback,
            "finder": asdict(acquisition.finder) if isinstance(acquisition.finder, FaceFinder) else None,
            "limits": asdict(acquisition.limits),
        }
        with atomic_write(album / _FILE, private=True) as path:
            path.write_text(json.dumps(content, indent=1))

    @classmethod
    def read(cls, album: Path) -> "AlbumSource":
        """Read them from the folder of an album.

        Raises:
            DataError: If there is no album.
        """
        path = album / _FILE
        try:
            content: dict[str, Any] = json.loads(path.read_text())
            finder = FaceFinder() if content["finder"] is None else FaceFinder(**content["finder"])
            acquisition = AcquisitionSettings("all", content["fallback"], finder, Limits(**content["limits"]))
            return cls(
                content["photos"],
                content["precision"],
                ReadingSettings(content["model"], acquisition, thumbnails=True, videos=False),
            )
        except FileNotFoundError as error:
            raise DataError(f"{album}: not an album. Make one with: visavis sort PHOTOS --out {album}") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: damaged ({error}). Write it again with: visavis sort PHOTOS --out {album}") from error
