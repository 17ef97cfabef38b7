"""The tables of a gallery's file, how older files become newer ones, and connections to it."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from visavis.errors import DamagedGalleryError, GalleryError

__all__ = ["MIGRATIONS", "connect", "create_file", "is_written", "keep_log", "migrate", "sweep", "told", "transaction"]

APPLICATION = 0x76697361  # in the header of the file, so that it is known for a gallery
_PATIENCE = 30.0
_PAUSE = 0.005
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE gallery (
            only INTEGER PRIMARY KEY CHECK (only = 1),
            encoder TEXT NOT NULL,
            size INTEGER NOT NULL,
            key TEXT,
            created TEXT NOT NULL
        )""",
        # numbers are never given twice (AUTOINCREMENT), so whoever knows the last one knows what is new
        """CREATE TABLE subjects (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL UNIQUE,
            created TEXT NOT NULL
        )""",
        """CREATE TABLE enrolled (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            subject INTEGER NOT NULL REFERENCES subjects ON DELETE CASCADE,
            embedding BLOB NOT NULL
        )""",
        "CREATE INDEX enrolled_by_subject ON enrolled (subject)",
        """CREATE TABLE photos (
            reference INTEGER PRIMARY KEY REFERENCES enrolled ON DELETE CASCADE,
            photo BLOB NOT NULL
        )""",
        # a subject stands here by number alone: once deleted, nothing tells who it was
        """CREATE TABLE log (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT,
            time TEXT NOT NULL,
            actor TEXT NOT NULL,
            action TEXT NOT NULL,
            subject INTEGER,
            count INTEGER
        )""",
    ),
)


def connect(path: Path) -> sqlite3.Connection:
    """Connect to a file, so that what is committed is on the disk and what is deleted is overwritten.

    Checkpoints are left to `sweep`: one that runs beside a writer can damage the file in SQLite before 3.51.3 ("WAL-reset bug").
    """
    connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        keep_log(connection)
        for setting in (
            "synchronous = FULL",
            "secure_delete = ON",
            "foreign_keys = ON",
            "wal_autocheckpoint = 0",
        ):
            connection.execute(f"PRAGMA {setting}")
    except BaseException:
        connection.close()
        raise
    return connection


def keep_log(connection: sqlite3.Connection) -> None:
    """Have changes written to a log beside the file; where two turn a new file to that at once, SQLite waits for neither."""
    for _ in _attempts():
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            busy = error
    raise busy


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring a file to the newest version.

    Raises:
        DamagedGalleryError: If it is a database of something else.
        GalleryError: If it is of a newer visavis.
    """
    if _state_of(connection)[:2] == (len(MIGRATIONS), APPLICATION):
        return
    with transaction(connection):
        version, application, tables = _state_of(connection)  # another process may have changed it by now
        if application != APPLICATION and tables:
            raise DamagedGalleryError(f"{path}: a database, but not a gallery of visavis")
        if version > len(MIGRATIONS):
            raise GalleryError(f"{path}: of a newer visavis (version {version}, known up to {len(MIGRATIONS)}). Upgrade visavis.")
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        if version < len(MIGRATIONS):
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _state_of(connection: sqlite3.Connection) -> tuple[int, int, int]:
    queries = ("PRAGMA user_version", "PRAGMA application_id", "SELECT count(*) FROM sqlite_master")
    version, application, tables = (connection.execute(query).fetchone()[0] for query in queries)
    return version, application, tables


def is_written(connection: sqlite3.Connection) -> bool:
    """Tell, without waiting, whether somebody writes just now."""
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        with transaction(connection):
            return False
    except sqlite3.OperationalError:
        return True
    finally:
        connection.execute(f"PRAGMA busy_timeout = {1000 * _PATIENCE:.0f}")


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """Do all of it or nothing; `IMMEDIATE` is for writing, `DEFERRED` for reading one state of the gallery."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def sweep(connection: sqlite3.Connection) -> bool:
    """Move what was written into the file itself and empty the log beside it, in which deleted pages would live on.

    Returns:
        Whether it could be done; others who read all the while keep it from being done.
    """
    for _ in _attempts():  # SQLite waits for readers and writers, but not for the checkpoint of another process
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not busy:
            return True
    return False


def _attempts() -> Iterator[None]:
    """Go round at least once, and again with pauses while patience lasts."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        yield
        if time.monotonic() > deadline:
            return
        time.sleep(_PAUSE)


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Tell what goes wrong with the file as an error of visavis.

    Raises:
        DamagedGalleryError: If the file is damaged or no database.
        GalleryError: If it cannot be read or written.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGED:
            raise DamagedGalleryError(f"{path}: damaged, or not a gallery ({error}). Restore a backup.") from error
        raise GalleryError(f"{path}: {error}") from error


def create_file(path: Path) -> None:
    """Make an empty file that only this account can read, if there is none; SQLite gives its files beside it the same rights."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
