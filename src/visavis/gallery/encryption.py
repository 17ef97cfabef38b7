"""Encryption of a gallery: a random data key for each subject, wrapped by the gallery key (envelope encryption, AES-256-GCM).

Names, embeddings and photos of a subject are encrypted with the data key of the subject. The associated data binds each value to
the gallery, the subject, the kind of value and its row, so that a value cannot be moved to another place.
"""

import hashlib
import hmac
import os
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from visavis.errors import GalleryKeyError

__all__ = ["KEY_SIZE", "WRAPPED_SIZE", "MasterKey", "SubjectKey", "fingerprint", "parse_key"]

KEY_SIZE = 32
_NONCE = 12
WRAPPED_SIZE = _NONCE + KEY_SIZE + 16
_KEY = re.compile(r"[0-9a-fA-F]{64}")


def parse_key(key: str | None) -> bytes | None:
    """Return the bytes of a gallery key of 64 hexadecimal digits; None stays None.

    Raises:
        GalleryKeyError: If the key is malformed.
    """
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise GalleryKeyError("a gallery key must be 64 hexadecimal digits; create one with: openssl rand -hex 32")
    return bytes.fromhex(key)


def fingerprint(key: str | None) -> str | None:
    """Return a digest by which a gallery key is recognised; it does not reveal the key, as keys are random."""
    return None if key is None else hashlib.sha256(b"visavis gallery key " + key.lower().encode()).hexdigest()[:32]


def encrypt(key: AESGCM, value: bytes, associated: bytes) -> bytes:
    """Return nonce, ciphertext and tag."""
    nonce = os.urandom(_NONCE)
    return nonce + key.encrypt(nonce, value, associated)


def decrypt(key: AESGCM, stored: bytes, associated: bytes) -> bytes:
    """Return the value of `encrypt`.

    Raises:
        GalleryKeyError: If it was encrypted with another key or for another place, or was modified.
    """
    try:
        return key.decrypt(stored[:_NONCE], stored[_NONCE:], associated)
    except (InvalidTag, ValueError) as error:
        raise GalleryKeyError("an encrypted value was modified, moved or encrypted with another key") from error


@dataclass(frozen=True)
class SubjectKey:
    """The data key of one subject.

    Attributes:
        key: The cipher.
        context: Identifies gallery and subject in the associated data.
    """

    key: AESGCM
    context: bytes

    def encrypt(self, value: bytes, kind: str, row: int = 0) -> bytes:
        """Encrypt a value: its kind is `name`, `embedding` or `photo`, its row the number of the reference."""
        return encrypt(self.key, value, b"%s %s %d" % (self.context, kind.encode(), row))

    def decrypt(self, stored: bytes, kind: str, row: int = 0) -> bytes:
        """Decrypt what `encrypt` returned.

        Raises:
            GalleryKeyError: If it belongs to another subject, kind or row, or was modified.
        """
        return decrypt(self.key, stored, b"%s %s %d" % (self.context, kind.encode(), row))


class MasterKey:
    """The key of a gallery: wraps the data keys of its subjects and indexes their names."""

    def __init__(self, key: bytes, gallery: bytes) -> None:
        """Set the key.

        Args:
            key: 32 random bytes.
            gallery: The identifier of the gallery.
        """
        self._aes, self._gallery = AESGCM(key), gallery
        self._index = hmac.digest(key, b"visavis name index " + gallery, "sha256")

    def wrap(self, number: int) -> bytes:
        """Create a random data key for the subject with this number and return it wrapped."""
        return encrypt(self._aes, os.urandom(KEY_SIZE), self._context(number))

    def unwrap(self, wrapped: bytes, number: int) -> SubjectKey:
        """Unwrap the data key of the subject with this number.

        Raises:
            GalleryKeyError: If it belongs to another gallery or subject, or was modified.
        """
        context = self._context(number)
        return SubjectKey(AESGCM(decrypt(self._aes, wrapped, context)), context)

    def index(self, name: str) -> bytes:
        """Return the keyed digest by which a name is looked up (HMAC-SHA-256, 16 bytes)."""
        return hmac.digest(self._index, name.encode(), "sha256")[:16]

    def _context(self, number: int) -> bytes:
        return b"visavis %s subject %d" % (self._gallery.hex().encode(), number)
