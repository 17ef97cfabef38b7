"""What an ONNX model is known by: a digest of all that its embeddings depend on."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

__all__ = ["onnx_digest"]

_METADATA = 14  # the field `metadata_props` of onnx.ModelProto
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}


def onnx_digest(path: Path, settings: str) -> str:
    """Digest a model without its metadata, so that a card with other thresholds does not change it.

    Weights that PyTorch or Optimum put into a file beside the model are part of it.

    Args:
        path: The `.onnx` file.
        settings: What else its embeddings depend on.

    Returns:
        SHA-256, hexadecimal.
    """
    digest = hashlib.sha256(settings.encode())
    model = path.read_bytes()
    for number, start, end in _fields(model):
        if number != _METADATA:
            digest.update(memoryview(model)[start:end])
    for ending in (".data", "_data"):
        weights = path.with_name(path.name + ending)
        if weights.is_file():
            with weights.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _fields(message: bytes) -> Iterator[tuple[int, int, int]]:
    """The top fields of a protocol buffer: number, and where they start and end."""
    place = 0
    while place < len(message):
        start = place
        tag, place = _varint(message, place)
        kind = tag & 7
        if kind == _VARINT:
            _, place = _varint(message, place)
        elif kind == _BYTES:
            length, place = _varint(message, place)
            place += length
        else:
            place += _FIXED[kind]
        yield tag >> 3, start, place


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if not byte & 0x80:
            return value, place
