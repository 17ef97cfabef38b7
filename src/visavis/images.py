"""Decode image files to RGB arrays, within limits that are checked first."""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from visavis.errors import ImageError

__all__ = ["Limits", "crop_centre", "read_image", "resize_image", "to_gray"]

Pixels = npt.NDArray[np.uint8]

_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_HEIC_BRANDS = frozenset({b"heic", b"heim", b"heis", b"heix", b"hevc", b"hevm", b"hevs", b"hevx", b"mif1", b"msf1"})


@dataclass(frozen=True)
class Limits:
    """Limits of an image file, checked before it is decoded.

    Attributes:
        max_bytes: Maximum size of the file, at least 1; default 20,000,000.
        max_pixels: Maximum width times height, at least 1; default 50,000,000.

    Raises:
        ValueError: If a limit is not positive.
    """

    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000

    def __post_init__(self) -> None:
        """Check the limits."""
        for name, value in vars(self).items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")


def read_image(source: str | Path | bytes | BinaryIO, *, name: str | None = None, limits: Limits | None = None) -> Pixels:
    """Decode an image file.

    The EXIF orientation is applied. Grey, palette, CMYK, 16-bit and transparent images become RGB, transparent parts over
    white. Of an animation, the first frame is returned.

    Args:
        source: A path, the bytes of a file, or an open binary file.
        name: What to call it in an error; by default its path.
        limits: Largest file and picture that are decoded; None: `Limits()`.

    Returns:
        `(h, w, 3)` uint8, RGB.

    Raises:
        ImageError: If it cannot be read, exceeds the limits, is truncated, or has an unsupported format; if it is HEIC and the
            extra `heic` is not installed.
    """
    limits = limits or Limits()
    name = name or (str(source) if isinstance(source, str | Path) else "the photo")
    data = _read_bytes(source, name, limits)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd metadata; what matters raises
            with Image.open(io.BytesIO(data), formats=_formats(data, name)) as image:
                if image.width * image.height > limits.max_pixels:
                    raise ImageError(
                        f"{name}: {image.width} x {image.height} pixels are more than the limit of {limits.max_pixels:,}"
                    )
                return _to_rgb(image)
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"{name}: unsupported image format, expected {', '.join(_FORMATS[:-1])} or {_FORMATS[-1]}") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name}: more pixels than the limit of {limits.max_pixels:,}") from error
    except Exception as error:  # decoders of damaged files raise almost anything
        raise ImageError(f"{name}: damaged or truncated ({error})") from error


def resize_image(image: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize an image `(h, w, c)` uint8 to `size` (height, width), with antialiasing."""
    channels = image.shape[2]
    picture = Image.fromarray(image[:, :, 0] if channels == 1 else image)
    resized = picture.resize((size[1], size[0]), Image.Resampling.BICUBIC, reducing_gap=3.0)
    return np.asarray(resized).reshape(*size, channels)


def to_gray(image: Pixels) -> Pixels:
    """Convert RGB `(..., 3)` to luma `(..., 1)` (ITU-R BT.601)."""
    luma = image @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    return np.rint(luma).astype(np.uint8)[..., None]


def crop_centre(image: Pixels, fraction: float) -> Pixels:
    """Return the centred square whose side is a fraction of the shorter side.

    Raises:
        ValueError: If `fraction` is not in (0, 1].
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"crop must be in (0, 1], got {fraction}")
    height, width = image.shape[:2]
    side = max(1, round(fraction * min(height, width)))
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


def _read_bytes(source: str | Path | bytes | BinaryIO, name: str, limits: Limits) -> bytes:
    if isinstance(source, bytes):
        data = source
    else:
        try:
            if isinstance(source, str | Path):
                with Path(source).open("rb") as file:
                    data = file.read(limits.max_bytes + 1)
            else:
                data = source.read(limits.max_bytes + 1)
        except OSError as error:
            raise ImageError(f"{name}: {error.strerror or error}") from error
    if not data:
        raise ImageError(f"{name}: the file is empty")
    if len(data) > limits.max_bytes:
        raise ImageError(f"{name}: more than the limit of {limits.max_bytes:,} bytes")
    return data


def _formats(data: bytes, name: str) -> tuple[str, ...]:
    """The formats to try: HEIF if the first bytes say so (ISO/IEC 23008-12), whose decoder is loaded at first use."""
    if data[4:8] != b"ftyp" or data[8:12] not in _HEIC_BRANDS:
        return _FORMATS
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise ImageError(f"{name}: HEIC needs: pip install 'visavis[heic]'. Or save it as JPEG") from error
    register_heif_opener()
    return ("HEIF",)


def _to_rgb(image: Image.Image) -> Pixels:
    picture: Any = ImageOps.exif_transpose(image)
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        levels = np.array(picture, dtype=np.float32)
        levels *= 255 / 65535 if levels.max(initial=0) > 255 else 1
        grey = np.nan_to_num(np.clip(levels, 0, 255, out=levels), copy=False).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return np.asarray(picture.convert("RGB"))
