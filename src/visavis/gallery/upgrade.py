"""Upgrade of gallery files of version 1, which had no data keys and stored names, and without a key everything, unencrypted."""

import sqlite3
import time
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from visavis.data.names import normalise_name
from visavis.errors import GalleryError, GalleryKeyError
from visavis.gallery.encryption import SubjectKey, decrypt, fingerprint, parse_key
from visavis.gallery.keyfile import KeyFile, install, replacement_of
from visavis.gallery.records import DIGEST_SIZE
from visavis.gallery.schema import checkpoint_wal, create_schema, transaction

__all__ = ["upgrade"]

_TABLES = ("gallery", "subjects", "enrolled", "photos", "log")
_TIMEOUT, _PAUSE = 30.0, 0.05


def upgrade(connection: sqlite3.Connection, path: Path, key: str | None) -> None:
    """Encrypt a gallery of version 1 under data keys, in one transaction, and overwrite what it held before.

    Names that become equal when they are normalised are one subject afterwards.

    Args:
        connection: To the gallery.
        path: The gallery.
        key: The gallery key of the file; None: it has none.

    Raises:
        GalleryKeyError: If the key is not the right one; nothing is changed.
        GalleryError: If other processes keep reading, so that the old content cannot be overwritten yet.
    """
    with transaction(connection):
        if connection.execute("PRAGMA user_version").fetchone()[0] != 1:
            return  # another process has done it
        connection.execute("PRAGMA defer_foreign_keys = ON")
        identifier = _convert(connection, path, key)
    if identifier is not None:
        with transaction(connection):
            install(path, identifier)
    connection.execute("VACUUM")
    deadline = time.monotonic() + _TIMEOUT
    while not checkpoint_wal(connection):
        if time.monotonic() > deadline:
            raise GalleryError(f"{path}: upgraded, but another process keeps reading; unencrypted content is left until it stops")
        time.sleep(_PAUSE)


def _convert(connection: sqlite3.Connection, path: Path, key: str | None) -> bytes | None:
    """Copy all tables into those of the present version; return the identifier of the new key file, None for an empty gallery."""
    sequences = dict(connection.execute("SELECT name, seq FROM sqlite_sequence"))
    connection.execute("DROP INDEX enrolled_by_subject")
    for table in _TABLES:
        connection.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    create_schema(connection)
    about = connection.execute("SELECT encoder, size, key, created FROM old_gallery").fetchone()
    identifier = None
    if about is not None:
        if about[2] != fingerprint(key):
            raise GalleryKeyError(f"{path}: the key is missing, not needed or wrong. Set VISAVIS_GALLERY_KEY to the right key.")
        keys = KeyFile.create(replacement_of(path), key=key, slots=sequences.get("subjects", 0))
        _copy(connection, keys, parse_key(key))
        connection.execute("INSERT INTO gallery VALUES (1, ?, ?, ?, ?, ?)", (*about, keys.id))
        keys.close()
        identifier = keys.id
    connection.execute("INSERT INTO log SELECT * FROM old_log")
    for table in reversed(_TABLES):
        connection.execute(f"DROP TABLE old_{table}")
    for table, last in sequences.items():
        connection.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, last))
    return identifier


def _copy(connection: sqlite3.Connection, keys: KeyFile, old_key: bytes | None) -> None:
    """Encrypt subjects, references and photos."""
    cipher = None if old_key is None else AESGCM(old_key)

    def opened(stored: bytes, subject: int) -> bytes:
        return stored if cipher is None else decrypt(cipher, stored, b"visavis subject %d" % subject)

    moved: dict[int, int] = {}
    first: dict[str, int] = {}
    for number, name, created in connection.execute("SELECT number, name, created FROM old_subjects ORDER BY number").fetchall():
        name = normalise_name(name)
        moved[number] = first.setdefault(name, number)
        if moved[number] == number:
            values = (number, keys.master.index(name), _key(keys, number).encrypt(name.encode(), "name"), created)
            connection.execute("INSERT INTO subjects VALUES (?, ?, ?, ?)", values)
    for number, subject, stored in connection.execute("SELECT number, subject, embedding FROM old_enrolled"):
        value = bytes(DIGEST_SIZE) + opened(stored, subject)
        new = _key(keys, moved[subject]).encrypt(value, "embedding", number)
        connection.execute("INSERT INTO enrolled VALUES (?, ?, ?)", (number, moved[subject], new))
    query = "SELECT reference, subject, photo FROM old_photos JOIN old_enrolled ON number = reference"
    for number, subject, stored in connection.execute(query):
        new = _key(keys, moved[subject]).encrypt(opened(stored, subject), "photo", number)
        connection.execute("INSERT INTO photos VALUES (?, ?)", (number, new))


def _key(keys: KeyFile, number: int) -> SubjectKey:
    key = keys.key(number)
    assert key is not None, "a new key file has a key for every subject"
    return key
