"""The files in a folder, a `.tar`, a `.zip` or an object store: names, first bytes, and content on request."""

import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from visavis.data.intake import Entry, Kind, is_system_entry
from visavis.data.objects import ObjectFolder, open_object, stamp_of
from visavis.errors import DataError, ImageError
from visavis.formats import HEAD_BYTES
from visavis.wording import counted

__all__ = ["Store", "file_stamp", "open_store"]

_MOST_MEMBERS = 5_000_000
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError)  # the last: a ZIP of an unknown kind
_UTF8_NAMES, _ENCRYPTED, _LINK_MODE = 0x800, 0x1, 0o120000
_LINK: tuple[Kind, str] = ("unreadable", "a link; links in archives are not followed")


@dataclass(frozen=True, eq=False)
class Store:
    """Files below a root.

    Attributes:
        entries: All of them.
        fetch: Returns what `read_image` takes for an entry's path: a path, or the bytes of a member of an archive or of an object;
            raises `ImageError` if it cannot be read.
        stamp: Returns size and modification time for an entry's path, or those of the archive, by which a changed file is
            recognised; empty: not known.
    """

    entries: list[Entry]
    fetch: Callable[[str], Path | bytes]
    stamp: Callable[[str], str]


@contextmanager
def open_store(root: Path | str, *, max_bytes: int) -> Iterator[Store]:
    """List the files of a folder or an archive, on a disk or in an object store; archives stay open until the end of the block.

    Args:
        root: The folder or archive, or its URI.
        max_bytes: The largest member of an archive that is read.

    Raises:
        DataError: If there is no such folder or file, or if it is not a readable archive.
        MissingDependencyError: If it is a URI, and pyarrow is not installed.
    """
    with ExitStack() as stack:
        opened = open_object(root) if isinstance(root, str) else _open_path(root)
        if opened is None:
            yield _object_folder(root, max_bytes) if isinstance(root, str) else _folder(root)
            return
        file, stamp = opened
        stack.callback(file.close)
        try:
            archive = _Zip(root, file, stack) if _is_zip(file) else _Tar(root, file, stack)
        except _DAMAGE as error:
            reason = str(error).partition(":")[0]  # tarfile's message goes on for lines
            raise DataError(f"{root}: not a readable .tar or .zip ({reason})") from error

        def fetch(path: str) -> bytes:
            try:
                with archive.open(path) as member:
                    data = member.read(max_bytes + 1)
            except _DAMAGE as error:
                raise ImageError(f"{root}/{path}: cannot be read from the archive ({error})") from error
            if len(data) > max_bytes:
                raise ImageError(f"{root}/{path}: more than the limit of {counted(max_bytes, 'byte')}")
            return data

        yield Store(archive.entries, fetch, lambda path: stamp)


def file_stamp(path: Path) -> str:
    """Return size and modification time of a file; empty: it cannot be read."""
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"


def _folder(root: Path) -> Store:
    return Store(list(_walk(root)), lambda path: root / path, lambda path: file_stamp(root / path))


def _object_folder(root: str, max_bytes: int) -> Store:
    folder = ObjectFolder(root, max_bytes=max_bytes)
    infos = folder.infos()
    return Store(list(folder.entries(infos)), folder.fetch, lambda path: stamp_of(infos[path]))


def _open_path(root: Path) -> tuple[IO[bytes], str] | None:
    """Open an archive; None: the path is a folder."""
    if root.is_dir():
        return None
    if not root.is_file():
        raise DataError(f"{root}: no such file or folder")
    return root.open("rb"), file_stamp(root)


def _walk(root: Path) -> Iterator[Entry]:
    """List the files of a folder at every depth. Links are followed, but no folder is entered twice."""
    entered: dict[tuple[int, int], str] = {}
    waiting = [""]
    while waiting:
        below = waiting.pop()
        folder = os.path.join(root, below)  # noqa: PTH118 - ten times as fast as Path, and there may be millions
        try:
            status = os.stat(folder)  # noqa: PTH116
            first = entered.setdefault((status.st_dev, status.st_ino), below)
            if first != below:
                yield Entry(below, b"", ("unreadable", f"a link to the folder {first or '.'}, which is read already"))
                continue
            with os.scandir(folder) as listing:
                children = sorted(listing, key=lambda child: child.name)
        except OSError as error:
            if not below:
                raise DataError(f"{root}: {error.strerror or error}") from error
            yield Entry(below, b"", ("unreadable", error.strerror or str(error)))
            continue
        folders = []
        in_system = any(map(is_system_entry, below.split("/")))
        for child in children:
            path = f"{below}/{child.name}" if below else child.name
            if _is(child, "is_dir"):
                folders.append(path)
            else:
                yield Entry(path, b"") if in_system or is_system_entry(child.name) else _entry_of(child, path)
        waiting += reversed(folders)


def _is(child: "os.DirEntry[str]", test: str) -> bool:
    """Call `is_dir` or `is_file`, where links that lead in a circle are neither."""
    try:
        return bool(getattr(child, test)())
    except OSError:
        return False


