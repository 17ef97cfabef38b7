"""A gallery by where it is: made if there is none, refused if it belongs to another encoder."""

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
        encoder: What made its embeddings, and will make those of probes; None: to look after
            the gallery only, not to enrol or search.
        key: What embeddings and photos are encrypted with, 64 hexadecimal digits; None: the one in the environment variable
            `VISAVIS_GALLERY_KEY`; without that, they are kept as they are.
        create: Whether to make the gallery if there is none.

    Raises:
        GalleryError: If it cannot be opened; as `WrongEncoderError` if it belongs to another encoder, as `GalleryKeyError` if the
            key is missing, not needed or another one, as `DamagedGalleryError` if the file is damaged or no gallery.
    """
    binding = None if encoder is None else binding_of(encoder)
    if _is_remote(location):
        from visavis.gallery.milvus import MilvusGallery

        return MilvusGallery(str(location), binding, key=key or _key(), create=create)
    return SqliteGallery(location, binding, key=key or _key(), create=create)


def open_file(location: Path | str) -> SqliteGallery:
    """Open a gallery that is a file, to look after it, with the key in the environment.

    Raises:
        GalleryError: If it cannot be opened, see `open_gallery`; or if it is in Milvus.
    """
    if _is_remote(location):
        raise GalleryError(f"{location}: in Milvus, and this can be done to a gallery in a file only")
    return SqliteGallery(location, None, key=_key(), create=False)


def _is_remote(location: Path | str) -> bool:
    return str(location).startswith(("http://", "https://"))


def _key() -> str | None:
    return os.environ.get(KEY_VARIABLE) or None


def binding_of(encoder: Encoder) -> Binding:
    """Return what binds a gallery to an encoder: its digest, and the size of its embeddings, seen on a black face."""
    face = np.zeros((1, *encoder.card.input_shape), dtype=np.uint8)
    return Binding(encoder.digest, encoder.embed(face).shape[1])
