"""Recognise formats of images and videos by the first bytes of a file, never by its name."""

import re
from pathlib import Path

__all__ = ["HEAD_BYTES", "READABLE", "image_format", "is_image_file", "is_video", "is_video_file"]

HEAD_BYTES = 64
"""How many bytes of a file `image_format` needs."""

READABLE = frozenset({"AVIF", "BMP", "GIF", "HEIC", "JPEG", "PNG", "PPM", "TIFF", "WebP"})
"""The formats that `visavis.images.read_image` decodes, some of them by an extra."""

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"8BPS", "Photoshop"),
    (b"\0\0\1\0", "icon"),
)
_HEIC_BRANDS = frozenset({b"heic", b"heim", b"heis", b"heix", b"hevc", b"hevm", b"hevs", b"hevx", b"mif1", b"msf1"})
_GENERIC_BRANDS = frozenset({b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_BMP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_VIDEO_SIGNATURES = (b"\x1aE\xdf\xa3", b"FLV\1", b"0&\xb2u\x8ef\xcf\x11", b"\0\0\1\xba")  # Matroska, Flash, Windows Media, MPEG
_VIDEO_BOXES = frozenset({b"free", b"ftyp", b"mdat", b"moov", b"skip", b"wide"})  # MP4 and QuickTime
_AUDIO_BRANDS = frozenset({b"M4A ", b"M4B "})
_PPM = re.compile(rb"P[1-6f]\s+(#|\d)")


def image_format(head: bytes) -> str | None:
    """Return the image format that a file has by its first bytes.

    Args:
        head: The first `HEAD_BYTES` bytes of the file, or more, or all of a shorter file.

    Returns:
        A name such as `"JPEG"`, one of `READABLE` or a format that is known but not decoded; None: not an image.
    """
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if head[4:8] == b"ftyp":
        return _format_of_brands(head)
    return "PPM" if _PPM.match(head) else None


def is_image_file(path: Path) -> bool:
    """Return whether this is an image by its content; False for a folder, or a file that is missing or cannot be read."""
    try:
        with path.open("rb") as file:
            return image_format(file.read(HEAD_BYTES)) is not None
    except OSError:
        return False


def is_video(head: bytes) -> bool:
    """Return whether a file is a video by its first bytes: AVI, Flash, Matroska, MP4, MPEG, QuickTime, WebM or Windows Media."""
    if head[4:8] in _VIDEO_BOXES:
        return image_format(head) is None and head[8:12] not in _AUDIO_BRANDS
    return head.startswith(_VIDEO_SIGNATURES) or (head[:4] == b"RIFF" and head[8:12] == b"AVI ")


def is_video_file(path: Path) -> bool:
    """Return whether this is a video by its content; False for a folder, or a file that is missing or cannot be read."""
    try:
        with path.open("rb") as file:
            return is_video(file.read(HEAD_BYTES))
    except OSError:
        return False


def _format_of_brands(head: bytes) -> str | None:
    """Distinguish HEIC from AVIF (ISO/IEC 23008-12) by the major brand, or for a generic one by the compatible brands."""
    brands = [head[at : at + 4] for at in (8, *range(16, min(int.from_bytes(head[:4]), len(head)), 4))]
    if brands[0] in _GENERIC_BRANDS and _AVIF_BRANDS.intersection(brands):
        return "AVIF"
    return "AVIF" if brands[0] in _AVIF_BRANDS else "HEIC" if brands[0] in _HEIC_BRANDS else None
