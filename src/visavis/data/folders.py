"""A folder with one sub-folder per person, or an archive of one read in place, to a `FaceDataset`."""

import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from visavis.data.dataset import FaceDataset
from visavis.errors import DataError, ImageError
from visavis.images import IMAGE_SUFFIXES, Limits, crop_centre, read_image, resize_image, to_gray

__all__ = ["Cut", "PhotoFiles", "open_photos", "photos_among", "read_archive", "read_folder"]

_MOST_MEMBERS = 5_000_000
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError)  # the last: a ZIP with a password
_AT_ONCE = 64


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
    if not Path(path).is_dir():
        raise DataError(f"{path}: no such folder")
    with open_photos(path) as photos:
        return _read(photos, Cut(size, crop, gray), limits)


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
    if Path(path).is_dir():
        raise DataError(f"{path}: a folder, not an archive")
    with open_photos(path, limits=limits) as photos:
        return _read(photos, Cut(size, crop, gray), limits)


@dataclass(frozen=True)
class PhotoFiles:
    """The photos of people in a folder or an archive.

    Attributes:
        root: The folder or the archive.
        photos: Name below `root` and person of each photo, in natural order.
        fetch: Gives what `read_image` takes for a name: a path, or the bytes out of an archive; raises `ImageError` if they cannot
            be read out of it.
    """

    root: str
    photos: list[tuple[str, str]]
    fetch: Callable[[str], Path | bytes]


@contextmanager
def open_photos(path: Path | str, *, limits: Limits | None = None) -> Iterator[PhotoFiles]:
    """List the photos of a folder with one sub-folder per person, or of a `.tar` or `.zip` of one.

    Raises:
        DataError: If there is none, or if a member of an archive is larger than the limits.
    """
    root = Path(path)
    if root.is_dir():
        files = {file.relative_to(root).as_posix(): file for depth in ("*", "*/*") for file in root.glob(depth) if file.is_file()}
        yield PhotoFiles(str(root), photos_among(files, str(root)), lambda name: files[name])
        return
    largest = (limits or Limits()).max_bytes
    with ExitStack() as stack:
        try:
            members = stack.enter_context(_opened(root))
        except _DAMAGE as error:
            reason = str(error).partition(":")[0]  # of a .tar it goes on for lines
            raise DataError(f"{path}: not a readable .tar or .zip ({reason})") from error
        photos = photos_among(members.sizes, str(root))
        for name, _ in photos:
            if members.sizes[name] > largest:
                raise DataError(f"{path}: {name} has more than the limit of {largest:,} bytes")

        def fetch(name: str) -> bytes:
            try:
                return members.read(name)
            except _DAMAGE as error:
                raise ImageError(f"{path}/{name}: cannot be read out of the archive ({error})") from error

        yield PhotoFiles(str(root), photos, fetch)


def photos_among(names: Iterable[str], root: str) -> list[tuple[str, str]]:
    """Choose the photos among the names of files below `root`: their names with the person of each, in natural order.

    Raises:
        DataError: If there is none in a sub-folder.
    """
    photos, loose = [], 0
    for name in names:
        path = PurePosixPath(name)
        hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
        if not hidden and path.suffix.lower() in IMAGE_SUFFIXES:
            if len(path.parts) > 1:
                photos.append((name, path.parent.name))
            else:
                loose += 1
    if not photos:
        found = f"{loose:,} photos, but all of them lie side by side" if loose else "no photos in it"
        raise DataError(f"{root}: {found}. Give a folder with one sub-folder per person, called by the person's name")
    return sorted(photos, key=lambda photo: (_natural(photo[1]), _natural(photo[0])))


def _natural(text: str) -> list[tuple[int, int | str]]:
    """A sort key that puts s2 before s10."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.findall(r"[0-9]+|[^0-9]+", text)]


def _read(files: PhotoFiles, cut: Cut, limits: Limits | None) -> FaceDataset:
    """Decode and cut all photos, a few at a time on all cores."""
    people = list(dict.fromkeys(person for _, person in files.photos))
    if len(people) < 2:
        raise DataError(
            f"{files.root}: needs photos of two people or more, one sub-folder per person. "
            f"Received: {len(files.photos)} photos of {len(people)} people"
        )
    names = [name for name, _ in files.photos]

    def load(name: str, content: Path | bytes) -> npt.NDArray[np.uint8]:
        return cut.apply(read_image(content, name=f"{files.root}/{name}", limits=limits))

    first = load(names[0], files.fetch(names[0]))
    pixels = np.empty((len(names), *first.shape), dtype=np.uint8)
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            faces = list(pool.map(load, some, [files.fetch(name) for name in some]))
            for name, face in zip(some, faces, strict=True):
                if face.shape != first.shape:
                    raise DataError(
                        f"{files.root}: photos of several sizes: {names[0]} has {_size(first)} pixels, {name} has {_size(face)}. "
                        "Give a size to bring them to."
                    )
            pixels[start : start + len(faces)] = faces
    number = {person: index for index, person in enumerate(people)}
    labels = np.array([number[person] for _, person in files.photos], dtype=np.int64)
    return FaceDataset(pixels, labels, tuple(people), names)


def _size(face: npt.NDArray[np.uint8]) -> str:
    return f"{face.shape[1]} x {face.shape[0]}"


@dataclass(frozen=True)
class _Members:
    """The plain files in an archive."""

    sizes: dict[str, int]
    read: Callable[[str], bytes]


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
