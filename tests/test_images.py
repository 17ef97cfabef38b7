"""Image files of every kind, and what is said about those that cannot be read."""

import io
import subprocess
import sys

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from visavis.errors import ImageError
from visavis.formats import HEAD_BYTES, image_format
from visavis.images import Limits, crop_centre, decode_image, read_image, resize_image, to_gray
from visavis.metadata import count_scans


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def halves(left=(200, 30, 60), right=(20, 90, 220)):
    pixels = np.empty((16, 24, 3), np.uint8)
    pixels[:, :12], pixels[:, 12:] = left, right
    return Image.fromarray(pixels)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "PPM", "TIFF"])
def test_lossless_kinds(kind):
    np.testing.assert_array_equal(read_image(encoded(halves(), kind)), np.asarray(halves()))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_kinds(kind):
    pixels = read_image(encoded(halves(), kind, quality=95)).astype(int)
    assert np.abs(pixels[:, 3] - (200, 30, 60)).max() < 15
    assert np.abs(pixels[:, 20] - (20, 90, 220)).max() < 15


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "LA", "RGBA", "1"])
def test_modes_become_rgb(mode):
    image = halves().convert(mode)
    pixels = read_image(encoded(image, "TIFF" if mode == "CMYK" else "PNG"))
    assert pixels.shape == (16, 24, 3)
    np.testing.assert_allclose(pixels[2, 2], image.convert("RGB").getpixel((2, 2)), atol=2)


def test_sixteen_bits():
    levels = np.linspace(0, 65535, 16 * 16).reshape(16, 16).astype(np.uint16)
    pixels = read_image(encoded(Image.fromarray(levels), "PNG"))
    np.testing.assert_allclose(pixels[..., 0], levels / 257, atol=1)


def _gray(dtype, top, bottom=0):
    return Image.fromarray(np.linspace(bottom, top, 256).reshape(16, 16).astype(dtype))


@pytest.mark.parametrize(
    ("image", "kind", "warning"),
    [
        (_gray(np.uint8, 255), "PNG", None),
        (_gray(np.uint16, 65535), "PNG", None),
        (_gray(np.uint16, 4095), "PNG", "levels of 0 to 4,095 were scaled to 0 to 255"),
        (_gray(np.uint16, 22000, 20000), "TIFF", "levels of 20,000 to 22,000 were scaled to 0 to 255"),
        (_gray(np.float32, 1.0), "TIFF", "levels of 0 to 1 were scaled to 0 to 255"),
    ],
)
def test_a_range_that_the_depth_does_not_give_is_said(image, kind, warning):
    decoded = decode_image(encoded(image, kind))
    assert decoded.warnings == (() if warning is None else (warning,))
    np.testing.assert_allclose(decoded.pixels[..., 0], np.linspace(0, 255, 256).reshape(16, 16), atol=1)


def test_transparent_parts_are_white():
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert (read_image(encoded(image, "PNG")) == 255).all()


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    pixels = read_image(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert pixels[0, 0].tolist() == [255, 0, 0]


def test_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter to the right
    pixels = read_image(encoded(halves(), "PNG", exif=exif))
    assert pixels.shape == (24, 16, 3)
    assert pixels[0, 0].tolist() == [200, 30, 60]


def test_heic_as_phones_write_it():
    exif = Image.Exif()
    exif[0x0112] = 6  # written as HEIC's own turn (ISO/IEC 23008-12), which is to be done once
    photo = halves().resize((96, 64), Image.Resampling.NEAREST)
    file = io.BytesIO()
    pillow_heif.from_pillow(photo).save(file, quality=95, exif=exif.tobytes())
    pixels = read_image(file.getvalue()).astype(int)
    assert pixels.shape == (96, 64, 3)
    assert np.abs(pixels[12, 30] - (200, 30, 60)).max() < 20
    assert np.abs(pixels[80, 30] - (20, 90, 220)).max() < 20
    with pytest.raises(ImageError, match="64 x 96 pixels are more than the limit of 6,143"):
        read_image(file.getvalue(), limits=Limits(max_pixels=6143))


def test_heic_says_what_reads_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=r"anna.heic: HEIC needs: pip install 'visavis\[heic\]'"):
        read_image(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", name="anna.heic")


def test_path_bytes_and_file_are_the_same(tmp_path):
    data = encoded(halves(), "PNG")
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    with path.open("rb") as file:
        np.testing.assert_array_equal(read_image(file), read_image(data))
    np.testing.assert_array_equal(read_image(path), read_image(str(path)))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"no image at all", "unsupported image format, expected AVIF, BMP"),
        (encoded(halves(), "PNG")[:60], "damaged or truncated"),
        (encoded(halves(), "JPEG")[:200], "damaged or truncated"),
        (encoded(halves(), "AVIF")[:-50], "damaged or truncated"),
        (b"II*\0\x08\0\0\0\0\0\0\0\0\0", "damaged or truncated, or a kind of TIFF that cannot be decoded; save it as JPEG"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", r"unsupported image format \(JPEG 2000\), expected"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unsupported image format, expected AVIF, BMP"),
    ],
)
def test_bad_files_are_named(tmp_path, data, message):
    path = tmp_path / "bad.png"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=f"bad.png: .*({message})"):
        read_image(path)


