"""Sources of photos: a folder, an archive, an object store or a prepared data set."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from visavis.data import Intake, IntakeRules, open_photos, read_saved
from visavis.data.dataset import FACES
from visavis.data.intake import Entry, is_system_entry, sort_entries
from visavis.data.names import UNNAMED
from visavis.data.stores import open_store
from visavis.errors import DataError, MissingDependencyError
from visavis.files import check_path
from visavis.formats import HEAD_BYTES
from visavis.images import Limits

__all__ = ["Listing", "Photo", "Source", "filesystem_of", "is_prepared", "list_photos", "open_source"]

_REQUESTS = 32  # at once, to an object store


class Photo(NamedTuple):
    """A photo to embed.

    Attributes:
        source: Its name below the root, as it can be shown.
        person: The name of the person; empty for a photo in no person's folder.
        stamp: Size and modification time, by which a changed photo is recognised.
        path: Its path below the root, bytes that are not UTF-8 as surrogates.
    """

    source: str
    person: str
    stamp: str
    path: str = ""


@dataclass(frozen=True)
class Source:
    """An open source of photos or faces.

    Attributes:
        fetch: Returns the file or bytes of a photo by its path; None for a prepared data set.
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


@dataclass(frozen=True, repr=False)
class Listing:
    """What there is to embed.

    Attributes:
        photos: The photos.
        intake: What was found, and what was passed over.
    """

    photos: list[Photo]
    intake: Intake


def list_photos(root: str, rules: IntakeRules | None = None) -> Listing:
    """List the photos of a folder, an archive or an object store with one sub-folder per person, or of a prepared data set.

    Args:
        root: The folder, archive, URI or data set.
        rules: Whose photos they are; None: photos in no person's folder have no name.

    Raises:
        DataError: If there are none.
    """
    rules = rules or IntakeRules(people="optional")
    if is_prepared(root):
        dataset, stamp = read_saved(root), _stamp((Path(root) / FACES).stat())
        photos = [Photo(name, dataset.people[label], stamp) for name, label in zip(dataset.sources, dataset.labels, strict=True)]
        return Listing(photos, Intake(root, len(photos), len(set(dataset.people) - {UNNAMED})))
    if "://" in root:
        return _list_objects(root, rules)
    place = check_path(root)
    with open_photos(place, rules) as files:
        archive = None if place.is_dir() else _stamp(place.stat())
        photos = [Photo(*photo, archive or _stamp((place / path).stat()), path) for photo, path in files.with_paths()]
        return Listing(photos, files.intake)


def _list_objects(root: str, rules: IntakeRules) -> Listing:
    """List an object store; the first bytes of each object tell whether it is a photo."""
    from pyarrow import fs

    system, path = filesystem_of(root)
    if system.get_file_info(path).type != fs.FileType.Directory:
        raise DataError(f"{root}: no such folder")
    try:
        listed = system.get_file_info(fs.FileSelector(path, recursive=True))
        infos = {PurePosixPath(info.path).relative_to(path).as_posix(): info for info in listed if info.is_file}
    except UnicodeDecodeError as error:
        name = error.object.decode("utf-8", "backslashreplace")
        raise DataError(f"{root}: {name}: the name is not UTF-8. Give the folder as a path, not as a URI") from None
    found = sort_entries(_entries(system, infos), root, rules)
    paths = [found.paths[photo.name] for photo in found.photos]
    stamps = [f"{infos[path].size} {infos[path].mtime_ns}" for path in paths]
    photos = [Photo(*photo, *place) for photo, *place in zip(found.photos, stamps, paths, strict=True)]
    return Listing(photos, found.intake(root))


def _entries(system: Any, infos: dict[str, Any]) -> Iterator[Entry]:
    """Read the first bytes of each object, many at once."""

    def entry(name: str) -> Entry:
        if any(map(is_system_entry, name.split("/"))):
            return Entry(name, b"")
        try:
            with system.open_input_stream(infos[name].path) as stream:
                return Entry(name, stream.read(HEAD_BYTES))
        except OSError as error:
            return Entry(name, b"", ("unreadable", str(error)))

    with ThreadPoolExecutor(_REQUESTS) as pool:
        yield from pool.map(entry, infos)


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
    max_bytes = (limits or Limits()).max_bytes
    if is_prepared(root):
        return Source(faces=read_saved(root))
    if "://" not in root:
        if Path(root).is_dir():
            return Source(fetch=lambda path: Path(root) / path)
        opened = ExitStack()
        return Source(fetch=opened.enter_context(open_store(Path(root), max_bytes=max_bytes)).fetch, opened=opened)
    system, folder = filesystem_of(root)

    def fetch(path: str) -> bytes:
        with system.open_input_stream(f"{folder}/{path}") as stream:
            return stream.read(max_bytes + 1)

    return Source(fetch=fetch)
