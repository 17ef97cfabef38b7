"""Embeddings and photos as they are kept: as they are, or encrypted (AES-256-GCM)."""

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
    """How a value becomes what is kept, and the way back."""

    def encrypt(self, value: bytes, subject: int) -> bytes:
        """Return what is kept of a value that belongs to the subject of this number."""

    def decrypt(self, kept: bytes, subject: int) -> bytes:
        """Return the value.

        Raises:
            GalleryKeyError: If it was encrypted with another key, for another subject, or was changed since.
        """

    def decrypt_all(self, kept: Iterable[bytes], subjects: Iterable[int]) -> bytes:
        """Return many values in one piece."""


class _Plain:
    """Values are kept as they are."""

    def encrypt(self, value: bytes, subject: int) -> bytes:
        return value

    def decrypt(self, kept: bytes, subject: int) -> bytes:
        return kept

    def decrypt_all(self, kept: Iterable[bytes], subjects: Iterable[int]) -> bytes:
        return b"".join(kept)


class _Aes:
    """Values are kept as nonce, ciphertext and tag; the subject is authenticated with them, so none can be put under another."""

    def __init__(self, key: str) -> None:
        if not _KEY.fullmatch(key):
            raise GalleryKeyError("a gallery's key is 64 hexadecimal digits. Make one with: openssl rand -hex 32")
        try:
            from cryptography.exceptions import InvalidTag
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError as error:
            raise MissingDependencyError("galleries with a key need: pip install 'visavis[gallery]'") from error
        self._aes, self._invalid = AESGCM(bytes.fromhex(key)), InvalidTag

    def encrypt(self, value: bytes, subject: int) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._aes.encrypt(nonce, value, _OWNER % subject)

    def decrypt(self, kept: bytes, subject: int) -> bytes:
        try:
            return self._aes.decrypt(kept[:_NONCE], kept[_NONCE:], _OWNER % subject)
        except (self._invalid, ValueError) as error:
            raise GalleryKeyError("an encrypted value was changed, moved or encrypted with another key") from error

    def decrypt_all(self, kept: Iterable[bytes], subjects: Iterable[int]) -> bytes:
        return b"".join(map(self.decrypt, kept, subjects))


def make_cipher(key: str | None) -> Cipher:
    """Return how values are kept with a key of 64 hexadecimal digits; None: as they are.

    Raises:
        GalleryKeyError: If it is no key.
        MissingDependencyError: If the package `cryptography` is not installed.
    """
    return _Plain() if key is None else _Aes(key)


def fingerprint(key: str | None) -> str | None:
    """Return by what a key is known again: nobody can find the key from it, as keys are random."""
    return None if key is None else hashlib.sha256(b"visavis gallery key " + key.lower().encode()).hexdigest()[:32]
