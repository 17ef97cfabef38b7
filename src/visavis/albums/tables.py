"""The faces of a table of embeddings that `visavis embed` wrote, in place of photos that are read."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from visavis.albums.faces import AlbumFaces, Failure, join_faces
from visavis.albums.reading import ReadingSettings, open_album, photo_pixels, read_faces, thumbnail
from visavis.data import Intake
from visavis.encoders import Encoder
from visavis.errors import VisavisError
from visavis.images import Pixels, read_image
from visavis.scale import SavedTable, is_table
from visavis.scale.reading import TableRows
from visavis.scale.sources import Source, open_source

__all__ = ["MOST_THUMBNAILS", "Pictures", "album_faces", "faces_of_table", "open_pictures"]

Pictures = Callable[[str], Pixels | None]
"""Decodes a photo by its name; None: it cannot be read any more."""

MOST_THUMBNAILS = 5000
"""Of how many faces of a table thumbnails are cut, which takes as long as decoding their photos."""
_log = logging.getLogger(__name__)


def album_faces(photos: Path | str, work: Path, settings: ReadingSettings, *, encoder: Encoder) -> AlbumFaces:
    """Return all faces of photos, see `read_faces`, or those of a table.

    Nothing is written for a table, and few faces get their thumbnails from photos that are still there.
    """
    if not is_table(photos):
        return read_faces(photos, work, settings, encoder=encoder)
    faces = join_faces(list(faces_of_table(photos, settings, encoder=encoder)))
    if not settings.thumbnails or len(faces) > MOST_THUMBNAILS:
        return faces
    return replace(faces, thumbnails=tuple(_thumbnails(faces, photos, settings)))


def _thumbnails(faces: AlbumFaces, photos: Path | str, settings: ReadingSettings) -> Iterator[bytes]:
    with open_pictures(photos, faces.intake.root, settings) as picture:
        last, pixels = "", None
        for photo, box in zip(faces.photos, faces.boxes.astype(np.float64), strict=True):
            if photo != last:
                last, pixels = photo, picture(photo)
            yield b"" if pixels is None else thumbnail(pixels, box)


def faces_of_table(table: Path | str, settings: ReadingSettings, *, encoder: Encoder) -> Iterator[AlbumFaces]:
    """Yield the faces of each file of a table; all faces of a photo are in one.

    Args:
        table: The folder, file or URI.
        settings: Whether to show a bar on standard error.
        encoder: The encoder that embedded them.

    Raises:
        DataError: If it is no such table, is damaged or not finished, or is of another encoder.
    """
    saved = SavedTable(table, encoder.digest)
    policy, aligned = saved.settings["policy"], bool(saved.settings["aligned"])
    if not aligned and policy not in ("all", "error"):
        _log.warning("%s: holds one face of each photo (--face %s). To have every face: visavis embed --face all", table, policy)
    passed_over = saved.passed_over
    bar = tqdm(saved.rows(), total=len(saved.names), desc="table", unit="file", disable=not settings.progress, delay=1)
    for number, rows in enumerate(bar):
        faces = _faces(rows, saved.root, aligned=aligned)
        yield faces if number else replace(faces, intake=replace(faces.intake, passed_over=passed_over))


@contextmanager
def open_pictures(photos: Path | str, root: str, settings: ReadingSettings) -> Iterator[Pictures]:
    """Yield what decodes photos again by their names, to draw on them or to cut faces out.

    Args:
        photos: What was searched or sorted: photos, or a table, whose photos need not be there any more.
        root: Where the photos of a table were; see `Intake`.
        settings: Their limits bound what is decoded.
    """
    if not is_table(photos):
        with open_album(photos, settings) as files:
            yield lambda name: photo_pixels(name, files, settings)
        return
    try:
        source = open_source(root, "", settings.acquisition.limits)
    except (VisavisError, OSError):
        source = Source()
    yield partial(_picture, source, settings)


def _picture(source: Source, settings: ReadingSettings, name: str) -> Pixels | None:
    """Decode a photo of a table if it is there, below the root."""
    if source.fetch is None or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        return None
    try:
        return read_image(source.fetch(name), name=name, limits=settings.acquisition.limits)
    except (VisavisError, OSError, KeyError):
        return None


def _faces(rows: TableRows, root: str, *, aligned: bool) -> AlbumFaces:
    """Make faces of rows; a crop that was embedded as it is counts as a good face, because nothing says otherwise."""
    unmeasured = np.inf if aligned else 0.0
    photos = len(set(rows.sources)) + len(rows.failures)
    return AlbumFaces(
        photos=tuple(rows.sources),
        numbers=rows.faces,
        boxes=rows.boxes,
        scores=rows.detector_scores,
        eye_distances=_filled(np.linalg.norm(rows.landmarks[:, 1] - rows.landmarks[:, 0], axis=1).round(1), unmeasured),
        sharpness=_filled(rows.sharpness, unmeasured),
        warnings=tuple(rows.warnings),
        embeddings=rows.embeddings,
        thumbnails=(b"",) * len(rows),
        failures=tuple(Failure(source, reason) for source, _, reason in rows.failures),
        intake=Intake(root, photos, 0),
    )


def _filled(values: npt.NDArray[Any], otherwise: float) -> npt.NDArray[np.float32]:
    return np.where(np.isnan(values), otherwise, values).astype(np.float32)