@pytest.mark.parametrize("brand", [b"avif", b"mif1", b"msf1"])
def test_avif_of_a_generic_brand(brand):
    data = encoded(halves(), "AVIF")
    data = data[:8] + brand + data[12:]
    assert image_format(data[:HEAD_BYTES]) == "AVIF"
    assert read_image(data).shape == (16, 24, 3)


def test_floats_in_a_portable_map():
    levels = np.linspace(0, 1, 48, dtype="<f4")
    data = b"Pf\n8 6\n-1.0\n" + levels.reshape(6, 8)[::-1].tobytes()
    assert image_format(data[:HEAD_BYTES]) == "PPM"
    np.testing.assert_allclose(read_image(data)[:, :, 0].ravel(), levels * 255, atol=0.51)


def test_limits_are_checked_before_decoding():
    data = encoded(halves(), "PNG")
    with pytest.raises(ImageError, match="24 x 16 pixels are more than the limit of 383"):
        read_image(data, limits=Limits(max_pixels=383))
    with pytest.raises(ImageError, match="my photo: more than the limit of 50 bytes"):
        read_image(data, name="my photo", limits=Limits(max_bytes=50))
    with pytest.raises(ImageError, match="limit|damaged"):
        read_image(encoded(Image.new("1", (10_000, 10_000)), "PNG"))


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(ImageError, match="nowhere.jpg: No such file"):
        read_image(tmp_path / "nowhere.jpg")
    with pytest.raises(ImageError, match="Is a directory"):
        read_image(tmp_path)


FUZZ = """
import io, random, signal, sys
import numpy as np
from PIL import Image
from pillow_heif import register_heif_opener
from visavis.errors import ImageError
from visavis.images import read_image

register_heif_opener()
exif = Image.Exif()
exif[0x0112] = 6
levels = np.add.outer(np.arange(40), np.arange(56)).astype(np.uint8)
colour = Image.fromarray(np.stack([levels, levels[::-1], levels * 2], axis=2))
seeds = []
for mode, kind, options in [
    ("RGB", "JPEG", {"exif": exif}), ("L", "JPEG", {"progressive": True}), ("CMYK", "JPEG", {}), ("RGB", "PNG", {}),
    ("P", "PNG", {}), ("RGBA", "PNG", {}), ("I;16", "PNG", {}), ("RGB", "WEBP", {}), ("RGBA", "WEBP", {"lossless": True}),
    ("RGB", "BMP", {}), ("P", "GIF", {}), ("L", "PPM", {}), ("RGB", "PPM", {}), ("RGB", "TIFF", {}),
    ("RGB", "TIFF", {"compression": "tiff_lzw"}), ("L", "TIFF", {"compression": "tiff_adobe_deflate"}),
    ("1", "TIFF", {"compression": "group4"}), ("F", "TIFF", {}), ("RGB", "HEIF", {"exif": exif}), ("L", "HEIF", {}),
]:
    image = Image.fromarray(levels.astype(np.uint16) * 200) if mode == "I;16" else colour.convert(mode)
    file = io.BytesIO()
    image.save(file, kind, **options)
    read_image(file.getvalue())
    seeds.append(file.getvalue())

draw = random.Random(int(sys.argv[1]))
NUMBERS = [b"\\xff" * 4, b"\\x00" * 4, b"\\x7f\\xff\\xff\\xff", b"\\x00\\x00\\x20\\x00"]
def mutated(seed):
    data = bytearray(seed)
    for _ in range(draw.choice([1, 1, 2, 4, 12])):
        place = draw.randrange(min(len(data), draw.choice([32, 128, 10**6])))
        change = draw.randrange(6)
        if change == 0: data[place] = draw.randrange(256)
        elif change == 1: data[place:place + 4] = draw.choice(NUMBERS)
        elif change == 2: del data[place:place + draw.randrange(1, 64)]
        elif change == 3: data[place:place] = data[:draw.randrange(1, 64)]
        elif change == 4: data[place:place] = draw.choice(seeds)[:draw.randrange(1, 400)]
        else: del data[max(8, place):]
        if not data: data = bytearray(b"x")
    return bytes(data)

read = failed = 0
for number in range(2000):
    data = mutated(seeds[number % len(seeds)])
    signal.alarm(20)  # kills the process: a hang
    try:
        pixels = read_image(data, name="fuzz.jpg")
        assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3
        read += 1
    except ImageError as error:
        assert str(error).startswith("fuzz.jpg: "), error
        failed += 1
    signal.alarm(0)
print(read, failed)
"""


