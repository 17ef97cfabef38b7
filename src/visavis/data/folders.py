"""A folder with one sub-folder per person, or an archive of one read in place, to a `FaceDataset`."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from visavis.data.dataset import FaceDataset
from visavis.data.intake import Intake, IntakeRules, PassedOver, Photo, PhotoList, report_intake, sort_entries
from visavis.data.names import UNNAMED, shown_name
from visavis.data.objects import is_uri
from visavis.data.stores import Store, open_store
from visavis.errors import DataError, ImageError
from visavis.files import check_path
from visavis.images import DecodedImage, Limits, crop_centre, decode_image, resize_image, to_gray
from visavis.wording import counted

__all__ = [
    "FaceShape",
    "PhotoFiles",
    "Size",
    "as_size",
    "check_outside",
    "expand_folders",
    "open_photos",
    "read_archive",
    "read_folder",
]

_AT_ONCE = 64

Size = int | tuple[int, int]


def as_size(size: Size | None) -> tuple[int, int] | None:
    """Return height and width; one number means a square.

    Raises:
        ValueError: If a side is not a positive whole number.
    """
    if size is None:
        return None
    sides = tuple(size) if np.iterable(size) else (size, size)
    whole = all(isinstance(side, int | np.integer) and not isinstance(side, bool) for side in sides)
    if len(sides) != 2 or not whole or min(sides) < 1:
        raise ValueError(f"size must be a positive number or (height, width), got {size!r}")
    return int(sides[0]), int(sides[1])


@dataclass(frozen=True)
class FaceShape:
    """How photos become faces of one shape.

    Attributes:
        size: Height and width; None: as they are, and all must be alike.
        crop: The fraction of the shorter side that is kept around the centre; None: the whole photo.
        gray: Whether to convert to grey.
    """

    size: tuple[int, int] | None = None
    crop: float | None = None
    gray: bool = False

    def apply(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Crop, resize and convert one photo, `(h, w, 3)`."""
        if self.crop is not None:
            image = crop_centre(image, self.crop)
        if self.size is not None and image.shape[:2] != self.size:
            image = resize_image(image, self.size)
        return to_gray(image) if self.gray else image


def read_folder(
    path: Path | str,
    *,
    size: Size | None = None,
    crop: float | None = None,
    gray: bool = False,
    rules: IntakeRules | None = None,
) -> FaceDataset:
    """Read a folder with one sub-folder per person and their photos in it, at any depth.

    What is a photo is decided by content, not by name. Files that are no photos, that cannot be decoded or that lie in no person's
    folder are passed over, and listed in the data set's `intake`.

    Args:
        path: The folder, or its URI such as `s3://bucket/photos`.
        size: Height and width to resize to, or the side of a square; None: as they are, and all must be alike.
        crop: The fraction of a photo's shorter side that is kept around the centre.
        gray: Whether to convert to grey.
        rules: Which folders are the people, and the limits of one file; None: the usual ones.

    Raises:
        DataError: If there are no photos of two people, or if sizes differ; the message names two files.
        ValueError: If size or crop is out of range.
    """
    if not is_uri(path) and not Path(path).is_dir():
        raise DataError(f"{path}: no such folder")
    return _read(path, FaceShape(as_size(size), crop, gray), rules or IntakeRules())


def read_archive(
    path: Path | str,
    *,
    size: Size | None = None,
    crop: float | None = None,
    gray: bool = False,
    rules: IntakeRules | None = None,
) -> FaceDataset:
    """Read a `.tar` (also compressed) or `.zip` of such a folder in place; nothing is unpacked and no link is followed.

    Args:
        path: The archive.
        size: As in `read_folder`, and so are the others.
        crop: See there.
        gray: See there.
        rules: See there.

    Raises:
        DataError: If it is no archive, or holds no photos of two people.
        ValueError: If size or crop is out of range.
    """
    if Path(path).is_dir():
        raise DataError(f"{path}: a folder, not an archive")
    return _read(path, FaceShape(as_size(size), crop, gray), rules or IntakeRules())


@dataclass(frozen=True, repr=False)
class PhotoFiles:
    """The photos in a folder or an archive, and the files that were passed over.

    Attributes:
        root: The folder or the archive.
        found: The photos and the other files.
        store: The files' content.
    """

    root: str
    found: PhotoList
    store: Store

    @property
    def photos(self) -> list[Photo]:
        """Name below `root` and person of each photo, in natural order."""
        return self.found.photos

    @property
    def intake(self) -> Intake:
        """What was found and what was passed over."""
        return self.found.intake(self.root)

    def fetch(self, name: str) -> Path | bytes:
        """Return what `read_image` takes for a photo's name: a path, or the bytes of a member of an archive.

        Raises:
            ImageError: If the archive is damaged there.
        """
        return self.store.fetch(self.found.paths[name])

    def with_paths(self) -> Iterator[tuple[Photo, str]]:
        """Yield each photo with its path below `root`, in which bytes that are not UTF-8 are surrogates."""
        yield from ((photo, self.found.paths[photo.name]) for photo in self.found.photos)

    def __repr__(self) -> str:
        """Return the counts in short."""
        return f"PhotoFiles({self.root!r}, photos={len(self.photos)}, passed_over={len(self.found.passed_over)})"


