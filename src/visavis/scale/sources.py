"""Sources of photos: a folder, an archive, an object store or a prepared data set."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from weakref import finalize

from visavis.data import Intake, IntakeRules, open_photos, read_saved
from visavis.data.dataset import FACES
from visavis.data.names import UNNAMED
from visavis.data.objects import ObjectFolder, is_uri, open_object
from visavis.data.stores import file_stamp, open_store
from visavis.images import Limits

__all__ = ["Listing", "Photo", "Source", "is_prepared", "list_photos", "open_source"]


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
    """An open source of photos or faces. An archive stays open as long as this object lives.

    Attributes:
        fetch: Returns the file or bytes of a photo by its path; None for a prepared data set.
        faces: Faces of a prepared data set, `(n, h, w, c)` uint8, memory-mapped; None for photos.
    """

    fetch: Callable[[str], Path | bytes] | None = None
    faces: Any = None


def is_prepared(root: str) -> bool:
    """Return whether this is a prepared data set, as `visavis prepare` and `FaceDataset.save` write it."""
    return not is_uri(root) and (Path(root) / FACES).is_file()


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
        dataset, stamp = read_saved(root), file_stamp(Path(root) / FACES)
        photos = [Photo(name, dataset.people[label], stamp) for name, label in zip(dataset.sources, dataset.labels, strict=True)]
        return Listing(photos, Intake(root, len(photos), len(set(dataset.people) - {UNNAMED})))
    with open_photos(root, rules) as files:
        photos = [Photo(*photo, files.store.stamp(path), path) for photo, path in files.with_paths()]
        return Listing(photos, files.intake)


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
    if is_uri(root) and open_object(root) is None:
        return Source(fetch=ObjectFolder(root, max_bytes=max_bytes).fetch)
    if not is_uri(root) and Path(root).is_dir():
        return Source(fetch=lambda path: Path(root) / path)
    opened = ExitStack()
    place = root if is_uri(root) else Path(root)
    source = Source(fetch=opened.enter_context(open_store(place, max_bytes=max_bytes)).fetch)
    finalize(source, opened.close)  # the collector may take the file first where an exception's traceback holds both
    return source
