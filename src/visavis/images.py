"""Decode image files to RGB arrays, within limits that are checked first."""

import io
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from visavis.errors import DataError, ImageError
from visavis.files import check_path
from visavis.metadata import MAX_SCANS, count_scans, declared_bits, exif_orientation, strip_metadata
from visavis.wording import counted

__all__ = ["DecodedImage", "Limits", "crop_centre", "decode_image", "read_image", "resize_image", "to_gray"]

Pixels = npt.NDArray[np.uint8]

_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
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
_BITS = tuple(2.0**bits - 1 for bits in (8, 10, 12, 14, 16))
_FLOATS = (1.0, 255.0)
_NARROW = 0.2  # of its range
_DARK = 64
_BITS_PER_SAMPLE = 258
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


def _decode(data: bytes, name: str, limits: Limits, orientation: int | None = None) -> DecodedImage:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about odd metadata; what matters raises
        with Image.open(io.BytesIO(data), formats=_formats(data, name)) as image:
            if image.width * image.height > limits.max_pixels:
                raise ImageError(f"{name}: {image.width} x {image.height} pixels are more than the limit of {limits.max_pixels:,}")
            if image.width * image.height * count_scans(data) > limits.max_pixels * _FULL_SCANS:
                raise ImageError(
                    f"{name}: {count_scans(data)} scans of {image.width} x {image.height} pixels are more than the limit of "
                    f"{_FULL_SCANS} scans of {limits.max_pixels:,}"
                )
            image.load()
            return _to_rgb(
                _upright(image, _orientation(image, data) if orientation is None else orientation),
                declared_bits(data),
                sixteen=_has_sixteen_bits(image, data),
            )


def _has_sixteen_bits(image: Any, data: bytes) -> bool:
    """Whether the samples of a PNG or TIFF file have 16 bits."""
    if image.format == "PNG":
        return data[24:25] == b"\x10"
    return image.format == "TIFF" and 16 in tuple(image.tag_v2.get(_BITS_PER_SAMPLE, ()))


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


def _to_rgb(image: Any, bits: int | None, *, sixteen: bool) -> DecodedImage:
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        ranges = _FLOATS if image.mode == "F" else _BITS
        scaled = _scale_levels(np.array(image, dtype=np.float32), bits, ranges)
        return replace(scaled, pixels=np.repeat(scaled.pixels[:, :, None], 3, axis=2))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    rgb = np.asarray(image.convert("RGB"))
    # Pillow keeps the upper 8 of 16 bits of a colour image, in which cameras of 10 to 14 bits leave the first ones empty
    high = int(rgb.max(initial=0))
    if high >= _DARK or not sixteen or high == 0:
        return DecodedImage(rgb)
    return _scale_levels(rgb.astype(np.float32), high.bit_length(), unit=256)


def _scale_levels(
    levels: npt.NDArray[np.float32], bits: int | None, ranges: tuple[float, ...] = _BITS, *, unit: int = 1
) -> DecodedImage:
    """Scale samples of more than 8 bits to 0 .. 255, with a warning where another range than that of the file's depth is used.

    The range is the declared one, or else the smallest usual one that holds all samples (1.0 of floats; 8, 10, 12, 14, 16 bits; the
    maximum). A picture that uses a small part of its range is stretched to all of it. `unit` is the number of the file's levels
    in one level of the samples.
    """
    levels = np.nan_to_num(levels, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(levels.min(initial=0)), float(levels.max(initial=0))
    ranges = ranges if bits is None else (2.0**bits - 1, *ranges)
    top = next((top for top in ranges if high <= top), high)
    bottom = min(low, 0.0)
    darkest, span = float(levels.min()), high - float(levels.min())
    if span > 0 and span < _NARROW * (top - bottom):
        bottom, top = darkest, high
    levels -= bottom
    levels *= 255 / max(top - bottom, 1e-12)
    pixels = np.clip(np.rint(levels, out=levels), 0, 255, out=levels).astype(np.uint8)
    if (bottom, top) == (0.0, _BITS[-1]):
        return DecodedImage(pixels)
    whole = f"{unit * bottom:,.6g} to {unit * (top + 1) - 1:,.6g}"
    return DecodedImage(pixels, (f"levels of {whole} were scaled to 0 to 255",))
