"""Prepare whole photos as aligned faces on disk: in parallel, resumable, with a reason for every failure."""

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from visavis.data import FaceDataset, Intake, IntakeRules, PhotoFiles, open_photos
from visavis.data.dataset import FACES, map_new
from visavis.data.folders import check_outside, fetched
from visavis.data.intake import PASSED_OVER
from visavis.data.names import UNNAMED, normalise_name
from visavis.data.objects import is_uri
from visavis.data.tables import read_table
from visavis.errors import DataError, ImageError
from visavis.faces import PREPARED_CROP, AcquisitionSettings, AlignedFace
from visavis.files import atomic_write, check_path, make_private_folder, write_csv
from visavis.images import Limits
from visavis.wording import counted
from visavis.workers.isolated import isolated
from visavis.workers.tasks import check_picklable, run_tasks

__all__ = ["Preparation", "prepare_photos", "read_failures"]

TABLE, FAILURES = "faces.csv", "failures.csv"
_PARTS, _PLAN = ".parts", "plan.json"
_PART = 16
LANDMARKS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
_COLUMNS = ("source", "person", "left", "top", "width", "height", *(f"{point}_{axis}" for point in LANDMARKS for axis in "xy"))
QUALITIES = {
    "score": "detector score",
    "eye_distance": "distance of the eyes",
    "sharpness": "sharpness",
}
_COLUMNS += (*QUALITIES, "others", "turned", "warnings")


