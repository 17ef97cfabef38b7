"""Object stores such as S3, by URI: the files in a folder of one, and an archive in one."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from visavis.data.intake import Entry, is_system_entry
from visavis.errors import DataError, ImageError, MissingDependencyError
from visavis.formats import HEAD_BYTES

__all__ = ["ObjectFolder", "filesystem_of", "is_uri", "open_object", "stamp_of"]

_REQUESTS = 32  # at once


def is_uri(location: Path | str) -> bool:
    """Return whether this is a URI such as `s3://bucket/photos`, not a path."""
    return isinstance(location, str) and "://" in location


def filesystem_of(location: str) -> tuple[Any, str]:
    """Return pyarrow's file system of a path or a URI such as `s3://bucket/photos`, and the path in it.

    Raises:
        MissingDependencyError: If pyarrow is not installed.
        DataError: If the URI scheme is unknown, or the store cannot be reached.
    """
    try:
        from pyarrow import ArrowInvalid, fs
    except ImportError as error:
        raise MissingDependencyError("tables of embeddings and URIs need: pip install 'visavis[parquet]'") from error
    if not is_uri(location):
        return fs.LocalFileSystem(), str(Path(location).absolute())
    try:
        system, path = fs.FileSystem.from_uri(location)
    except ArrowInvalid as error:
        raise DataError(f"{location}: unknown kind of URI ({error})") from error
    except OSError as error:
        raise DataError(f"{location}: cannot be reached ({error})") from error
    return system, path.rstrip("/")


class ObjectFolder:
    """The files below a URI."""

    def __init__(self, root: str, *, max_bytes: int) -> None:
        """Open the folder; nothing is listed.

        Args:
            root: Its URI.
            max_bytes: How many bytes of a file are read at most, and one more.
        """
        self._root, self._max_bytes = root, max_bytes
        self._system, self._path = filesystem_of(root)

    def infos(self) -> dict[str, Any]:
        """Return pyarrow's description of each file, by its path below the root.

        Raises:
            DataError: If it cannot be listed, or a name is not UTF-8.
        """
        from pyarrow import fs

        try:
            listed = self._system.get_file_info(fs.FileSelector(self._path, recursive=True))
            return {PurePosixPath(info.path).relative_to(self._path).as_posix(): info for info in listed if info.is_file}
        except UnicodeDecodeError as error:
            name = error.object.decode("utf-8", "backslashreplace")
            raise DataError(f"{self._root}: {name}: the name is not UTF-8. Give the folder as a path, not as a URI") from None
        except OSError as error:
            raise DataError(f"{self._root}: cannot be listed ({error})") from error

    def entries(self, infos: dict[str, Any]) -> Iterator[Entry]:
        """Read the first bytes of each file, many at once."""

        def entry(name: str) -> Entry:
            if any(map(is_system_entry, name.split("/"))):
                return Entry(name, b"")
            try:
                with self._system.open_input_stream(infos[name].path) as stream:
                    return Entry(name, stream.read(HEAD_BYTES))
            except OSError as error:
                return Entry(name, b"", ("unreadable", str(error)))

        with ThreadPoolExecutor(_REQUESTS) as pool:
            yield from pool.map(entry, infos)

    def fetch(self, path: str) -> bytes:
        """Return the content of a file.

        Raises:
            ImageError: If it cannot be read.
        """
        try:
            with self._system.open_input_stream(f"{self._path}/{path}") as stream:
                content: bytes = stream.read(self._max_bytes + 1)
                return content
        except OSError as error:
            raise ImageError(f"{self._root}/{path}: {error}") from error


def open_object(root: str) -> tuple[Any, str] | None:
    """Open what is at a URI if it is a file, an archive; None: it is a folder.

    Returns:
        The file, of which any part can be read, and what changes with its content.

    Raises:
        DataError: If there is nothing.
    """
    from pyarrow import fs

    system, path = filesystem_of(root)
    try:
        info = system.get_file_info(path)
        if info.type == fs.FileType.Directory:
            return None
        if info.type == fs.FileType.File:
            return system.open_input_file(path), stamp_of(info)
    except OSError as error:
        raise DataError(f"{root}: cannot be read ({error})") from error
    raise DataError(f"{root}: no such folder or file")


def stamp_of(info: Any) -> str:
    """Return size and modification time of a file, by which a changed one is recognised."""
    return f"{info.size} {info.mtime_ns}"
