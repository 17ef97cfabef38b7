"""Sources of photos: a folder, an archive, an object store or a prepared data set."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from visavis.data import open_photos, read_saved
from visavis.data.dataset import FACES
from visavis.data.folders import photos_among
from visavis.errors import DataError, MissingDependencyError
from visavis.images import Limits

__all__ = ["Photo", "Source", "filesystem_of", "is_prepared", "list_photos", "open_source"]


class Photo(NamedTuple):
    """A photo to embed.

    Attributes:
        source: Its name below the root.
        person: The name of the person.
        stamp: Size and modification time, by which a changed photo is recognised.
    """

    source: str
    person: str
    stamp: str


@dataclass(frozen=True)
class Source:
    """An open source of photos or faces.

    Attributes:
        fetch: Returns the file or bytes of a photo by its name; None for a prepared data set.
        faces: Faces of a prepared data set, `(n, h, w, c)` uint8, memory-mapped; None for photos.
        opened: Keeps an archive open.
    """

    fetch: Callable[[str], Path | bytes] | None = None
    faces: Any = None
    opened: ExitStack | None = None


def filesystem_of(location: str) -> tuple[Any, str]:
    """Return pyarrow's file system of a path or a URI such as `s3://bucket/photos`, and the path in it.

    Raises:
        MissingDependencyError: If pyarrow is not installed.
        DataError: If the URI scheme is unknown.
    """
    try:
        from pyarrow import ArrowInvalid, fs
    except ImportError as error:
        raise MissingDependencyError("tables of embeddings need: pip install 'visavis[parquet]'") from error
    if "://" not in location:
        return fs.LocalFileSystem(), str(Path(location).absolute())
    try:
        system, path = fs.FileSystem.from_uri(location)
    except ArrowInvalid as error:
        raise DataError(f"{location}: unknown kind of URI ({error})") from error
    return system, path.rstrip("/")


def is_prepared(root: str) -> bool:
    """Return whether this is a prepared data set, as `visavis prepare` and `FaceDataset.save` write it."""
    return "://" not in root and (Path(root) / FACES).is_file()


def list_photos(root: str, *, limits: Limits | None = None) -> list[Photo]:
    """List the photos of a folder or an object store with one sub-folder per person, of an archive, or of a prepared data set.

    Raises:
        DataError: If there are none.
    """
    if is_prepared(root):
        dataset, stamp = read_saved(root), _stamp((Path(root) / FACES).stat())
        return [Photo(name, dataset.people[label], stamp) for name, label in zip(dataset.sources, dataset.labels, strict=True)]
    if Path(root).is_file():
        stamp = _stamp(Path(root).stat())
        with open_photos(root, limits=limits) as archive:
            return [Photo(name, person, stamp) for name, person in archive.photos]
    return _list_files(root)


def _list_files(root: str) -> list[Photo]:
    from pyarrow import fs

    system, path = filesystem_of(root)
    if system.get_file_info(path).type != fs.FileType.Directory:
        raise DataError(f"{root}: no such file or folder")
    infos = system.get_file_info(fs.FileSelector(path, recursive=True))
    stamps = {
        PurePosixPath(info.path).relative_to(path).as_posix(): f"{info.size} {info.mtime_ns}" for info in infos if info.is_file
    }
    return [Photo(name, person, stamps[name]) for name, person in photos_among(stamps, root)]


def _stamp(stat: Any) -> str:
    return f"{stat.st_size} {stat.st_mtime_ns}"


@lru_cache(maxsize=1)
def open_source(root: str, stamp: str, limits: Limits | None = None) -> Source:
    """Open a source once per process.

    Args:
        root: The argument of `list_photos`.
        stamp: The stamp of one of its photos; a changed source is opened again.
        limits: Largest file that is read; None: `Limits()`.
    """
    del stamp
    if is_prepared(root):
        return Source(faces=np.load(Path(root) / FACES, mmap_mode="r", allow_pickle=False))
    if Path(root).is_file():
        opened = ExitStack()
        return Source(fetch=opened.enter_context(open_photos(root, limits=limits)).fetch, opened=opened)
    system, path = filesystem_of(root)
    max_bytes = (limits or Limits()).max_bytes

    def fetch(name: str) -> bytes:
        with system.open_input_stream(f"{path}/{name}") as stream:
            return stream.read(max_bytes + 1)

    return Source(fetch=fetch)