@dataclass(frozen=True)
class Preparation:
    """The result of `prepare_photos`.

    Attributes:
        out: The folder of the data set.
        photos: Number of photos.
        faces: Number of faces.
        people: Number of people with a face and a name.
        failures: Number of photos without a usable face; `failures.csv` lists the reasons.
        lost_people: People without a usable face.
        intake: The photos and the files that were passed over; `passed_over.csv` lists these.
    """

    out: Path
    photos: int
    faces: int
    people: int
    failures: int
    lost_people: tuple[str, ...]
    intake: Intake

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON-serialisable values."""
        rate = self.failures / self.photos
        return {**asdict(self), "out": str(self.out), "intake": self.intake.to_json(), "failure_to_acquire_rate": rate}

    def __str__(self) -> str:
        """Return a summary of a few lines."""
        lines = [
            f"{counted(self.faces, 'face')} of {counted(self.people, 'person')} from {counted(self.photos, 'photo')}, in {self.out}"
        ]
        if self.failures:
            rate = self.failures / self.photos
            lines.append(f"{counted(self.failures, 'photo')} without a usable face ({rate:.2%}); reasons in {self.out / FAILURES}")
        if self.intake.passed_over:
            lines.append(self.intake.describe_passed_over(self.out / PASSED_OVER))
        if self.lost_people:
            lines.append(f"people without a face: {', '.join(self.lost_people[:10])}{' ...' if len(self.lost_people) > 10 else ''}")
        return "\n".join(lines)


def prepare_photos(
    photos: Path | str,
    out: Path | str,
    *,
    acquisition: AcquisitionSettings | None = None,
    rules: IntakeRules | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> Preparation:
    """Detect and align the faces of many photos, and write them as a data set.

    The folder `out` holds the faces in `PREPARED_CROP`, from which every encoder's crop can be cut, with landmarks, people and
    sources, as `load_dataset` reads them; `faces.csv` with box, landmarks, detector score, distance of the eyes, sharpness,
    number of other faces in the photo, degrees by which the photo is turned to the right, and warnings of each; `failures.csv`
    with the photos without a usable face and `passed_over.csv` with the files that are no photos, with the reasons. An
    interrupted call is resumed by calling again.

    Args:
        photos: A folder with one sub-folder per person, or a `.tar` or `.zip` of one.
        out: A new folder, outside of that of the photos.
        acquisition: Which face of several, what to use without one, the face detector, which several processes need to be able to
            pickle, and the limits of a photo; None: the largest face by `FaceFinder()`.
        rules: Which files are photos, and whose; None: photos in no person's folder have no name. Their limits hold too.
        workers: Number of processes; None: one per core.
        progress: Whether to show a bar on standard error.

    Raises:
        DataError: If there are no photos, or none with a face; if `out` lies among the photos, holds a finished data set, or one
            begun with other photos or other settings.
        ValueError: If limits of `acquisition` and `rules` contradict each other, or if several processes are to use a detector that
            cannot be pickled.
    """
    out, rules = check_path(out), rules or IntakeRules(people="optional")
    acquisition = acquisition or AcquisitionSettings()
    limits = _limits(acquisition, rules)
    acquisition, rules = replace(acquisition, limits=limits), replace(rules, limits=limits)
    check_outside(photos, out)
    with open_photos(photos, rules) as files:
        parts = _begin(out, files, acquisition)
        names = [files.photos[start : start + _PART] for start in range(0, len(files.photos), _PART)]
        missing = [number for number in range(len(names)) if not _part(parts, number).is_file()]
        tasks = (
            _Task(_part(parts, number), files.root, [(*photo, fetched(files, photo.name)) for photo in names[number]], acquisition)
            for number in missing
        )
        done = len(files.photos) - sum(len(names[number]) for number in missing)
        with tqdm(total=len(files.photos), initial=done, desc="faces", unit="photo", disable=not progress) as bar:
            processes = min(workers or os.cpu_count() or 1, max(1, len(missing)))
            if processes > 1:
                check_picklable("finder", acquisition.finder)
            for number, _ in zip(missing, run_tasks(_do, tasks, workers=processes), strict=True):
                bar.update(len(names[number]))
    if files.intake.passed_over:
        files.intake.write(out / PASSED_OVER)
    return _join(out, parts, len(names), files.intake, [person for _, person in files.photos])


def read_failures(folder: Path | str) -> list[tuple[str, str]] | None:
    """Return source and person of each photo without a usable face; None: `prepare_photos` did not write the folder.

    Raises:
        DataError: If the list cannot be read.
    """
    path = check_path(folder) / FAILURES
    if not path.is_file():
        return None
    return [(row["source"], normalise_name(row["person"])) for _, row in read_table(path).rows]


def _limits(acquisition: AcquisitionSettings, rules: IntakeRules) -> Limits:
    """Return the limits that one of them sets, or both alike."""
    chosen = {limits for limits in (acquisition.limits, rules.limits) if limits != Limits()}
    if len(chosen) > 1:
        raise ValueError(f"limits of acquisition and rules must be the same, got {acquisition.limits} and {rules.limits}")
    return chosen.pop() if chosen else Limits()


@dataclass(frozen=True)
class _Task:
    """One part of the work, and the file to write."""

    part: Path
    root: str
    photos: list[tuple[str, str, Path | bytes | ImageError]]
    acquisition: AcquisitionSettings


def _begin(out: Path, files: PhotoFiles, acquisition: AcquisitionSettings) -> Path:
    """Return the folder of the finished parts; check that they belong to the same photos and settings."""
    if (out / FACES).exists():
        raise DataError(f"{out}: already holds a data set. Choose a new folder")
    parts = out / _PARTS
    make_private_folder(out)
    make_private_folder(parts)
    root = files.root if is_uri(files.root) else str(Path(files.root).resolve())
    listing = json.dumps([root, files.photos, acquisition.key, _PART]).encode()
    plan = {"digest": hashlib.sha256(listing).hexdigest()}
    if (parts / _PLAN).is_file() and json.loads((parts / _PLAN).read_text()) != plan:
        raise DataError(f"{out}: was begun with other photos or other settings. Choose a new folder, or delete this one")
    with atomic_write(parts / _PLAN) as path:
        path.write_text(json.dumps(plan))
    return parts


def _part(parts: Path, number: int) -> Path:
    return parts / f"{number:08d}.npz"


def _do(task: _Task) -> None:
    """Detect the faces of some photos and write them atomically."""
    faces, landmarks, rows, failures = [], [], [], []
    read = isolated(partial(_read, task.acquisition), task.acquisition.budget, task.acquisition.warm_up)
    for name, person, content in task.photos:
        try:
            if isinstance(content, ImageError):
                raise content
            found = read(content, f"{task.root}/{name}")
        except ImageError as error:
            failures.append([name, person, str(error).removeprefix(f"{task.root}/{name}: ")])
            continue
        faces += [face.pixels for face in found]
        landmarks += [face.landmarks for face in found]
        rows += [[name if number == 0 else f"{name}#{number + 1}", person, *face.values] for number, face in enumerate(found)]
    with atomic_write(task.part) as path:
        pixels = np.array(faces, dtype=np.uint8).reshape(-1, *PREPARED_CROP.shape)
        points = np.array(landmarks, dtype=np.float32).reshape(-1, 5, 2)
        np.savez(path, pixels=pixels, landmarks=points, table=np.array(json.dumps([rows, failures])))


class _Prepared(NamedTuple):
    """A face: its crop, landmarks in it, and its values in the table."""

    pixels: npt.NDArray[np.uint8]
    landmarks: npt.NDArray[np.float64]
    values: list[Any]


def _read(acquisition: AcquisitionSettings, content: Path | bytes, name: str) -> list[_Prepared]:
    """Detect and cut the faces of a photo."""
    return [_Prepared(face.cut(PREPARED_CROP), _landmarks(face), _values(face)) for face in acquisition.acquire(content, name=name)]


def _landmarks(aligned: AlignedFace) -> npt.NDArray[np.float64]:
    """Landmarks `(5, 2)` in pixels of the prepared crop, NaN where no face was found."""
    if aligned.face is None:
        return np.full((5, 2), np.nan)
    return PREPARED_CROP.transform(aligned.landmarks).apply(aligned.landmarks)


def _values(aligned: AlignedFace) -> list[Any]:
    face = aligned.face
    places = [""] * 14 if face is None else [round(float(value), 2) for value in [*face.box, *face.landmarks.ravel()]]
    measures = ["", ""] if face is None else [round(face.score, 4), round(face.eye_distance, 1)]
    turned = "" if face is None else face.turned
    return [*places, *measures, round(aligned.sharpness, 1), aligned.others, turned, "; ".join(aligned.warnings)]


def _join(out: Path, parts: Path, count: int, intake: Intake, people_of_photos: list[str]) -> Preparation:
    """Join the parts; the faces get their final name last, so that a folder with `faces.npy` is complete."""
    rows: list[list[Any]] = []
    failures: list[list[str]] = []
    for number in range(count):
        with np.load(_part(parts, number), allow_pickle=False) as part:
            more_rows, more_failures = json.loads(str(part["table"]))
        rows += more_rows
        failures += more_failures
    write_csv(out / FAILURES, ("source", "person", "reason"), failures, private=True)
    if not rows:
        raise DataError(f"none of {counted(len(people_of_photos), 'photo')} has a usable face; reasons in {out / FAILURES}")
    write_csv(out / TABLE, _COLUMNS, rows, private=True)
    joined = parts / FACES
    pixels = map_new(joined, (len(rows), *PREPARED_CROP.shape))
    landmarks = np.empty((len(rows), 5, 2), dtype=np.float32)
    place = 0
    for number in range(count):
        with np.load(_part(parts, number), allow_pickle=False) as part:
            faces, points = part["pixels"], part["landmarks"]
        pixels[place : place + len(faces)] = faces
        landmarks[place : place + len(faces)] = points
        place += len(faces)
    pixels.flush()
    people = tuple(dict.fromkeys(row[1] for row in rows))
    number_of = {person: number for number, person in enumerate(people)}
    labels = np.array([number_of[row[1]] for row in rows], dtype=np.int64)
    sources = [row[0] for row in rows]
    FaceDataset(pixels, labels, people, sources, crop=PREPARED_CROP, landmarks=landmarks).save_names(out)
    del pixels
    joined.replace(out / FACES)
    shutil.rmtree(parts)
    lost = tuple(person for person in dict.fromkeys(people_of_photos) if person not in number_of)
    return Preparation(out, len(people_of_photos), len(rows), len(set(people) - {UNNAMED}), len(failures), lost, intake)