@contextmanager
def open_photos(path: Path | str, rules: IntakeRules | None = None) -> Iterator[PhotoFiles]:
    """List the photos of a folder with one sub-folder per person, or of a `.tar` or `.zip` of one.

    Args:
        path: The folder or archive, or its URI such as `s3://bucket/photos`; archives stay open until the end of the block.
        rules: Whose photos they are, and the limits of one file; None: the usual ones.

    Raises:
        DataError: If there is no photo, or none in a person's folder where people are required; if two folders in different
            branches have one person's name; if an archive cannot be read.
    """
    rules = rules or IntakeRules()
    root = path if isinstance(path, str) and is_uri(path) else check_path(path)
    with open_store(root, max_bytes=rules.limits.max_bytes) as store:
        yield PhotoFiles(str(root), sort_entries(store.entries, str(root), rules), store)


def expand_folders(paths: Iterable[Path]) -> tuple[list[Path], tuple[PassedOver, ...]]:
    """Replace each folder among some paths with the photos in it, at any depth, whoever they show.

    Args:
        paths: Files, which are kept as they are, and folders.

    Returns:
        The photos, and the files in the folders that were passed over.

    Raises:
        DataError: If there is no photo in a folder.
    """
    photos: list[Path] = []
    passed_over: list[PassedOver] = []
    for path in paths:
        if not path.is_dir():
            photos.append(path)
            continue
        with open_photos(path, IntakeRules(people="ignored")) as files:
            photos += [path / below for _, below in files.with_paths()]
            passed_over += [file._replace(name=f"{shown_name(str(path))}/{file.name}") for file in files.found.passed_over]
    return photos, tuple(passed_over)


def check_outside(photos: Path | str, out: Path | str) -> None:
    """Refuse to write results among the photos, where a later command would find them.

    Raises:
        DataError: If `out` is the folder of the photos, or lies in it.
    """
    if is_uri(photos) or is_uri(out) or not Path(photos).is_dir():
        return
    if check_path(out).resolve().is_relative_to(Path(photos).resolve()):
        raise DataError(f"out must lie outside of the folder of photos {photos}, got {out}")


def _read(path: Path | str, shape: FaceShape, rules: IntakeRules) -> FaceDataset:
    """Decode all photos, a few at a time on all cores, and leave out those that cannot be decoded."""
    with open_photos(path, rules) as files:
        _check_people(files.root, files.photos, rules)
        photos, unreadable, warnings = list[Photo](), list[PassedOver](), list[tuple[str, str]]()
        pixels: npt.NDArray[np.uint8] | None = None
        for photo, decoded in _decoded(files, shape, rules.limits):
            if isinstance(decoded, str):
                unreadable.append(PassedOver(photo.name, "unreadable", decoded))
                continue
            face = decoded.pixels
            warnings += [(photo.name, text) for text in decoded.warnings]
            if pixels is None:
                pixels = np.empty((len(files.photos), *face.shape), dtype=np.uint8)
            if face.shape != pixels.shape[1:]:
                raise DataError(
                    f"{files.root}: photos of several sizes: {photos[0].name} has {_size(pixels[0])} pixels, "
                    f"{photo.name} has {_size(face)}. Give a size to resize them to."
                )
            pixels[len(photos)] = face
            photos.append(photo)
    if pixels is None:
        raise DataError(
            f"{files.root}: none of {counted(len(files.photos), 'photo')} can be read: {unreadable[0].name}: {unreadable[0].reason}"
        )
    passed_over = (*files.found.passed_over, *unreadable)
    _check_people(files.root, photos, rules, unreadable)
    people = tuple(dict.fromkeys(photo.person for photo in photos))
    number = {person: index for index, person in enumerate(people)}
    labels = np.array([number[photo.person] for photo in photos], dtype=np.int64)
    intake = Intake(files.root, len(photos), len(set(people) - {UNNAMED}), passed_over, tuple(warnings))
    report_intake(intake, rules)
    return FaceDataset(pixels[: len(photos)], labels, people, [photo.name for photo in photos], intake=intake)


def _decoded(files: PhotoFiles, shape: FaceShape, limits: Limits) -> Iterator[tuple[Photo, DecodedImage | str]]:
    """Yield each photo with its face, or with the reason why it cannot be read."""

    def load(photo: Photo, content: Path | bytes | ImageError) -> DecodedImage | str:
        name = f"{files.root}/{photo.name}"
        try:
            if isinstance(content, ImageError):
                raise content
            decoded = decode_image(content, name=name, limits=limits)
            return replace(decoded, pixels=shape.apply(decoded.pixels))
        except ImageError as error:
            return str(error).removeprefix(f"{name}: ")

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(files.photos), _AT_ONCE):
            some = files.photos[start : start + _AT_ONCE]
            yield from zip(some, pool.map(load, some, [fetched(files, photo.name) for photo in some]), strict=True)


def fetched(files: PhotoFiles, name: str) -> Path | bytes | ImageError:
    """Return what `read_image` takes, or why it cannot be had: one damaged photo costs no others."""
    try:
        return files.fetch(name)
    except ImageError as error:
        return error


def _check_people(root: str, photos: list[Photo], rules: IntakeRules, unreadable: list[PassedOver] | None = None) -> None:
    people = {photo.person for photo in photos}
    if rules.people == "required" and len(people) < 2:
        damaged = (
            f"; {len(unreadable):,} more cannot be read, such as {unreadable[0].name} ({unreadable[0].reason})"
            if unreadable
            else ""
        )
        raise DataError(
            f"{root}: must have photos of at least two people, one sub-folder per person, "
            f"got {counted(len(photos), 'photo')} of {counted(len(people), 'person')}{damaged}"
        )


def _size(face: npt.NDArray[np.uint8]) -> str:
    return f"{face.shape[1]} x {face.shape[0]}"
