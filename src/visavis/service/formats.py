"""Image formats of uploads, recognised by content: the declared type and the file name do not matter."""

from visavis.errors import ImageError
from visavis.formats import HEAD_BYTES, image_format
from visavis.service.problems import UnsupportedImageError

__all__ = ["MEDIA_TYPES", "check_format"]

MEDIA_TYPES = ("image/jpeg", "image/png", "image/webp")


def check_format(data: bytes, *, name: str) -> None:
    """Check that a file is a JPEG, PNG or WebP image.

    Args:
        data: The file.
        name: The field it was sent in, for errors.

    Raises:
        ImageError: If the file is empty.
        UnsupportedImageError: If it begins like none of these formats.
    """
    if not data:
        raise ImageError(f"{name}: the file is empty")
    found = image_format(data[:HEAD_BYTES])
    if found not in ("JPEG", "PNG", "WebP"):
        kind = "" if found is None else f" ({found})"
        raise UnsupportedImageError(f"{name}: unsupported image format{kind}; send JPEG, PNG or WebP")
