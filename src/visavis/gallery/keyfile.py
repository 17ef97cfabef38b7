"""The key file beside a gallery: one slot of fixed size for the data key of each subject.

Slots are preallocated, never move and never enter a backup of the gallery. Deleting a subject overwrites the slot; from then on
every copy of the subject's data, in the file, its write-ahead log or a backup, is unreadable ciphertext (crypto-shredding).

Layout: a header of 4,096 bytes (magic, identifier of the key file, whether the gallery key wraps the master key, master key), then
slots of 64 bytes. An empty slot is all zeros.
"""

import hashlib
import os
from collections.abc import Collection
from pathlib import Path
from threading import Lock

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from visavis.errors import DamagedGalleryError, GalleryError, GalleryKeyError
from visavis.gallery.encryption import KEY_SIZE, WRAPPED_SIZE, MasterKey, SubjectKey, decrypt, encrypt, parse_key

__all__ = ["KeyFile", "identifier", "install", "keys_of", "replacement_of"]

_MAGIC = b"visavis gallery keys 1\n"
_HEADER, _SLOT = 4096, 64
_PREALLOCATED = 1024
_PLAIN, _WRAPPED = b"plain...", b"wrapped."
_CHECK = hashlib.sha256().digest_size
_ID = 16


def keys_of(path: Path) -> Path:
    """Return the path of the key file of a gallery."""
    return path.with_name(f"{path.name}.keys")


def replacement_of(path: Path) -> Path:
    """Return the path of a key file that is to replace the present one of a gallery."""
    return path.with_name(f"{path.name}.keys.new")


