"""What JPEG and PNG files say beside their pixels: scans, bit depth; and the same files without text, EXIF and profiles."""

import re
import struct
from collections.abc import Iterator
from itertools import islice

__all__ = ["MAX_SCANS", "count_scans", "declared_bits", "declared_size", "decoding_work", "exif_orientation", "strip_metadata"]

MAX_SCANS = 64
"""Maximum number of scans of a JPEG file; photos have at most a dozen."""

_JPEG, _PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_SOS, _EOI = 0xDA, 0xD9
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # start of frame
_MAX_SEGMENTS = 10_000  # photos have a few hundred at most
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_COMMENT, _EXIF = 0xFE, 0xE1
_ORIENTATION, _SHORT = 0x0112, 3
_APPLICATION = frozenset({0xE1, 0xE2, *range(0xE3, 0xEE), 0xEF})  # all but JFIF (E0) and Adobe (EE), which tell the colour space
_PIXEL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"})


def count_scans(data: bytes) -> int:
    """Return the number of scans of a JPEG file; 0 for other files.

    Only the markers are read. The work of a decoder grows with the scans of a progressive file, and nothing else bounds them. A
    file of more than 10,000 segments counts as one of as many scans.
    """
    kinds = [kind for kind, _, _ in islice(_segments(data), _MAX_SEGMENTS)]
    return len(kinds) if len(kinds) == _MAX_SEGMENTS else kinds.count(_SOS)


def declared_size(data: bytes) -> tuple[int, int]:
    """Return width and height by the header of a JPEG, PNG or WebP file; zeros where it has none."""
    if data.startswith(_PNG) and len(data) >= 24:
        width, height = struct.unpack_from(">II", data, 16)
        return width, height
    if data.startswith(_JPEG):
        for kind, start, _ in islice(_segments(data), _MAX_SEGMENTS):
            if kind in _FRAMES and len(data) >= start + 9:
                height, width = struct.unpack_from(">HH", data, start + 5)
                return width, height
        return 0, 0
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP" and len(data) >= 30:
        return _webp_size(data)
    return 0, 0


def decoding_work(data: bytes) -> int:
    """Return the pixels of a JPEG, PNG or WebP file by its header, times the scans of a progressive JPEG.

    0 for more than `MAX_SCANS` scans: such a file is not decoded.
    """
    width, height = declared_size(data)
    scans = count_scans(data)
    return width * height * max(1, scans) if scans <= MAX_SCANS else 0


def _webp_size(data: bytes) -> tuple[int, int]:
    if data[12:16] == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def declared_bits(data: bytes) -> int | None:
    """Return the number of significant bits of a sample that a PNG declares (chunk `sBIT`); None: it declares none."""
    if not data.startswith(_PNG):
        return None
    for kind, start, end in _chunks(data):
        if kind == b"sBIT":
            return max(data[start + 8 : end - 4], default=None)
        if kind == b"IDAT":
            break
    return None


def exif_orientation(data: bytes) -> int:
    """Return the EXIF orientation of a JPEG or PNG file, 1 to 8, whatever its other tags hold; 1 where there is none."""
    if data.startswith(_PNG):
        blocks = [data[start + 8 : end - 4] for kind, start, end in _chunks(data) if kind == b"eXIf"]
    else:
        segments = (data[start + 4 : end] for kind, start, end in _segments(data) if kind == _EXIF)
        blocks = [segment[6:] for segment in segments if segment.startswith(b"Exif\0\0")]
    for block in blocks:
        order = {b"II": "<", b"MM": ">"}.get(block[:2])
        if order is None or len(block) < 10:
            continue
        (first,) = struct.unpack_from(f"{order}I", block, 4)
        count = struct.unpack_from(f"{order}H", block, first)[0] if first + 2 <= len(block) else 0
        for entry in range(first + 2, min(first + 2 + 12 * count, len(block) - 11), 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", block, entry)
            if tag == _ORIENTATION and kind == _SHORT and 1 <= value <= 8:
                return int(value)
    return 1


def strip_metadata(data: bytes) -> bytes:
    """Return a JPEG or PNG file without the parts that are not needed for its pixels; other files as they are."""
    if data.startswith(_PNG):
        return _PNG + b"".join(data[start:end] for kind, start, end in _chunks(data) if kind in _PIXEL_CHUNKS)
    if not data.startswith(_JPEG):
        return data
    kept, position = [data[:2]], 2
    for kind, start, end in _segments(data):
        if kind == _SOS:
            break
        if kind == _COMMENT or kind in _APPLICATION:
            kept.append(data[position:start])
            position = end
    return b"".join([*kept, data[position:]])


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment of a JPEG file up to the end of its first image."""
    position = 2
    while data.startswith(_JPEG):
        found = _MARKER.search(data, position)
        if found is None:
            return
        start, kind = found.start(), data[found.start() + 1]
        if kind == _EOI:
            return
        length = 0 if kind in _STANDALONE else int.from_bytes(data[start + 2 : start + 4], "big")
        position = start + 2 + length
        yield kind, start, position


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of each chunk of a PNG file."""
    position = len(_PNG)
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        yield kind, position, end
        position = end
