"""The schema of a gallery file and connections to it."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from visavis.errors import DamagedGalleryError, GalleryError

__all__ = [
    "SCHEMA",
    "VERSION",
    "checkpoint_wal",
    "connect",
    "create_file",
    "create_schema",
    "enable_wal",
    "prepare",
    "transaction",
    "translate_errors",
]

APPLICATION = 0x76697361  # application id in the header of the file
_TIMEOUT = 30.0
_PAUSE = 0.005
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

VERSION = 2  # version 1 had no data keys; see `upgrade`
SCHEMA = (
    """CREATE TABLE gallery (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        encoder TEXT NOT NULL,
        size INTEGER NOT NULL,
        key TEXT,
        created TEXT NOT NULL,
        keys BLOB NOT NULL
    )""",
    # AUTOINCREMENT never reuses a number, so the last known number tells what is new
    """CREATE TABLE subjects (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        name_index BLOB NOT NULL UNIQUE,
        name BLOB NOT NULL,
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
    # a subject appears by number only: once deleted, the log does not identify the person
    """CREATE TABLE log (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        time TEXT NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        subject INTEGER,
        count INTEGER
    )""",
)


def connect(path: Path) -> sqlite3.Connection:
    """Connect to a file with durable commits and secure deletion.

    Checkpoints run in `checkpoint_wal` only: one that runs beside a writer can damage the file in SQLite before 3.51.3
    ("WAL-reset bug").
    """
    connection = sqlite3.connect(path, timeout=_TIMEOUT, isolation_level=None, check_same_thread=False)
    try:
        enable_wal(connection)
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


def enable_wal(connection: sqlite3.Connection) -> None:
    """Switch to a write-ahead log; retried, as SQLite does not wait where two connections switch a new file at once."""
    for _ in _attempts():
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            busy = error
    raise busy


def prepare(connection: sqlite3.Connection, path: Path) -> int:
    """Create the schema in an empty file and return the version of the schema: 1 must be upgraded.

    Raises:
        DamagedGalleryError: If it is another kind of database.
        GalleryError: If it was written by a newer visavis.
    """
    version, application, _ = _state_of(connection)
    if (version, application) == (VERSION, APPLICATION):
        return version
    with transaction(connection):
        version, application, tables = _state_of(connection)  # another process may have changed it by now
        if application != APPLICATION and tables:
            raise DamagedGalleryError(f"{path}: a database, but not a visavis gallery")
        if version > VERSION:
            raise GalleryError(
                f"{path}: written by a newer visavis (version {version}, supported up to {VERSION}). Upgrade visavis."
            )
        if version == 0:
            create_schema(connection)
        return version or VERSION


def create_schema(connection: sqlite3.Connection) -> None:
    """Create the tables of the current version."""
    for statement in (*SCHEMA, f"PRAGMA application_id = {APPLICATION}", f"PRAGMA user_version = {VERSION}"):
        connection.execute(statement)


def _state_of(connection: sqlite3.Connection) -> tuple[int, int, int]:
    queries = ("PRAGMA user_version", "PRAGMA application_id", "SELECT count(*) FROM sqlite_master")
    version, application, tables = (connection.execute(query).fetchone()[0] for query in queries)
    return version, application, tables


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """Open a transaction: `IMMEDIATE` to write, `DEFERRED` to read one snapshot."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def checkpoint_wal(connection: sqlite3.Connection) -> bool:
    """Checkpoint and truncate the write-ahead log, without waiting for readers and writers.

    Returns:
        Whether it succeeded; other connections that read or write prevent it.
    """
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return False
        raise
    finally:
        connection.execute(f"PRAGMA busy_timeout = {1000 * _TIMEOUT:.0f}")


def _attempts() -> Iterator[None]:
    """Yield at least once, and again with pauses until the timeout."""
    deadline = time.monotonic() + _TIMEOUT
    while True:
        yield
        if time.monotonic() > deadline:
            return
        time.sleep(_PAUSE)


@contextmanager
def translate_errors(path: Path) -> Iterator[None]:
    """Translate errors of SQLite into those of visavis.

    Raises:
        DamagedGalleryError: If the file is damaged or not a database.
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
    """Create an empty file with private permissions, if missing; SQLite gives the files beside it the same permissions."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