# A process counts the memory of whoever started it as its own peak, so a small one stands between the tests and the code.
MEASURED = """
import resource, subprocess, sys
subprocess.run([sys.executable, "-c", *sys.argv[1:]], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""


def peak_of(code: str, *arguments: str) -> tuple[str, int]:
    """What Python code prints in a process of its own, and that process's peak memory in MiB."""
    if sys.platform != "linux":
        pytest.skip("peak memory is counted in other units, or not at all")
    command = [sys.executable, "-c", MEASURED, code, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr[-2000:]
    printed, _, peak = result.stdout.strip().rpartition("\n")
    return printed, int(peak)


def test_two_thousand_mutated_files_end_in_pixels_or_an_image_error():
    result, mebibytes = peak_of(FUZZ, "1")
    read, failed = map(int, result.split())
    assert read > 200 and failed > 500
    assert mebibytes < 1024


def test_sixteen_bits_at_the_limit_stay_below_a_gibibyte():
    code = """
import io
import numpy as np
from PIL import Image
from visavis.images import read_image
file = io.BytesIO()
Image.fromarray(np.full((7000, 7100), 40_000, np.uint16)).save(file, "PNG", compress_level=1)
assert read_image(file.getvalue())[0, 0, 0] == 156
"""
    assert peak_of(code)[1] < 1024


def test_resizing_and_cropping():
    pixels = np.asarray(halves())
    assert resize_image(pixels, (8, 12)).shape == (8, 12, 3)
    assert resize_image(pixels[..., :1], (32, 32)).shape == (32, 32, 1)
    centre = crop_centre(pixels, 0.5)
    assert centre.shape == (8, 8, 3)
    np.testing.assert_array_equal(centre, pixels[4:12, 8:16])
    with pytest.raises(ValueError, match="crop must be in"):
        crop_centre(pixels, 1.5)


def test_gray_is_luma():
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    assert to_gray(colours)[..., 0].tolist() == [[76, 150, 29, 255]]


def test_limits_are_positive():
    with pytest.raises(ValueError, match="max_pixels must be at least 1, got 0"):
        Limits(max_pixels=0)


def test_many_scans_of_many_pixels_are_refused_before_they_are_decoded():
    file = io.BytesIO()
    Image.new("RGB", (400, 300), "red").save(file, "JPEG", progressive=True)
    scans = count_scans(file.getvalue())
    assert read_image(file.getvalue(), limits=Limits(max_pixels=120_000)).shape == (300, 400, 3)
    assert scans < 12
    start = file.getvalue().rindex(b"\xff\xda")
    more = file.getvalue()[:-2] + file.getvalue()[start:-2] * 10 + b"\xff\xd9"
    with pytest.raises(ImageError, match=r"20 scans of 400 x 300 pixels are more than the limit of 12 scans of 120,000"):
        read_image(more, limits=Limits(max_pixels=120_000))
