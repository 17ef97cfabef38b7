"""Uploads that are meant to harm: each must meet a clear refusal, and the service must be as well afterwards as before.

    python benchmarks/hostile.py [--uploads 2000] [--seed 0] [--seconds 20]

Starts `visavis serve` with a gallery in a process of its own and sends bombs, truncated and forged photos, huge dimensions, wrong
types, path tricks, damaged forms and parameters out of range to all routes that take photos. Counts what is not answered by a 4xx
problem with a reason, the longest answer, memory before and after, and who is in the gallery then. Then `hostile_load.py` attacks a
service with the default limits for `--seconds` in each of four ways, and `hostile_files.py` gives archives that expand and hostile
descriptions of models to the commands that read them. Writes `results/hostile.json`. Takes about five minutes.
"""

import argparse
import io
import json
import random
import re
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import requests
from hostile_files import measure_files
from hostile_load import measure_load
from PIL import Image
from record import write_result

ROUTES = {"/v1/verify": "first", "/v1/explain": "first", "/v1/compare": "anchor", "/v1/search": "photo", "/v1/subjects/x": "photos"}
OTHERS = {"/v1/verify": "second", "/v1/explain": "second", "/v1/compare": "photos"}


@dataclass(frozen=True)
class Upload:
    """One request.

    Attributes:
        kind: What it tries.
        path: Where it is sent.
        content_type: Of the body.
        body: The body.
    """

    kind: str
    path: str
    content_type: str
    body: bytes


def photo(kind: str = "PNG") -> bytes:
    """A valid photo."""
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(file, kind)
    return file.getvalue()


LONG = zlib.compress(bytes(20_000_000))
PHOTOS = {kind: photo(kind) for kind in ("PNG", "JPEG", "WEBP")}


