"""Open a gallery by its location; create it if it is missing, refuse it if it belongs to another encoder."""

import os
from pathlib import Path

import numpy as np

from visavis.encoders import Encoder
from visavis.errors import GalleryError
from visavis.gallery.records import Binding, Gallery
from visavis.gallery.sqlite import SqliteGallery

__all__ = ["KEY_VARIABLE", "binding_of", "open_file", "open_gallery"]

KEY_VARIABLE = "VISAVIS_GALLERY_KEY"


def open_gallery(location: Path | str, encoder: Encoder | None, *, key: str | None = None, create: bool = True) -> Gallery:
    """Open a gallery.

    Args:
        location: The path of its file; or `http://HOST:PORT/COLLECTION` in Milvus, see `milvus.Address`.
        encoder: The encoder of its embeddings and of probes; None: for maintenance only, not to enrol or search.
        key: Encryption key of embeddings and photos, 64 hexadecimal digits; None: the environment variable
            `VISAVIS_GALLERY_KEY`; without it they are stored unencrypted.
        create: Whether to create a missing gallery.

    Raises:
        GalleryError: If it cannot be opened; as `WrongEncoderError` if it belongs to another encoder, as `GalleryKeyError` if the
            key is missing, not needed or wrong, as `DamagedGalleryError` if the file is damaged or not a gallery.
    """
    binding = None if encoder is None else binding_of(encoder)
    if _is_remote(location):
        from visavis.gallery.milvus import MilvusGallery

        return MilvusGallery(str(location), binding, key=key or _key(), create=create)
    return SqliteGallery(location, binding, key=key or _key(), create=create)


def open_file(location: Path | str) -> SqliteGallery:
    """Open a gallery file for maintenance, with the key in the environment.

    Raises:
        GalleryError: If it cannot be opened, see `open_gallery`; or if it is in Milvus.
    """
    if _is_remote(location):
        raise GalleryError(f"{location}: this is possible for gallery files only, not for Milvus")
    return SqliteGallery(location, None, key=_key(), create=False)


def _is_remote(location: Path | str) -> bool:
    return str(location).startswith(("http://", "https://"))


def _key() -> str | None:
    return os.environ.get(KEY_VARIABLE) or None


def binding_of(encoder: Encoder) -> Binding:
    """Return what binds a gallery to an encoder: its digest and the length of its embeddings."""
    face = np.zeros((1, *encoder.card.input_shape), dtype=np.uint8)
    return Binding(encoder.digest, encoder.embed(face).shape[1])
