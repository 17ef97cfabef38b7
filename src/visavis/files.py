"""Atomic writes, private permissions, and checks of paths."""

import csv
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from visavis.errors import DataError

__all__ = ["atomic_write", "check_path", "csv_bytes", "make_private_folder", "write_csv"]


@contextmanager
def atomic_write(path: Path, *, private: bool = False) -> Iterator[Path]:
    """Yield a temporary file beside `path`, which replaces `path` once all of it is on the disk.

    A run that is killed at any moment, or finds the disk full, leaves the old file or the new one, never a part.

    Args:
        path: The file to write; missing folders are created.
        private: Whether only its owner may read it (mode 0600), whatever the umask is: for faces and names of people.

    Raises:
        DataError: If no file can have this path.
        OSError: If it cannot be written; names `path` where the system names none.
    """
    check_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        if private:
            os.close(os.open(temporary, os.O_CREAT | os.O_WRONLY, 0o600))
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_csv(path: Path, columns: Iterable[str], rows: Iterable[Iterable[Any]], *, private: bool = False) -> None:
    """Write a CSV in UTF-8 with a line of column names, atomically; `private` as in `atomic_write`."""
    with atomic_write(path, private=private) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        _write_rows(file, columns, rows)


def csv_bytes(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> bytes:
    """Return the content of a CSV in UTF-8 with a line of column names."""
    text = io.StringIO(newline="")
    _write_rows(text, columns, rows)
    return text.getvalue().encode()


def _write_rows(file: TextIO, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    writer = csv.writer(file)
    writer.writerow(columns)
    writer.writerows(rows)


def make_private_folder(path: Path) -> Path:
    """Create a folder that only its owner may enter (mode 0700); one that exists keeps its permissions."""
    check_path(path).parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def check_path(path: Path | str) -> Path:
    """Return a path, or refuse one that no file can have.

    Raises:
        DataError: If it is empty, or has a NUL character.
    """
    text = str(path)
    if not text or "\0" in text:
        raise DataError(f"a path must not {'have a NUL character' if text else 'be empty'}, got {text!r}")
    return Path(path)