def _entry_of(child: "os.DirEntry[str]", path: str) -> Entry:
    """Read the first bytes of a file; a pipe or device is not opened, as that could wait forever."""
    if not _is(child, "is_file"):
        reason = "a link to a file that is missing" if child.is_symlink() else "not a regular file"
        return Entry(path, b"", ("unreadable", reason))
    try:
        descriptor = os.open(child.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            return Entry(path, os.read(descriptor, HEAD_BYTES))
        finally:
            os.close(descriptor)
    except OSError as error:
        return Entry(path, b"", ("unreadable", error.strerror or str(error)))


def _is_zip(file: IO[bytes]) -> bool:
    """Return whether an archive is a ZIP, not a tar: a tar may end with a ZIP, and a ZIP may follow a program that unpacks it."""
    head = file.read(HEAD_BYTES)
    file.seek(0)
    found = head.startswith(b"PK") or (zipfile.is_zipfile(file) and not _is_tar(file))
    file.seek(0)
    return found


def _is_tar(file: IO[bytes]) -> bool:
    file.seek(0)
    return tarfile.is_tarfile(file)


def _clean(name: str) -> tuple[str, tuple[Kind, str] | None]:
    """Return a member's path without `.` and empty parts, and what is wrong with it."""
    path = "/".join(part for part in name.split("/") if part not in ("", "."))
    leaves = ".." in path.split("/")
    return path, ("bad name", "its path leads out of the archive") if leaves else None


class _Archive:
    """The members of an archive: where two have one path, the later one counts."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._at: dict[str, int] = {}

    def _add(self, root: Path | str, entry: Entry) -> None:
        if (before := self._at.get(entry.path)) is not None:
            replaced: tuple[Kind, str] = ("replaced", "a later entry of the archive has this name")
            self.entries[before] = self.entries[before]._replace(problem=replaced)
        self._at[entry.path] = len(self.entries)
        self.entries.append(entry)
        if len(self.entries) > _MOST_MEMBERS:
            raise DataError(f"{root}: more than {_MOST_MEMBERS:,} files")


class _Zip(_Archive):
    """A `.zip`."""

    def __init__(self, root: Path | str, file: IO[bytes], stack: ExitStack) -> None:
        super().__init__()
        self._archive = stack.enter_context(zipfile.ZipFile(file))
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in self._archive.infolist():
            name = _zip_name(member)
            if name.endswith("/"):
                continue
            path, problem = _clean(name)
            self._members[path] = member
            self._add(root, self._entry(member, path, problem))

    def _entry(self, member: zipfile.ZipInfo, path: str, problem: tuple[Kind, str] | None) -> Entry:
        if problem is None and (member.external_attr >> 16) & 0o170000 == _LINK_MODE:
            problem = _LINK
        if problem is None and member.flag_bits & _ENCRYPTED:
            problem = ("unreadable", "protected by a password")
        if problem is not None or any(map(is_system_entry, path.split("/"))):
            return Entry(path, b"", problem)
        try:
            with self._archive.open(member) as file:
                return Entry(path, file.read(HEAD_BYTES))
        except _DAMAGE as error:
            return Entry(path, b"", ("unreadable", f"cannot be read from the archive ({error})"))

    def open(self, path: str) -> IO[bytes]:
        """Open a member for reading."""
        return self._archive.open(self._members[path])


def _zip_name(member: zipfile.ZipInfo) -> str:
    """Return a member's name, with the separators of Windows replaced, in UTF-8 where it is so without saying so (macOS)."""
    name = member.filename.replace("\\", "/")
    if member.flag_bits & _UTF8_NAMES or name.isascii():
        return name
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:
        return name


class _Tar(_Archive):
    """A `.tar`, perhaps compressed; the first bytes of its members are read on the way, so that it is read once."""

    def __init__(self, root: Path | str, file: IO[bytes], stack: ExitStack) -> None:
        super().__init__()
        tar = tarfile.open(fileobj=file, encoding="utf-8", errors="surrogateescape")  # noqa: SIM115 - the stack closes it
        self._tar = stack.enter_context(tar)
        self._members: dict[str, tarfile.TarInfo] = {}
        heads: dict[str, bytes] = {}
        for member in self._tar:
            if member.isdir():
                continue
            path, problem = _clean(member.name)
            target, _ = _clean(member.linkname) if member.islnk() else (path, None)
            if member.islnk() and target in heads:
                self._members[path], heads[path] = self._members[target], heads[target]
            elif member.isreg():
                self._members[path], heads[path] = member, b""
                if problem is None and not any(map(is_system_entry, path.split("/"))):
                    heads[path] = self.open(path).read(HEAD_BYTES)
            else:
                problem = problem or (_LINK if member.issym() or member.islnk() else ("unreadable", "not a regular file"))
            self._add(root, Entry(path, heads.get(path, b"") if problem is None else b"", problem))

    def open(self, path: str) -> IO[bytes]:
        """Open a member for reading."""
        file = self._tar.extractfile(self._members[path])
        assert file is not None, path  # only regular members are listed
        return file
