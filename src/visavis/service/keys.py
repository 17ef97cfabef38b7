"""API keys: made, listed, revoked and recognised; the file holds their hashes, never the keys.

A key is 256 random bits, so nobody can guess one or find it from its hash by trying, and SHA-256 is the right hash: slow ones like
scrypt protect passwords that people think up, and would only make every request slower here. Hashes are compared in constant time.
"""

import hashlib
import hmac
import re
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from visavis.errors import DataError
from visavis.gallery.schema import enable_wal

__all__ = ["SCOPES", "Key", "KeyStore", "Scope"]

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""Each may do what those before it may."""

_FORM = re.compile(r"vv_([0-9a-f]{12})_([\w-]{43})", re.ASCII)
_TABLE = """
CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, scope TEXT NOT NULL, hash BLOB NOT NULL, created TEXT NOT NULL, revoked TEXT
) STRICT, WITHOUT ROWID
"""
_NO_HASH = bytes(hashlib.sha256().digest_size)


@dataclass(frozen=True)
class Key:
    """What is known of a key.

    Attributes:
        id: Its public part, which logs show.
        name: Whose or what for it is.
        scope: What it is for.
        created: When it was made, ISO 8601, UTC.
        revoked: When it was revoked; None: it is valid.
    """

    id: str
    name: str
    scope: Scope
    created: str
    revoked: str | None = None

    def allows(self, scope: Scope) -> bool:
        """Tell whether it is for something that needs this scope."""
        return SCOPES.index(self.scope) >= SCOPES.index(scope)


class KeyStore:
    """A small SQLite file of keys, which several processes may read and write."""

    def __init__(self, path: Path | str, *, create: bool = False) -> None:
        """Open the file.

        Args:
            path: The file.
            create: Whether to make it where there is none; only its owner can read it then.

        Raises:
            DataError: If there is none, or if it is no file of keys.
        """
        self.path = Path(path)
        if create and not self.path.exists():
            self.path.touch(mode=0o600)
        if not self.path.is_file():
            raise DataError(f"{self.path}: no such file of keys. Make a key with: visavis keys create NAME --keys {self.path}")
        with self._database() as database:
            enable_wal(database)  # a revocation never waits for a request, nor a request for it
            database.execute(_TABLE)

    def create(self, name: str, scope: Scope) -> str:
        """Make a key and return it; it is not kept and cannot be shown again.

        Raises:
            ValueError: If the scope is none, or the name empty.
        """
        if scope not in SCOPES:
            raise ValueError(f"scope must be one of {', '.join(SCOPES)}. Received: scope={scope!r}")
        if not name.strip():
            raise ValueError(f"a key needs a name, of whose or what for it is. Received: name={name!r}")
        key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        with self._database() as database:
            row = key_id, name, scope, _hash(secret), _now()
            database.execute("INSERT INTO keys (id, name, scope, hash, created) VALUES (?, ?, ?, ?, ?)", row)
        return f"vv_{key_id}_{secret}"

    def list(self) -> list[Key]:
        """Return all keys, revoked ones too, the oldest first."""
        with self._database() as database:
            return [
                Key(*row) for row in database.execute("SELECT id, name, scope, created, revoked FROM keys ORDER BY created, id")
            ]

    def revoke(self, key_id: str) -> None:
        """Make a key invalid from now on.

        Raises:
            DataError: If there is no valid key of that id.
        """
        with self._database() as database:
            changed = database.execute("UPDATE keys SET revoked = ? WHERE id = ? AND revoked IS NULL", (_now(), key_id))
            if not changed.rowcount:
                raise DataError(f"{self.path}: no valid key {key_id}. See them all with: visavis keys list --keys {self.path}")

    def find(self, text: str) -> Key | None:
        """Return the valid key that this text is, or None. The file is asked each time, so a revocation counts at once."""
        parts = _FORM.fullmatch(text)
        key_id, secret = parts.groups() if parts else ("", "")
        with self._database() as database:
            query = "SELECT hash, id, name, scope, created FROM keys WHERE id = ? AND revoked IS NULL"
            row = database.execute(query, (key_id,)).fetchone()
        known = hmac.compare_digest(_hash(secret), row[0] if row else _NO_HASH)
        return Key(*row[1:]) if row and known else None

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self.path, timeout=2)
        try:
            with database:
                yield database
        except sqlite3.DatabaseError as error:
            raise DataError(f"{self.path}: not a file of keys, or a damaged one ({error})") from error
        finally:
            database.close()


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
