"""What becomes of every file of an untidy photo collection, through every way in, and how long listing one takes.

    python benchmarks/intake.py

Sixty generated people with ten photos each, and among them what collections hold: foreign and missing suffixes, sub-folders,
names in two Unicode forms and in Latin-1, thumbnails and other files of network drives, notes, empty and damaged files. The
collection is read as a folder, as `.tar`, `.tar.gz` and `.zip`, and through pyarrow's file systems as an object store is. For
each, the files that were read, those that were passed over with a reason, and those that were lost are counted, as are photos
under a wrong name. Then a folder of 100,000 files is listed, beside a bare `os.walk`. Writes `results/intake.json`. One
minute.
"""

import argparse
import io
import logging
import os
import tarfile
import tempfile
import time
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from measure import in_turns, spread
from PIL import Image
from record import write_result

from visavis.data import IntakeRules, PassedOver, generate_faces, load_dataset, open_photos
from visavis.data.names import normalise_name, shown_name
from visavis.images import read_image
from visavis.scale.sources import list_photos, open_source

PEOPLE, PHOTOS, MANY = 60, 10, 100_000
SUFFIXES = (".jpg", ".JPG", ".jfif", ".jpeg_large", "", ".jpg ", ".jpg?w=200", ".txt")
KINDS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF")
Read = tuple[dict[str, str], list[PassedOver]]


def collection() -> Iterator[tuple[str, bytes, str | None]]:
    """Yield the files: path, content, and the person of a photo that can be read; None for all others."""
    faces = generate_faces(PEOPLE, PHOTOS, size=64, seed=4).faces
    for number, face in enumerate(faces):
        person, photo = divmod(number, PHOTOS)
        name = f"José {person}" if person % 3 == 0 else f"person-{person}"
        spelled = unicodedata.normalize("NFD" if photo % 2 else "NFC", name) + (" " if person % 5 == 0 and photo > 5 else "")
        folder = f"all/{spelled}/2024/May" if photo == 3 else f"all/{spelled}"
        file = io.BytesIO()
        Image.fromarray(face).save(file, KINDS[number % len(KINDS)])
        stem = b"caf\xe9".decode(errors="surrogateescape") if photo == 7 else f"photo-{photo}"
        whole = number % 40 != 0
        yield (
            f"{folder}/{stem}{SUFFIXES[number % len(SUFFIXES)]}",
            file.getvalue() if whole else file.getvalue()[: len(file.getvalue()) // 4],
            name if whole else None,
        )
        if photo == 0:
            yield f"all/{spelled}/@eaDir/photo-0.jpg/SYNOPHOTO_THUMB_M.jpg", file.getvalue(), None
            yield f"all/{spelled}/Thumbs.db", b"x", None
            yield f"all/{spelled}/notes.jpg", b"Dear diary", None
            yield f"all/{spelled}/empty.jpg", b"", None
            yield f"all/{spelled}/._photo-1.jpg", b"\0\5\26\7AppleDouble", None
    yield "__MACOSX/all/._person-1", b"x", None
    yield "README.txt", b"Photos of all", None


def write_folder(files: dict[str, bytes], root: Path) -> Path:
    """Write the files into a folder."""
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def write_tar(files: dict[str, bytes], path: Path) -> Path:
    """Write the files into a `.tar` or `.tar.gz`."""
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w", encoding="utf-8") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def write_zip(files: dict[str, bytes], path: Path) -> Path:
    """Write the files into a `.zip`, whose names are UTF-8."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def through_reader(root: Path) -> Read:
    """Read a data set."""
    faces = load_dataset(root, size=32)
    assert faces.intake is not None
    people = [faces.people[label] for label in faces.labels]
    return dict(zip(faces.sources, people, strict=True)), list(faces.intake.passed_over)


def through_listing(root: str) -> Read:
    """List photos as `embed` does, and decode each."""
    listed = list_photos(root, IntakeRules())
    people, passed_over = {}, list(listed.intake.passed_over)
    for photo in listed.photos:
        fetch = open_source(root, photo.stamp).fetch
        assert fetch is not None
        try:
            read_image(fetch(photo.path), name=photo.source)
            people[photo.source] = photo.person
        except ValueError as error:
            passed_over.append(PassedOver(photo.source, "unreadable", str(error)))
    return people, passed_over


def counted(files: dict[str, bytes], people: dict[str, str | None], door: Callable[[], Read]) -> dict[str, Any]:
    """Count what became of the files."""
    read, passed_over = door()
    expected = {shown_name(name): normalise_name(person) for name, person in people.items() if person is not None}
    seen = {*read, *(file.name for file in passed_over)}
    return {
        "files": len(files),
        "photos": len(expected),
        "read": len(read),
        "passed_over": dict(Counter(file.kind for file in passed_over)),
        "without_reason": sum(not file.reason for file in passed_over),
        "lost": sum(shown_name(name) not in seen for name in files),
        "refused_but_readable": sum(name not in read for name in expected),
        "wrong_person": sum(read[name] != expected.get(name) for name in read),
    }


def doors(files: dict[str, bytes], work: Path) -> Iterator[tuple[str, dict[str, bytes], Callable[[], Read]]]:
    """Yield each way in: its name, the files that it can hold, and the reader."""
    utf8 = {name: data for name, data in files.items() if name.isprintable()}
    folder = write_folder(files, work / "folder")
    yield "folder", files, lambda: through_reader(folder)
    for kind in ("tar", "tar.gz"):
        archive = write_tar(files, work / f"all.{kind}")
        yield f".{kind}", files, lambda archive=archive: through_reader(archive)  # type: ignore[misc]
    packed = write_zip(utf8, work / "all.zip")
    yield ".zip", utf8, lambda: through_reader(packed)
    yield "folder, embed", files, lambda: through_listing(str(folder))
    store = write_folder(utf8, work / "store")
    yield "object store, embed", utf8, lambda: through_listing(f"file://{store}")


def listing(work: Path) -> dict[str, Any]:
    """Time the listing of many files beside a walk that reads nothing."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG")
    for number in range(MANY):
        path = work / "many" / f"person-{number // 100}" / f"{number}.jpg"
        if number % 100 == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(file.getvalue())

    def list_all() -> None:
        with open_photos(work / "many") as files:
            assert len(files.photos) == MANY

    def walk() -> None:
        assert sum(len(names) for _, _, names in os.walk(work / "many")) == MANY

    times = in_turns({"listing": list_all, "walk": walk}, rounds=3)
    return {"files": MANY, **{name: spread(seconds) for name, seconds in times.items()}}


def main() -> None:
    """Write, read, count, time."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    logging.getLogger("visavis").setLevel(logging.ERROR)  # the counts say it all
    everything = list(collection())
    files = {name: data for name, data, _ in everything}
    people = {name: person for name, _, person in everything}
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as work:
        found = {name: counted(held, {file: people[file] for file in held}, door) for name, held, door in doors(files, Path(work))}
        figures = {"doors": found, "listing": listing(Path(work)), "seconds": time.perf_counter() - started}
    print(figures)
    write_result("intake", figures)


if __name__ == "__main__":
    main()
