"""Known people from a gallery, a folder of people or a single photo, as a gallery to search."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from visavis.data.objects import is_uri
from visavis.errors import DataError
from visavis.faces import AcquisitionSettings
from visavis.files import check_path
from visavis.formats import HEAD_BYTES, is_image_file
from visavis.gallery import Gallery, open_gallery
from visavis.gallery.enrolling import EnrolledPhotos, EnrolmentOptions, enrol_folder, enrol_photos
from visavis.verification import Verifier

__all__ = ["open_known"]

_SQLITE = b"SQLite format 3\0"


@contextmanager
def open_known(
    known: Path | str, verifier: Verifier, *, people_depth: int | None = None, progress: bool = False
) -> Iterator[tuple[Gallery, EnrolledPhotos | None]]:
    """Open the gallery of known people, or enrol them into one that is deleted at the end of the `with` block.

    Args:
        known: A gallery; a folder with one sub-folder per person, or a `.tar` or `.zip` of one; or a photo of one person, whose
            name is that of the file. Of several faces in a photo, the largest counts, in folders the one that agrees with others.
        verifier: Detects and embeds the faces of people who are not enrolled yet.
        people_depth: Which folders are the people; see `IntakeRules`.
        progress: Whether to show a bar on standard error.

    Yields:
        The gallery; and what was enrolled and what could not be, None for a gallery.

    Raises:
        DataError: If there are no known people.
        GalleryError: If a gallery cannot be opened.
    """
    if str(known).startswith(("http://", "https://")) or (not is_uri(known) and _is_gallery(check_path(known))):
        with open_gallery(known, verifier.encoder, create=False) as gallery:
            yield gallery, None
        return
    path = Path(known)
    if not is_uri(known) and not path.exists():
        raise DataError(f"{known}: no such gallery, folder or photo")
    acquisition = AcquisitionSettings(
        fallback=verifier.acquisition.fallback, finder=verifier.acquisition.finder, limits=verifier.limits
    )
    enroller = Verifier(verifier.encoder, acquisition=acquisition)
    with (
        tempfile.TemporaryDirectory(prefix="visavis-") as folder,
        open_gallery(Path(folder) / "known.gallery", verifier.encoder) as gallery,
    ):
        if path.is_file() and is_image_file(path):
            yield gallery, enrol_photos(gallery, enroller, path.stem, [path])
        else:
            yield gallery, enrol_folder(gallery, enroller, known, EnrolmentOptions(people_depth=people_depth, progress=progress))


def _is_gallery(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(HEAD_BYTES).startswith(_SQLITE)
