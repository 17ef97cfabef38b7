"""A folder with one sub-folder per person, or an archive of one read in place, to a `FaceDataset`."""

import re
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.datasets.dataset import FaceDataset
from visavis.errors import DataError
from visavis.images import IMAGE_SUFFIXES, Limits, crop_centre, read_image, resize_image, to_gray

__all__ = ["Cut", "read_archive", "read_folder"]

_MOST_MEMBERS = 5_000_000


@dataclass(frozen=True)
class Cut:
    """How photos become faces of one shape.

    Attributes:
        size: Height and width; None: as they are, and all must be alike.
        crop: The part of the shorter side that is kept around the centre; None: the whole photo.
        gray: Whether the colour is taken out.
    """

    size: tuple[int, int] | None = None
    crop: float | None = None
    gray: bool = False

    def apply(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Cut one photo, `(h, w, 3)`."""
        if self.crop is not None:
            image = crop_centre(image, self.crop)
        if self.size is not None and image.shape[:2] != self.size:
            image = resize_image(image, self.size)
        return to_gray(image) if self.gray else image


def read_folder(
    path: Path | str,
    *,
    size: tuple[int, int] | None = None,
    crop: float | None = None,
    gray: bool = False,
    limits: Limits | None = None,
) -> FaceDataset:
    """Read a folder with one sub-folder per person and their photos in it.

    Files that are no images by their name are passed over, and so are hidden files and folders.

    Args:
        path: The folder.
        size: Height and width to resize to; None: as they are, and all must be alike.
        crop: The part of a photo's shorter side that is kept around the centre.
        gray: Whether the colour is taken out.
        limits: Of one file.

    Raises:
        DataError: If there are no photos of two people, or if sizes differ; the message names two files.
        ImageError: If a photo cannot be read; the message names it.
    """
    root = Path(path)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    files = {str(file.relative_to(root).as_posix()): file for file in root.glob("*/*") if file.is_file()}
    photos = _people_of(files)
    return _read(photos, lambda name: files[name], Cut(size, crop, gray), limits, str(root))


def read_archive(
    path: Path | str,
    *,
    size: tuple[int, int] | None = None,
    crop: float | None = None,
    gray: bool = False,
    limits: Limits | None = None,
) -> FaceDataset:
    """Read a `.tar` (also compressed) or `.zip` of such a folder in place; nothing is unpacked and no link is followed.

    Args:
        path: The archive.
        size: As in `read_folder`, and so are the others.
        crop: See there.
        gray: See there.
        limits: See there.

    Raises:
        DataError: If it is no archive, or holds no photos of two people.
        ImageError: If a photo cannot be read; the message names archive and photo.
    """
    limits = limits or Limits()
    try:
        with _opened(Path(path)) as members:
            wanted = _people_of(members.sizes)
            for name, _ in wanted:
                if members.sizes[name] > limits.max_bytes:
                    raise DataError(f"{path}: {name} has more than the limit of {limits.max_bytes:,} bytes")
            return _read(wanted, members.read, Cut(size, crop, gray), limits, str(path))
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise DataError(f"{path}: not a readable .tar or .zip ({error})") from error


def _people_of(names: Iterable[str]) -> list[tuple[str, str]]:
    """Choose the photos among file names: their names with the person of each, in natural order."""
    photos = []
    for name in names:
        path = PurePosixPath(name)
        hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
        if not hidden and len(path.parts) > 1 and path.suffix.lower() in IMAGE_SUFFIXES:
            photos.append((name, path.parent.name))
    return sorted(photos, key=lambda photo: (_natural(photo[1]), _natural(photo[0])))


def _natural(text: str) -> list[tuple[int, int | str]]:
    """A sort key that puts s2 before s10."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.findall(r"[0-9]+|[^0-9]+", text)]


def _read(photos: list[tuple[str, str]], fetch: Any, cut: Cut, limits: Limits | None, root: str) -> FaceDataset:
    """Decode and cut all photos, a few at a time on all cores."""
    people = list(dict.fromkeys(person for _, person in photos))
    if len(people) < 2:
        raise DataError(
            f"{root}: needs photos of two people or more, one sub-folder per person. "
            f"Received: {len(photos)} photos of {len(people)} people"
        )

    def load(name: str, content: Any) -> npt.NDArray[np.uint8]:
        return cut.apply(read_image(content, name=f"{root}/{name}", limits=limits))

    pixels: npt.NDArray[np.uint8] | None = None
    with ThreadPoolExecutor() as pool:
        batch = 64
        for start in range(0, len(photos), batch):
            names = [name for name, _ in photos[start : start + batch]]
            faces = list(pool.map(load, names, [fetch(name) for name in names]))
            if pixels is None:
                pixels = np.empty((len(photos), *faces[0].shape), dtype=np.uint8)
            for name, face in zip(names, faces, strict=True):
                if face.shape != pixels.shape[1:]:
                    raise DataError(
                        f"{root}: photos of several sizes: {photos[0][0]} has {_size(pixels[0])} pixels, {name} has {_size(face)}. "
                        "Give a size to bring them to."
                    )
            pixels[start : start + len(faces)] = faces
    number = {person: index for index, person in enumerate(people)}
    labels = np.array([number[person] for _, person in photos], dtype=np.int64)
    assert pixels is not None
    return FaceDataset(pixels, labels, tuple(people), [name for name, _ in photos])


def _size(face: npt.NDArray[np.uint8]) -> str:
    return f"{face.shape[1]} x {face.shape[0]}"


@dataclass(frozen=True)
class _Members:
    """The plain files in an archive."""

    sizes: dict[str, int]
    read: Any


@contextmanager
def _opened(path: Path) -> Iterator[_Members]:
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist() if not entry.is_dir()}
            sizes = {name: entry.file_size for name, entry in entries.items()}
            yield _Members(sizes, lambda name: archive.read(entries[name]))
        return
    with tarfile.open(path) as tar:
        files: dict[str, tarfile.TarInfo] = {}
        for member in tar:
            if member.isreg():
                files[member.name] = member
            if len(files) > _MOST_MEMBERS:
                raise DataError(f"{path}: more than {_MOST_MEMBERS:,} files")

        def read(name: str) -> bytes:
            file = tar.extractfile(files[name])
            return file.read() if file else b""

        yield _Members({name: member.size for name, member in files.items()}, read)
