"""API keys: create, list, revoke and look up. The file stores their hashes, never the keys.

A key is 256 random bits, which cannot be guessed or recovered from its hash by trial, so SHA-256 suffices: slow hashes like scrypt
protect passwords chosen by people, and would only slow down every request here. Hashes are compared in constant time.
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

from visavis.errors import DataError, check_option
from visavis.gallery.schema import enable_wal

__all__ = ["SCOPES", "Key", "KeyStore", "Scope"]

Scope = Literal["decide", "read", "list", "write", "admin", "embed"]
SCOPES: tuple[Scope, ...] = get_args(Scope)[:-1]
"""Scopes in ascending order; each includes those before it. The scope `embed` stands by itself."""

_KEY = re.compile(r"vv_([0-9a-f]{12})_([\w-]{43})", re.ASCII)
_TABLE = """
CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, scope TEXT NOT NULL, hash BLOB NOT NULL, created TEXT NOT NULL, revoked TEXT,
    all_scores INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID
"""
_LATER_COLUMN = "ALTER TABLE keys ADD COLUMN all_scores INTEGER NOT NULL DEFAULT 0"
_NO_HASH = bytes(hashlib.sha256().digest_size)


@dataclass(frozen=True)
class Key:
    """An API key without its secret.

    Attributes:
        id: Public part of the key, which logs show.
        name: Owner or purpose.
        scope: The scope.
        created: Time of creation, ISO 8601, UTC.
        revoked: Time of revocation; None: the key is valid.
        all_scores: Whether it also gets scores below the thresholds, and explanations.
    """

    id: str
    name: str
    scope: Scope
    created: str
    revoked: str | None = None
    all_scores: bool = False

    def allows(self, scope: Scope) -> bool:
        """Return whether the key's scope includes the given one."""
        if "embed" in (self.scope, scope):
            return self.scope == scope
        return SCOPES.index(self.scope) >= SCOPES.index(scope)


class KeyStore:
    """An SQLite file of API keys, which several processes may read and write."""

    def __init__(self, path: Path | str, *, create: bool = False) -> None:
        """Open the file.

        Args:
            path: The file.
            create: Whether to create a missing file, readable by its owner only.

        Raises:
            DataError: If the file is missing, damaged or not a file of keys.
        """
        self.path = Path(path)
        if create and not self.path.exists():
            self.path.touch(mode=0o600)
        if not self.path.is_file():
            raise DataError(f"{self.path}: no such file of keys. Create a key with: visavis keys create NAME --keys {self.path}")
        with self._database() as database:
            enable_wal(database)  # revocations and requests never wait for each other
            database.execute(_TABLE)
            if not any(column[1] == "all_scores" for column in database.execute("PRAGMA table_info(keys)")):
                database.execute(_LATER_COLUMN)

    def create(self, name: str, scope: Scope, *, all_scores: bool = False) -> str:
        """Create a key and return it; it is not stored and cannot be shown again.

        Args:
            name: Owner or purpose.
            scope: The scope.
            all_scores: Whether it also gets scores below the thresholds, and explanations; needs at least `read`.

        Raises:
            ValueError: If the scope is unknown or too small, or the name is empty.
        """
        check_option("scope", scope, Scope)
        if not name.strip():
            raise ValueError(f"name must say whose key this is, got {name!r}")
        if all_scores and scope in ("decide", "embed"):
            raise ValueError(f"scope must be at least 'read' for all scores, got '{scope}'")
        key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        with self._database() as database:
            row = key_id, name, scope, _hash(secret), _now(), all_scores
            database.execute("INSERT INTO keys (id, name, scope, hash, created, all_scores) VALUES (?, ?, ?, ?, ?, ?)", row)
        return f"vv_{key_id}_{secret}"

    def list(self) -> list[Key]:
        """Return all keys, including revoked ones, oldest first."""
        with self._database() as database:
            rows = database.execute("SELECT id, name, scope, created, revoked, all_scores FROM keys ORDER BY created, id")
            return [Key(key_id, name, scope, made, gone, bool(scores)) for key_id, name, scope, made, gone, scores in rows]

    def revoke(self, key_id: str) -> None:
        """Revoke a key with immediate effect.

        Raises:
            DataError: If there is no valid key with this id.
        """
        with self._database() as database:
            changed = database.execute("UPDATE keys SET revoked = ? WHERE id = ? AND revoked IS NULL", (_now(), key_id))
            if not changed.rowcount:
                raise DataError(f"{self.path}: no valid key {key_id}. List the keys with: visavis keys list --keys {self.path}")

    def find(self, text: str) -> Key | None:
        """Return the valid key with this text, or None. The file is queried each time, so a revocation has effect at once."""
        parts = _KEY.fullmatch(text)
        key_id, secret = parts.groups() if parts else ("", "")
        with self._database() as database:
            query = "SELECT hash, all_scores, id, name, scope, created FROM keys WHERE id = ? AND revoked IS NULL"
            row = database.execute(query, (key_id,)).fetchone()
        matches = hmac.compare_digest(_hash(secret), row[0] if row else _NO_HASH)
        if not row or not matches:
            return None
        _, all_scores, found, name, scope, created = row
        return Key(found, name, scope, created, None, bool(all_scores))

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
