"""Decode image files to RGB arrays, within limits that are checked first."""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from visavis.errors import DataError, ImageError, check_numbers
from visavis.files import check_path
from visavis.formats import HEAD_BYTES, READABLE, image_format
from visavis.levels import has_few_bits, low_bytes, scale_levels
from visavis.metadata import MAX_SCANS, count_scans, exif_orientation, strip_metadata
from visavis.wording import counted

__all__ = ["DecodedImage", "Limits", "crop_centre", "decode_image", "read_image", "resize_image", "to_gray"]

Pixels = npt.NDArray[np.uint8]

_FULL_SCANS = 12  # of the largest picture; a smaller one may have more
_ORIENTATION = 0x0112
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


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
        check_numbers(self)
        for name, value in vars(self).items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """The pixels of an image file, and what is uncertain about them.

    Attributes:
        pixels: `(h, w, 3)` uint8, RGB.
        warnings: How the levels were scaled, where the file does not say which of them are black and white.
    """

    pixels: Pixels
    warnings: tuple[str, ...] = ()


def read_image(source: str | Path | bytes | BinaryIO, *, name: str | None = None, limits: Limits | None = None) -> Pixels:
    """Decode an image file.

    The EXIF orientation is applied; other metadata cannot prevent the pixels from being read. Grey, palette, CMYK and transparent
    images become RGB, transparent parts over white. Samples of more than 8 bits are scaled by the depth that the file declares, or
    else by the smallest usual one that holds them. Of an animation, the first frame is returned.

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
    return decode_image(source, name=name, limits=limits).pixels


def decode_image(source: str | Path | bytes | BinaryIO, *, name: str | None = None, limits: Limits | None = None) -> DecodedImage:
    """Decode an image file as `read_image`, with a warning where its levels were scaled by another range than its depth gives.

    Args:
        source: As in `read_image`, and so are the others.
        name: See there.
        limits: See there.

    Raises:
        ImageError: As `read_image`.
    """
    limits = limits or Limits()
    name = name or (str(source) if isinstance(source, str | Path) else "the photo")
    data = _read_bytes(source, name, limits)
    if (scans := count_scans(data)) > MAX_SCANS:
        raise ImageError(f"{name}: {scans:,} scans are more than the limit of {MAX_SCANS} for a JPEG file")
    try:
        try:
            return _decode(data, name, limits)
        except ImageError:
            raise
        except Exception:
            stripped = strip_metadata(data)
            if stripped == data:
                raise
            return _decode(stripped, name, limits, exif_orientation(data))
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        kind = image_format(data[:HEAD_BYTES])
        raise ImageError(
            f"{name}: damaged or truncated, or a kind of {kind} that cannot be decoded; save it as JPEG or PNG"
        ) from error
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


def _decode(data: bytes, name: str, limits: Limits, orientation: int | None = None) -> DecodedImage:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about odd metadata; what matters raises
        with Image.open(io.BytesIO(data), formats=_pillow_formats(data, name)) as image:
            if image.width * image.height > limits.max_pixels:
                raise ImageError(f"{name}: {image.width} x {image.height} pixels are more than the limit of {limits.max_pixels:,}")
            if image.width * image.height * count_scans(data) > limits.max_pixels * _FULL_SCANS:
                raise ImageError(
                    f"{name}: {count_scans(data)} scans of {image.width} x {image.height} pixels are more than the limit of "
                    f"{_FULL_SCANS} scans of {limits.max_pixels:,}"
                )
            image.load()
            return _to_rgb(image, data, _orientation(image, data) if orientation is None else orientation)


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    """Apply an EXIF orientation."""
    turn = _TRANSPOSITIONS.get(orientation)
    return image if turn is None else image.transpose(turn)


def _orientation(image: Image.Image, data: bytes) -> int:
    """Return the EXIF orientation, the only tag that is read; broken EXIF costs the orientation at most, not the photo."""
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except Exception:
        orientation = None
    return orientation if isinstance(orientation, int) else exif_orientation(data)


def _read_bytes(source: str | Path | bytes | BinaryIO, name: str, limits: Limits) -> bytes:
    if isinstance(source, bytes):
        data = source
    else:
        try:
            if isinstance(source, str | Path):
                with check_path(source).open("rb") as file:
                    data = file.read(limits.max_bytes + 1)
            else:
                data = source.read(limits.max_bytes + 1)
        except OSError as error:
            raise ImageError(f"{name}: {error.strerror or error}") from error
        except DataError as error:
            raise ImageError(str(error)) from error
    if not data:
        raise ImageError(f"{name}: the file is empty")
    if len(data) > limits.max_bytes:
        raise ImageError(f"{name}: more than the limit of {counted(limits.max_bytes, 'byte')}")
    return data


def _pillow_formats(data: bytes, name: str) -> tuple[str, ...]:
    """Return the names by which Pillow knows the format of a file; the decoder of HEIC is loaded at first use."""
    found = image_format(data[:HEAD_BYTES])
    if found not in READABLE:
        *names, last = sorted(readable.upper() for readable in READABLE - {"HEIC"})
        raise ImageError(f"{name}: unsupported image format{f' ({found})' if found else ''}, expected {', '.join(names)} or {last}")
    if found != "HEIC":
        return (found.upper(),)
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise ImageError(f"{name}: HEIC needs: pip install 'visavis[heic]'. Or save it as JPEG") from error
    register_heif_opener()
    return ("HEIF",)


def _to_rgb(image: Any, data: bytes, orientation: int) -> DecodedImage:
    """Convert a loaded picture to upright RGB of 8 bits."""
    picture = _upright(image, orientation)
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        gray, warnings = scale_levels(np.array(picture, dtype=np.float32), data, floats=picture.mode == "F")
        return DecodedImage(np.repeat(gray[:, :, None], 3, axis=2), warnings)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    rgb = np.asarray(picture.convert("RGB"))
    if not has_few_bits(image, rgb, data):
        return DecodedImage(rgb)
    low = low_bytes(data, (image.format,))
    levels = 256 * rgb.astype(np.float32)
    levels += 255 if low is None else np.asarray(_upright(low, orientation))
    return DecodedImage(*scale_levels(levels, data))
