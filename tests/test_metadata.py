"""Files whose metadata is odd, huge or broken, and what is read of it."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from visavis.errors import ImageError
from visavis.images import decode_image, read_image
from visavis.metadata import count_scans, declared_bits, declared_size, decoding_work, exif_orientation, strip_metadata

PIXELS = np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)


def encoded(image, kind="JPEG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def with_exif(data, *entries, order="<"):
    block = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(entries))
    block += b"".join(struct.pack(f"{order}HHI", *entry[:3]) + entry[3] for entry in entries) + bytes(4)
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 8) + b"Exif\0\0" + block + data[2:]


def orientation(value, order="<"):
    return (0x112, 3, 1, struct.pack(f"{order}HH", value, 0))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "odd",
    [
        (0x100, 11, 1, struct.pack("<f", 64.0)),
        (0x100, 2, 4, b"250\0"),
        (0x8769, 4, 1, b"\xff\xff\xff\xff"),
        (0x9003, 2, 1000, b"\xff\xff\xff\x7f"),
        (0x10F, 99, 7, b"abcd"),
    ],
)
def test_an_odd_tag_costs_neither_pixels_nor_orientation(odd, order):
    plain = encoded(Image.fromarray(PIXELS), quality=95)
    data = with_exif(plain, odd, orientation(6, order), order=order)
    expected = np.rot90(read_image(plain), -1)
    np.testing.assert_array_equal(read_image(data), expected)
    assert exif_orientation(data) == 6


@pytest.mark.parametrize("broken", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"XX*\0\x08\0\0\0", b"MM\0*\0\0\0\x08\xff\xff"])
def test_broken_exif_costs_the_orientation_only(broken):
    plain = encoded(Image.fromarray(PIXELS))
    data = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(broken) + 8) + b"Exif\0\0" + broken + plain[2:]
    np.testing.assert_array_equal(read_image(data), read_image(plain))
    assert exif_orientation(data) == 1


def test_long_texts_and_profiles_cost_nothing():
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "a" * 5_000_000, zip=True)
    info.add_itxt("more", "b" * 5_000_000, zip=True)
    exif = Image.Exif()
    exif[0x112] = 3
    data = encoded(Image.fromarray(PIXELS), "PNG", pnginfo=info, exif=exif, icc_profile=b"\0" * 100_000)
    np.testing.assert_array_equal(read_image(data), PIXELS[::-1, ::-1])


def test_files_without_metadata_have_the_same_pixels():
    jpeg = encoded(Image.fromarray(PIXELS), exif=b"Exif\0\0II*\0\x08\0\0\0\0\0", comment=b"hello", icc_profile=b"\0" * 500)
    assert len(strip_metadata(jpeg)) < len(jpeg) - 500
    np.testing.assert_array_equal(read_image(strip_metadata(jpeg)), read_image(jpeg))
    cmyk = encoded(Image.fromarray(PIXELS).convert("CMYK"))
    np.testing.assert_array_equal(read_image(strip_metadata(cmyk)), read_image(cmyk))
    assert strip_metadata(b"GIF89a...") == b"GIF89a..."


GREY = np.linspace(0, 255, 48 * 64, dtype=np.float32).reshape(48, 64)


@pytest.mark.parametrize(
    ("kind", "levels"),
    [
        ("PNG", (GREY / 255 * 65535).astype(np.uint16)),
        ("PNG", (GREY / 255 * 4095).astype(np.uint16)),
        ("PNG", (GREY / 255 * 1023).astype(np.uint16)),
        ("PNG", GREY.astype(np.uint16)),
        ("TIFF", (GREY / 255 * 65535).astype(np.uint16)),
        ("TIFF", (30000 + GREY / 255 * 900).astype(np.uint16)),
        ("TIFF", (GREY / 255 * 100_000).astype(np.int32)),
        ("TIFF", GREY / 255),
        ("TIFF", GREY),
        ("TIFF", GREY / 255 * 2 - 1),
        ("TIFF", GREY * 100),
    ],
)
def test_samples_of_any_depth_are_scaled(kind, levels):
    photo = read_image(encoded(Image.fromarray(levels), kind))
    assert photo.shape == (48, 64, 3)
    assert np.abs(photo[:, :, 0].astype(float) - GREY).max() <= 1.5


def png_of_depth_16(samples, *, significant=None):
    """A PNG of 16 bits a sample, which Pillow cannot write: `(h, w, 2)` gray with alpha, `(h, w, 3)` RGB, `(h, w, 4)` RGBA."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    declared = chunk(b"sBIT", bytes([significant] * samples.shape[2])) if significant else b""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[samples.shape[2]], 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + declared + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff_of_depth_16(samples):
    """An RGB TIFF of 16 bits a sample, which Pillow cannot write."""
    height, width = samples.shape[:2]
    pixels = samples.astype("<u2").tobytes()
    depths = 8 + len(pixels)
    tags = [(256, width), (257, height), (258, depths), (259, 1), (262, 2), (273, 8), (277, 3), (278, height), (279, len(pixels))]
    entries = b"".join(
        struct.pack("<HHII", tag, 4 if tag in (273, 279) else 3, 3 if tag == 258 else 1, value) for tag, value in tags
    )
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", depths + 6) + pixels + struct.pack("<3H", 16, 16, 16) + directory