def identifier(path: Path) -> bytes | None:
    """Return the identifier in the header of a key file; None: there is no such file."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC) + _ID)[len(_MAGIC) :]
    except FileNotFoundError:
        return None


def install(path: Path, expected: bytes) -> None:
    """Put the key file with this identifier into its place; the one that it replaces is overwritten. Needs the write lock.

    A gallery names its key file by the identifier. The new file is complete before the gallery names it, and takes the place of the
    old one after that; whoever opens the gallery in between finishes the exchange.

    Raises:
        GalleryKeyError: If neither file has the identifier.
    """
    keys, new = keys_of(path), replacement_of(path)
    present = identifier(keys)
    if present == expected:
        new.unlink(missing_ok=True)
    elif identifier(new) == expected:
        if present is not None:
            _erase(keys)
        new.replace(keys)
        _sync_folder(keys.parent)
    elif present is None:
        raise GalleryKeyError(
            f"{keys}: the key file is missing, and a gallery is unreadable without it. A backup holds ciphertext only "
            "and needs the key file of the gallery that it is a copy of"
        )
    else:
        raise GalleryKeyError(f"{keys}: the key file of another gallery, or of this one after its key was rotated")


def _erase(path: Path) -> None:
    with path.open("r+b", buffering=0) as file:
        file.write(bytes(path.stat().st_size))
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    if os.name == "posix":
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class KeyFile:
    """An open key file. Threads may share it; processes share it through the write lock of the gallery.

    Attributes:
        path: The path.
        id: Identifier of the key file, 16 bytes.
        master: Wraps the data keys and indexes names.
    """

    def __init__(self, path: Path, *, key: str | None) -> None:
        """Open a key file.

        Args:
            path: The path.
            key: The gallery key; None: the header holds the master key itself.

        Raises:
            GalleryKeyError: If the key is not the right one.
            DamagedGalleryError: If the file is damaged.
        """
        self.path, self._lock = path, Lock()
        self._file = path.open("r+b", buffering=0)
        try:
            self.id, self.master = _read_header(path, self._file.read(_HEADER), key)
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(cls, path: Path, *, key: str | None, slots: int = 0) -> "KeyFile":
        """Create a key file with private permissions and preallocated slots, and open it.

        Raises:
            GalleryKeyError: If the key is malformed.
        """
        wrapping, identifier, master = parse_key(key), os.urandom(_ID), os.urandom(KEY_SIZE)
        stored = master if wrapping is None else encrypt(AESGCM(wrapping), master, _MAGIC + identifier)
        header = _MAGIC + identifier + (_PLAIN if wrapping is None else _WRAPPED) + stored.ljust(WRAPPED_SIZE, b"\0")
        header += hashlib.sha256(header).digest()
        descriptor = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o600)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            file.write(header.ljust(_HEADER, b"\0"))
        created = cls(path, key=key)
        created.reserve(max(slots, 1))
        _sync_folder(path.parent)
        return created

    def reserve(self, number: int) -> None:
        """Make sure that the slot of this subject exists and holds a key; returns once it is durable. Needs the write lock."""
        with self._lock:
            size = (self._file.seek(0, os.SEEK_END) - _HEADER) // _SLOT
            if number <= size:
                if self._read(number) is None:  # an older backup was restored, and the number is given a second time
                    self._write(number, self.master.wrap(number))
                return
            last = -(-number // _PREALLOCATED) * _PREALLOCATED
            slots = b"".join(self.master.wrap(each).ljust(_SLOT, b"\0") for each in range(size + 1, last + 1))
            self._file.seek(_HEADER + size * _SLOT)
            self._file.write(slots)
            os.fsync(self._file.fileno())

    def key(self, number: int) -> SubjectKey | None:
        """Return the data key of a subject; None: it was destroyed.

        Raises:
            GalleryKeyError: If the slot was modified.
        """
        with self._lock:
            wrapped = self._read(number)
        return None if wrapped is None else self.master.unwrap(wrapped, number)

    def keys(self, numbers: Collection[int]) -> dict[int, SubjectKey]:
        """Return the data keys of many subjects; destroyed ones are left out.

        Raises:
            GalleryKeyError: If a slot was modified.
        """
        if not numbers:
            return {}
        first, last = min(numbers), max(numbers)
        with self._lock:
            self._file.seek(_HEADER + (first - 1) * _SLOT)
            slots = self._file.read((last - first + 1) * _SLOT) or b""
        found = {}
        for number in numbers:
            wrapped = slots[(number - first) * _SLOT : (number - first) * _SLOT + WRAPPED_SIZE]
            if any(wrapped):
                found[number] = self.master.unwrap(wrapped, number)
        return found

    def live(self) -> npt.NDArray[np.int64]:
        """Return the numbers whose slots hold a key."""
        with self._lock:
            self._file.seek(_HEADER)
            slots = self._file.read() or b""
        whole = len(slots) // _SLOT
        rows = np.frombuffer(slots, dtype=np.uint64, count=whole * _SLOT // 8).reshape(whole, _SLOT // 8)
        return np.flatnonzero(rows.any(axis=1)) + 1

    def destroy(self, number: int) -> None:
        """Overwrite the slot of a subject and check that nothing is left of it. Needs the write lock.

        Raises:
            GalleryError: If the slot still holds a key.
        """
        with self._lock:
            self._write(number, b"")
            if self._read(number) is not None:
                raise GalleryError(f"{self.path}: the key of subject {number} could not be destroyed")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read(self, number: int) -> bytes | None:
        self._file.seek(_HEADER + (number - 1) * _SLOT)
        slot = self._file.read(_SLOT) or b""
        return slot[:WRAPPED_SIZE] if any(slot) else None

    def _write(self, number: int, wrapped: bytes) -> None:
        self._file.seek(_HEADER + (number - 1) * _SLOT)
        self._file.write(wrapped.ljust(_SLOT, b"\0"))
        os.fsync(self._file.fileno())


def _read_header(path: Path, header: bytes, key: str | None) -> tuple[bytes, MasterKey]:
    """Return the identifier and the master key."""
    wrapping = parse_key(key)
    end = len(_MAGIC) + _ID + len(_PLAIN) + WRAPPED_SIZE
    if not header.startswith(_MAGIC) or hashlib.sha256(header[:end]).digest() != header[end : end + _CHECK]:
        raise DamagedGalleryError(f"{path}: not a key file, or a damaged one")
    identifier, rest = header[len(_MAGIC) : len(_MAGIC) + _ID], header[len(_MAGIC) + _ID : end]
    mode, stored = rest[: len(_PLAIN)], rest[len(_PLAIN) :]
    if mode == _PLAIN:
        if wrapping is not None:
            raise GalleryKeyError(
                f"{path}: not encrypted with a gallery key, but a key was given. Set one with: visavis gallery rotate-key"
            )
        return identifier, MasterKey(stored[:KEY_SIZE], identifier)
    if wrapping is None:
        raise GalleryKeyError(f"{path}: encrypted, and no key was given. Set VISAVIS_GALLERY_KEY to the right key.")
    try:
        return identifier, MasterKey(decrypt(AESGCM(wrapping), stored, _MAGIC + identifier), identifier)
    except GalleryKeyError as error:
        raise GalleryKeyError(f"{path}: encrypted with another key. Set VISAVIS_GALLERY_KEY to the right key.") from error
