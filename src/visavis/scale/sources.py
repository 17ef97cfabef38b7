"""What there is to embed: photos in a folder, an archive or an object store, or a prepared data set."""

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
    """One photo that is to be embedded.

    Attributes:
        source: Its name below the root.
        person: Who is in it.
        stamp: Another one where the photo is another one: its size and when it was changed.
    """

    source: str
    person: str
    stamp: str


@dataclass(frozen=True)
class Source:
    """Where photos are read from, in whatever process.

    Attributes:
        fetch: Gives what `read_image` takes for a photo's name; None where there are faces.
        faces: Faces of a prepared data set, `(n, h, w, c)` uint8, read when asked for; None where there are photos.
        opened: What must stay open meanwhile.
    """

    fetch: Callable[[str], Path | bytes] | None = None
    faces: Any = None
    opened: ExitStack | None = None


def filesystem_of(place: str) -> tuple[Any, str]:
    """Return pyarrow's file system of a path or a URI such as `s3://bucket/photos`, and the path in it.

    Raises:
        MissingDependencyError: If pyarrow is not installed.
        DataError: If there is no such kind of URI.
    """
    try:
        from pyarrow import ArrowInvalid, fs
    except ImportError as error:
        raise MissingDependencyError("tables of embeddings need: pip install 'visavis[parquet]'") from error
    if "://" not in place:
        return fs.LocalFileSystem(), str(Path(place).absolute())
    try:
        system, path = fs.FileSystem.from_uri(place)
    except ArrowInvalid as error:
        raise DataError(f"{place}: not a URI that pyarrow knows ({error})") from error
    return system, path.rstrip("/")


def is_prepared(root: str) -> bool:
    """Tell whether this is a folder of faces, as `visavis prepare` and `FaceDataset.save` write them."""
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
    """Open what was listed, once for each process; an archive stays open.

    Args:
        root: What `list_photos` took.
        stamp: That of a photo in it: where it is another one, it is opened again.
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