@pytest.mark.parametrize("top", [65535, 16383, 4095, 1023, 255])
@pytest.mark.parametrize("channels", [2, 3, 4, "TIFF"])
def test_colour_of_few_bits_in_16_keeps_all_of_its_levels(channels, top):
    samples = np.repeat((GREY / 255 * top)[:, :, None], 3, axis=2).astype(np.uint16)
    opaque = np.full((48, 64, 1), 65535, np.uint16)
    if channels == "TIFF":
        file = tiff_of_depth_16(samples)
    elif channels == 3:
        file = png_of_depth_16(samples)
    else:
        file = png_of_depth_16(np.concatenate([samples[:, :, : channels - 1], opaque], axis=2))
    decoded = decode_image(file)
    assert np.abs(decoded.pixels[:, :, 1].astype(float) - GREY).max() <= 1.5
    assert decoded.warnings == (() if top == 65535 else (f"levels of 0 to {top:,} were scaled to 0 to 255",))


def test_a_declared_depth_of_colour_counts():
    samples = np.full((8, 8, 3), 1000, np.uint16)
    samples[0, 0] = 0
    assert decode_image(png_of_depth_16(samples, significant=12)).pixels.max() == round(1000 / 4095 * 255)


def test_the_declared_depth_counts():
    dim = (GREY / 255 * 1000).astype(np.uint16)
    file = encoded(Image.fromarray(dim), "PNG")
    end = file.index(b"IDAT") - 4
    body = b"sBIT" + bytes([12])
    declared = file[:end] + struct.pack(">I", 1) + body + struct.pack(">I", zlib.crc32(body)) + file[end:]
    assert declared_bits(declared) == 12
    assert declared_bits(file) is None
    assert read_image(declared).max() == round(1000 / 4095 * 255)


def test_a_file_of_many_scans_is_refused_before_it_is_decoded():
    progressive = encoded(Image.fromarray(PIXELS), progressive=True)
    assert 2 <= count_scans(progressive) <= 12
    assert count_scans(encoded(Image.fromarray(PIXELS))) == 1
    start = progressive.index(b"\xff\xda")
    scan = progressive[start : progressive.index(b"\xff", start + 20)]
    bomb = progressive[:-2] + scan * 70 + b"\xff\xd9"
    with pytest.raises(ImageError, match=r"scans are more than the limit of 64 for a JPEG file"):
        read_image(bomb)
    assert decoding_work(bomb) == 0  # refused before it is decoded
    assert count_scans(progressive + scan * 100) == count_scans(progressive)  # after the end of the image


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"Exif\0\0"}], ids=["plain", "lossless", "exif"])
def test_the_declared_size_is_that_of_the_picture(kind, options):
    file = io.BytesIO()
    Image.new("RGB", (321, 123), "red").save(file, kind, **options)
    assert declared_size(file.getvalue()) == (321, 123)
    assert decoding_work(file.getvalue()) == 321 * 123


def test_the_work_of_a_progressive_file_counts_its_scans():
    file = io.BytesIO()
    Image.effect_noise((320, 120), 50).convert("RGB").save(file, "JPEG", progressive=True)
    assert decoding_work(file.getvalue()) == 320 * 120 * count_scans(file.getvalue()) > 320 * 120


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF1234WEBPVP8 ", b"GIF89a"])
def test_what_has_no_size_costs_nothing(data):
    assert declared_size(data) == (0, 0) and decoding_work(data) == 0


def test_a_file_of_nothing_but_segments_is_read_in_bounded_time():
    assert count_scans(b"\xff\xd8" + b"\xff\xfe\0\2" * 500_000) == 10_000