def part(name: str, data: bytes, *, kind: str | None = "image/png", file: str | None = "a.png") -> bytes:
    """One part of a form."""
    head = f'Content-Disposition: form-data; name="{name}"' + (f'; filename="{file}"' if file else "")
    return f"--x\r\n{head}\r\n".encode() + (f"Content-Type: {kind}\r\n".encode() if kind else b"") + b"\r\n" + data + b"\r\n"


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *extra: bytes) -> bytes:
    """A PNG of one grey level, however large, in a few bytes."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width & 0xFFFFFFFF, height & 0xFFFFFFFF, 8, 0, 0, 0, 0))
    rows = zlib.compress(bytes(min((width + 1) * height, 4_000_000)))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(extra) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def bomb(rng: random.Random) -> tuple[bytes, str]:
    """A small file that would be large: in pixels, in a text, in a colour profile."""
    made = rng.choice(
        [
            lambda: png(rng.randint(20_000, 200_000), rng.randint(20_000, 200_000)),
            lambda: png(8, 8, chunk(b"zTXt", b"a\0\0" + LONG)),
            lambda: png(8, 8, chunk(b"iCCP", b"a\0\0" + LONG)),
        ]
    )
    return made(), "image/png"


def huge(rng: random.Random) -> tuple[bytes, str]:
    """A header with sides that nothing has."""
    if rng.random() < 0.5:
        return png(rng.choice([0, 2**31 - 1, 2**32 - 1]), rng.choice([0, 1, 2**31 - 1])), "image/png"
    jpeg = bytearray(PHOTOS["JPEG"])
    place = jpeg.index(b"\xff\xc0") + 5
    jpeg[place : place + 4] = struct.pack(">HH", rng.randint(30_000, 65_535), rng.randint(30_000, 65_535))
    return bytes(jpeg), "image/jpeg"


def truncated(rng: random.Random) -> tuple[bytes, str]:
    """A photo that ends too soon."""
    kind = rng.choice(list(PHOTOS))
    return PHOTOS[kind][: rng.randint(0, int(0.9 * len(PHOTOS[kind])))], f"image/{kind.lower()}"


def polyglot(rng: random.Random) -> tuple[bytes, str]:
    """Something else that begins like a photo, or says that it is one."""
    script = b"<script>fetch('http://127.0.0.1')</script><?php system('id'); ?>"
    heads = [b"GIF89a", b"%PDF-1.7\n", b"PK\x03\x04", b"<svg xmlns='http://www.w3.org/2000/svg'>", b"\x7fELF", b"MZ"]
    magic = [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"RIFF\x24\0\0\0WEBPVP8 "]
    return rng.choice([*heads, *magic]) + script * rng.randint(1, 50), rng.choice(["image/png", "image/jpeg", "image/webp"])


def unsupported_format(rng: random.Random) -> tuple[bytes, str]:
    """A photo in a format that the service does not decode, declared as one that it does."""
    return photo(rng.choice(["GIF", "TIFF", "BMP", "PPM", "ICO"])), rng.choice(
        ["image/png", "image/jpeg", "image/webp", "", "a" * 500]
    )


def noise(rng: random.Random) -> tuple[bytes, str]:
    """Random bytes behind a beginning that is right."""
    return b"\x89PNG\r\n\x1a\n" + rng.randbytes(rng.randint(0, 5000)), "image/png"


def path_trick(rng: random.Random, path: str) -> bytes:
    """Names of files and addresses in the places of photos, fields and file names."""
    tricks = ["/etc/passwd", "../../../../etc/passwd", "http://127.0.0.1:22/", "file:///etc/passwd", "C:\\x", "a\0b", "\\\\host\\x"]
    trick = rng.choice(tricks)
    made = rng.choice(
        [
            lambda: part(ROUTES[path], trick.encode(), kind=None, file=None),
            lambda: part(ROUTES[path], trick.encode(), kind="text/plain", file=trick),
            lambda: part(trick, PHOTOS["PNG"]),
            lambda: part(rng.choice(["url", "path", "file", "first[]"]), trick.encode(), kind=None, file=None),
        ]
    )
    return made()


def damaged_form(rng: random.Random, path: str) -> bytes:
    """A form that is none, or more than one may have."""
    whole = part(ROUTES[path], PHOTOS["PNG"])
    made = rng.choice(
        [
            lambda: whole[: rng.randint(1, len(whole) - 1)],
            lambda: whole * 40,
            lambda: b"".join(part(f"f{number}", b"", kind=None, file=None) for number in range(2000)),
            lambda: b"--x\r\n" + b"A: b\r\n" * 5000 + b"\r\n",
            lambda: b"--x\r\nContent-Disposition: form-data; name=" + b"a" * 100_000 + b"\r\n\r\n",
            lambda: b"--x\r\nContent-Disposition: attachment\r\n\r\n" + PHOTOS["PNG"],
            lambda: rng.randbytes(rng.randint(1, 3000)),
            lambda: part("aligned", b"\xff\xfe", kind=None, file=None) + whole,
        ]
    )
    return made()


def out_of_range(rng: random.Random, path: str) -> bytes:
    """Photos as they should be, and a parameter that is not."""
    values = {"prior": ["nan", "inf", "-1", "0", "1e999", "'; DROP TABLE subjects; --"], "target_fmr": ["nan", "2", "0x1p-3", "[]"]}
    values["face"], values["aligned"], values["top"] = (
        ["every", "\0", "x" * 199],
        ["2", "💥", "{}"],
        ["0", "-1", "999999999999", "1e3"],
    )
    name = rng.choice(list(values))
    field = part(name, rng.choice(values[name]).encode(), kind=None, file=None)
    return field + b"".join(part(one, PHOTOS["PNG"]) for one in (ROUTES[path], OTHERS.get(path, "")) if one)


PHOTO_KINDS: tuple[Callable[..., tuple[bytes, str]], ...] = (bomb, huge, truncated, polyglot, unsupported_format, noise)
FORM_KINDS: tuple[Callable[..., bytes], ...] = (path_trick, damaged_form, out_of_range)
BODY_TYPES = (
    "application/json",
    "application/x-www-form-urlencoded",
    "text/xml",
    "multipart/mixed; boundary=x",
    "multipart/form-data",
    "",
)


def uploads(count: int, *, seed: int) -> Iterator[Upload]:
    """So many requests, the same for the same seed."""
    rng = random.Random(seed)
    for _ in range(count):
        path, make = rng.choice(list(ROUTES)), rng.choice([*PHOTO_KINDS, *FORM_KINDS, None])
        content_type = "multipart/form-data; boundary=x"
        if make is None:
            content_type, body = rng.choice(BODY_TYPES), part(ROUTES[path], PHOTOS["PNG"]) + b"--x--\r\n"
        elif make in PHOTO_KINDS:
            data, kind = make(rng)
            body = part("aligned", b"true", kind=None, file=None) + part(
                ROUTES[path], data, kind=kind, file=rng.choice(["a", "../a"])
            )
            if path in OTHERS:
                body += part(OTHERS[path], PHOTOS["PNG"])
            body += b"--x--\r\n"
        else:
            body = make(rng, path) + b"--x--\r\n"
        yield Upload("body_type" if make is None else make.__name__, path, content_type, body)


def send(url: str, upload: Upload, session: requests.Session) -> tuple[int, str]:
    """Send one, and return the status, and what was wrong with the answer; empty if nothing was."""
    answer = session.post(url + upload.path, data=upload.body, headers={"Content-Type": upload.content_type}, timeout=60)
    wrong = ""
    if not 400 <= answer.status_code < 500:
        wrong = f"{upload.kind} to {upload.path}: {answer.status_code} {answer.text[:200]}"
    elif answer.headers["content-type"] != "application/problem+json" or not answer.json()["detail"]:
        wrong = f"{upload.kind} to {upload.path}: no reason, {answer.text[:200]}"
    return answer.status_code, wrong


def resident(process: int) -> float:
    """Resident memory, MB."""
    return int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text())[0]) * 1024 / 1e6


def measure(count: int, seed: int) -> dict[str, Any]:
    """All of it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "visavis",
            "serve",
            "--port",
            "0",
            "--rate-limit",
            "0",
            "--allow-aligned",
            "--gallery",
            f"{folder}/test.gallery",
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as service:
            assert service.stdout is not None
            url = service.stdout.readline().split()[-1].rstrip("/")
            session, before = requests.Session(), resident(service.pid)
            answers: dict[str, Counter[int]] = defaultdict(Counter)
            refused_badly, longest = [], 0.0
            for upload in uploads(count, seed=seed):
                begun = time.perf_counter()
                status, wrong = send(url, upload, session)
                refused_badly += [wrong] if wrong else []
                longest = max(longest, time.perf_counter() - begun)
                answers[upload.kind][status] += 1
            files = {"first": ("a.png", PHOTOS["PNG"], "image/png"), "second": ("a.png", PHOTOS["PNG"], "image/png")}
            alive = session.post(f"{url}/v1/verify", files=files, data={"aligned": "true"}).json()["same"]
            enrolled = len(session.get(f"{url}/v1/subjects").json()["subjects"])
            after = resident(service.pid)
            service.terminate()
            code = service.wait()
    return {
        "answers": {kind: dict(sorted(statuses.items())) for kind, statuses in answers.items()},
        "not_refused": refused_badly,
        "longest_seconds": longest,
        "memory_mb": {"before": before, "after": after},
        "alive": alive,
        "enrolled": enrolled,
        "exit_code": code,
    }


def main() -> None:
    """Measure, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--uploads", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    figures = measure(options.uploads, options.seed) | {"load": measure_load(options.seconds), "files": measure_files()}
    print(json.dumps(figures, indent=1))
    write_result("hostile", figures)


if __name__ == "__main__":
    main()
