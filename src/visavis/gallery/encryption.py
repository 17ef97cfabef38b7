"""Encryption of embeddings and photos (AES-256-GCM), or none."""

import hashlib
import os
import re
from collections.abc import Iterable
from typing import Protocol

from visavis.errors import GalleryKeyError, MissingDependencyError

__all__ = ["Cipher", "fingerprint", "make_cipher"]

_NONCE = 12
_OWNER = b"visavis subject %d"
_KEY = re.compile(r"[0-9a-fA-F]{64}")


class Cipher(Protocol):
    """Encrypts and decrypts stored values."""

    def encrypt(self, value: bytes, subject: int) -> bytes:
        """Encrypt a value of the subject with this number."""

    def decrypt(self, kept: bytes, subject: int) -> bytes:
        """Decrypt a value.

        Raises:
            GalleryKeyError: If it was encrypted with another key or for another subject, or was modified.
        """

    def decrypt_all(self, kept: Iterable[bytes], subjects: Iterable[int]) -> bytes:
        """Decrypt many values and concatenate them."""


class _Plain:
    """No encryption."""

    def encrypt(self, value: bytes, subject: int) -> bytes:
        return value

    def decrypt(self, kept: bytes, subject: int) -> bytes:
        return kept

    def decrypt_all(self, kept: Iterable[bytes], subjects: Iterable[int]) -> bytes:
        return b"".join(kept)


class _Aes:
    """AES-256-GCM: nonce, ciphertext and tag; the subject is associated data, so a value cannot be moved to another subject."""

    def __init__(self, key: str) -> None:
        if not _KEY.fullmatch(key):
            raise GalleryKeyError("a gallery key must be 64 hexadecimal digits; create one with: openssl rand -hex 32")
        try:
            from cryptography.exceptions import InvalidTag
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError as error:
            raise MissingDependencyError("encrypted galleries need: pip install 'visavis[gallery]'") from error
        self._aes, self._invalid = AESGCM(bytes.fromhex(key)), InvalidTag

    def encrypt(self, value: bytes, subject: int) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._aes.encrypt(nonce, value, _OWNER % subject)

    def decrypt(self, kept: bytes, subject: int) -> bytes:
        try:
            return self._aes.decrypt(kept[:_NONCE], kept[_NONCE:], _OWNER % subject)
        except (self._invalid, ValueError) as error:
            raise GalleryKeyError("an encrypted value was modified, moved or encrypted with another key") from error

    def decrypt_all(self, kept: Iterable[bytes], subjects: Iterable[int]) -> bytes:
        return b"".join(map(self.decrypt, kept, subjects))


def make_cipher(key: str | None) -> Cipher:
    """Return the cipher for a key of 64 hexadecimal digits; None: no encryption.

    Raises:
        GalleryKeyError: If the key is malformed.
        MissingDependencyError: If the package `cryptography` is not installed.
    """
    return _Plain() if key is None else _Aes(key)


def fingerprint(key: str | None) -> str | None:
    """Return a digest by which a key is recognised; it does not reveal the key, as keys are random."""
    return None if key is None else hashlib.sha256(b"visavis gallery key " + key.lower().encode()).hexdigest()[:32]
