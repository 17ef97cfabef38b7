"""Files that are meant to harm the commands that read them: archives that expand, and descriptions of models that cannot be."""

import io
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from visavis.encoders import load_encoder
from visavis.faces import mtcnn
from visavis.gallery import Enrolment, export_gallery, open_gallery

ZEROS = 1 << 30  # bytes that a member of an archive expands to
NETWORK = Path(mtcnn.__file__).parent / "weights" / "rnet.onnx"
SIZE = "input_size = [24, 24]\n"
COMMAND = """
import atexit, re, runpy, sys
atexit.register(lambda: print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1], file=sys.stderr))
sys.argv[0] = "visavis"
runpy.run_module("visavis", run_name="__main__")
"""
DESCRIPTIONS = {
    "NaN as mean": SIZE + "mean = nan",
    "NaN as threshold": SIZE + "threshold = nan",
    "infinity as scale": SIZE + "scale = inf",
    "an input of a million pixels a side": "input_size = [1000000, 1000000]",
    "an integer of 5,000 digits": f"input_size = [{'9' * 5000}, 24]",
    "an array nested 30,000 deep": SIZE + f"mean = {'[' * 30_000}{']' * 30_000}",
    "a table nested 20,000 deep": SIZE + f"[{'.'.join(['a'] * 20_000)}]",
    "50 MB of comments": SIZE + "# comment\n" * 5_000_000,
}


@dataclass(frozen=True)
class HostileFile:
    """A file, and the command that reads it.

    Attributes:
        kind: What it tries.
        write: Writes it into an empty folder and returns the arguments of the command.
    """

    kind: str
    write: Callable[[Path], list[str]]


def zeros_in_zip(path: Path, member: str, *others: tuple[str, bytes], start: bytes = b"") -> None:
    """Write a ZIP with a member of 1 GB of zeros after some first bytes, and others."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in others:
            archive.writestr(name, content)
        with archive.open(member, "w", force_zip64=True) as file:
            file.write(start)
            for _ in range(ZEROS >> 24):
                file.write(bytes(1 << 24))


def photo() -> bytes:
    """A valid JPEG."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, "JPEG")
    return file.getvalue()


def exported(folder: Path, change: Callable[[Path, dict[str, bytes]], None]) -> list[str]:
    """Export a gallery of one subject, write a changed copy, and return the arguments that import it."""
    with open_gallery(folder / "good.gallery", load_encoder()) as gallery:
        gallery.enrol_all([Enrolment("anna", np.eye(1, gallery.size, dtype=np.float32))])
        export_gallery(gallery, folder / "good.zip")
    with zipfile.ZipFile(folder / "good.zip") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(folder / "bad.zip", members)
    return ["gallery", "import", str(folder / "door.gallery"), str(folder / "bad.zip")]


def expanding_export(folder: Path) -> list[str]:
    """An exported gallery whose embeddings expand to 1 GB."""

    def change(path: Path, members: dict[str, bytes]) -> None:
        zeros_in_zip(path, "embeddings.f32", *((name, data) for name, data in members.items() if name != "embeddings.f32"))

    return exported(folder, change)


def overlapping_export(folder: Path) -> list[str]:
    """An exported gallery of which 1,000 members are the same bytes."""

    def change(path: Path, members: dict[str, bytes]) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
            archive.writestr("photos/1", bytes(1 << 20))
            archive.filelist += [archive.getinfo("photos/1")] * 1000

    return exported(folder, change)


def photos_in_zip(folder: Path) -> list[str]:
    """An archive of photos, one of which expands to 1 GB."""
    zeros_in_zip(folder / "photos.zip", "anna/1.jpg", start=photo())
    return ["prepare", str(folder / "photos.zip"), "--out", str(folder / "faces")]


def photos_in_tar(folder: Path) -> list[str]:
    """The same as a compressed tar."""

    class Zeros(io.RawIOBase):
        start = photo()

        def read(self, size: int = -1) -> bytes:
            start, self.start = self.start, b""
            return start + bytes(size - len(start))

    with tarfile.open(folder / "photos.tar.gz", "w:gz", compresslevel=1) as archive:
        member = tarfile.TarInfo("anna/1.jpg")
        member.size = ZEROS
        archive.addfile(member, Zeros())
    return ["prepare", str(folder / "photos.tar.gz"), "--out", str(folder / "faces")]


def arrays(folder: Path) -> list[str]:
    """Arrays that expand to 1 GB, of a shape that their bytes do not fill."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (10**7, 1000, 1000)})
    labels = io.BytesIO()
    np.save(labels, np.zeros(10**3, dtype=np.int64))
    with zipfile.ZipFile(folder / "faces.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("face_labels.npy", labels.getvalue())
        with archive.open("face_images.npy", "w", force_zip64=True) as file:
            file.write(header.getvalue())
            for _ in range(ZEROS >> 24):
                file.write(bytes(1 << 24))
    return ["inspect", str(folder / "faces.npz"), "--out", str(folder / "inspect.html")]


def described(text: str) -> Callable[[Path], list[str]]:
    """A model of other software with this description."""

    def write(folder: Path) -> list[str]:
        (folder / "model.onnx").write_bytes(NETWORK.read_bytes())
        (folder / "model.toml").write_text(text)
        return ["card", str(folder / "model.onnx")]

    return write


FILES = (
    HostileFile("an exported gallery that expands", expanding_export),
    HostileFile("an exported gallery whose members overlap", overlapping_export),
    HostileFile("a photo in a ZIP that expands", photos_in_zip),
    HostileFile("a photo in a compressed tar that expands", photos_in_tar),
    HostileFile("arrays that expand", arrays),
    *(HostileFile(f"a description with {kind}", described(text)) for kind, text in DESCRIPTIONS.items()),
)


def run(arguments: list[str]) -> dict[str, Any]:
    """Run `visavis` and return its exit code, its last message, seconds and the peak memory of its process."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", COMMAND, *arguments], capture_output=True, text=True, check=False)
    *lines, peak = done.stderr.strip().splitlines()
    return {
        "code": done.returncode,
        "message": lines[-1][:300] if lines else "",
        "refused": done.returncode == 2 and bool(lines) and lines[-1].startswith("error: ") and "Traceback" not in done.stderr,
        "seconds": round(time.perf_counter() - started, 2),
        "megabytes": round(int(peak) / 1024),
    }


def measure_files() -> list[dict[str, Any]]:
    """Run the commands on all files."""
    rows = []
    for hostile in FILES:
        with tempfile.TemporaryDirectory() as folder:
            arguments = hostile.write(Path(folder))
            row = {"kind": hostile.kind, "command": arguments[0], **run(arguments)}
            rows.append({**row, "message": row["message"].replace(folder, "")})
            print(rows[-1], flush=True)
    return rows
