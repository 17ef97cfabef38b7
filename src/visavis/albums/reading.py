"""Detect and embed every face of many photos: in parallel, resumable, and only once for each photo."""

import hashlib
import io
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from visavis.albums.faces import AlbumFaces, Failure
from visavis.albums.videos import name_moment, read_moment, read_video, split_moment
from visavis.data import Intake, IntakeRules, PhotoFiles, open_photos
from visavis.data.folders import check_outside, fetched
from visavis.data.intake import Photo, PhotoList
from visavis.data.names import UNNAMED, shown_name
from visavis.data.objects import is_uri
from visavis.data.stores import Store, file_stamp
from visavis.encoders import Encoder
from visavis.encoders.loading import load_expected
from visavis.errors import DataError, ImageError, ModelError, check_numbers
from visavis.faces import AcquisitionSettings, AlignedFace, Crop
from visavis.files import atomic_write, check_path, make_private_folder
from visavis.formats import is_image_file, is_video_file
from visavis.images import Pixels, read_image
from visavis.video.source import can_read_videos
from visavis.workers.isolated import isolated
from visavis.workers.tasks import check_picklable, run_tasks

__all__ = ["ReadingSettings", "open_album", "photo_pixels", "read_faces", "thumbnail"]

_PLAN = "plan.json"
_PART = 32
_BATCH = 64
_WIDER = 0.35  # of the box on each side, in a thumbnail
_THUMBNAIL = 112


@dataclass(frozen=True)
class ReadingSettings:
    """How photos become faces.

    Attributes:
        model: A model, see `load_encoder`.
        acquisition: The face detector and the limits of photos; all faces are taken, whatever its policy is.
        workers: Number of processes; None: one per core.
        progress: Whether to show a bar on standard error.
        thumbnails: Whether to keep a small picture of each face.
        videos: Whether videos are read too, if the extra `video` is installed; each track counts as a face at the time of its best
            frame.
    """

    model: str = "pretrained"
    acquisition: AcquisitionSettings = AcquisitionSettings(policy="all")  # noqa: RUF009 - frozen
    workers: int | None = None
    progress: bool = False
    thumbnails: bool = False
    videos: bool = True

    def __post_init__(self) -> None:
        """Take all faces."""
        check_numbers(self)
        object.__setattr__(self, "acquisition", replace(self.acquisition, policy="all"))


class _Stamped(NamedTuple):
    """A photo, and what changes if its content does."""

    name: str
    stamp: str


@dataclass(frozen=True)
class _Task:
    """Some photos, and the file to write."""

    part: Path
    root: str
    photos: list[tuple[_Stamped, Path | bytes | ImageError]]
    settings: ReadingSettings
    encoder: str
    video: bool = False


def read_faces(photos: Path | str, work: Path, settings: ReadingSettings, *, encoder: Encoder) -> AlbumFaces:
    """Detect and embed all faces of photos, or those of new photos where others were read before.

    Args:
        photos: A folder of photos at any depth, a `.tar` or `.zip` of one, or a photo.
        work: The folder that keeps what was read, outside of that of the photos. A call that is interrupted is resumed by calling
            again, and photos that are added later are read alone.
        settings: How photos become faces.
        encoder: The encoder that `settings.model` names.

    Raises:
        DataError: If there are no photos, or if `work` lies among them or was begun with another encoder or detector.
        ModelError: If the model takes photos that are not faces.
    """
    if not encoder.card.aligned:
        raise ModelError("the model takes whole photos; faces of albums need a model of aligned faces")
    check_outside(photos, work)
    with open_album(photos, settings) as files:
        _begin(work, settings, encoder)
        listed = [_Stamped(photo.name, files.store.stamp(path)) for photo, path in files.with_paths()]
        known = {_Stamped(*photo) for part in _parts(work) for photo in _header(part)["photos"]}
        missing = [photo for photo in listed if photo not in known]
        videos = files.found.videos
        chunks = [*_chunks([photo for photo in missing if photo.name not in videos])]
        chunks += [[photo] for photo in missing if photo.name in videos]
        tasks = (
            _Task(
                _part(work, some),
                files.root,
                [(photo, fetched(files, photo.name)) for photo in some],
                settings,
                encoder.digest,
                some[0].name in videos,
            )
            for some in chunks
        )
        processes = min(settings.workers or os.cpu_count() or 1, max(1, len(chunks)))
        if processes > 1:
            check_picklable("finder", settings.acquisition.finder)
        bar = tqdm(
            total=len(listed),
            initial=len(listed) - len(missing),
            desc="faces",
            unit="photo",
            disable=not settings.progress,
            delay=1,
        )
        with bar:
            for count in run_tasks(_read_part, tasks, workers=processes):
                bar.update(count)
        return _join(work, listed, files.intake)


@contextmanager
def open_album(photos: Path | str, settings: ReadingSettings) -> Iterator[PhotoFiles]:
    """List the photos of a folder or an archive, and its videos if they are wanted, whoever they show; or a single one.

    Raises:
        DataError: As `open_photos`.
    """
    path = Path(photos)
    video = settings.videos and not is_uri(photos) and is_video_file(check_path(photos))
    if is_uri(photos) or not (video or is_image_file(check_path(photos))):
        rules = IntakeRules(people="ignored", limits=settings.acquisition.limits, videos=settings.videos and can_read_videos())
        with open_photos(photos, rules) as files:
            yield files
        return
    photo = Photo(shown_name(path.name), UNNAMED)
    yield PhotoFiles(
        str(path.parent),
        PhotoList([photo], {photo.name: path.name}, (), frozenset({photo.name} if video else ())),
        Store([], lambda below: path.parent / below, lambda below: file_stamp(path)),
    )


def _begin(work: Path, settings: ReadingSettings, encoder: Encoder) -> None:
    """Create the folder, or check that it belongs to the same encoder and detector."""
    make_private_folder(work)
    plan = {"encoder": encoder.digest, "acquisition": settings.acquisition.key, "thumbnails": settings.thumbnails}
    if (work / _PLAN).is_file() and json.loads((work / _PLAN).read_text()) != plan:
        raise DataError(f"{work}: was begun with another encoder or other settings. Choose a new folder, or delete this one")
    with atomic_write(work / _PLAN) as path:
        path.write_text(json.dumps(plan))


def _chunks(photos: Sequence[_Stamped]) -> Iterator[Sequence[_Stamped]]:
    yield from (photos[start : start + _PART] for start in range(0, len(photos), _PART))


def _part(work: Path, photos: Sequence[_Stamped]) -> Path:
    return work / f"part-{hashlib.sha256(json.dumps(photos).encode()).hexdigest()[:20]}.npz"


def _parts(work: Path) -> list[Path]:
    return sorted(work.glob("part-*.npz"))


def _header(part: Path) -> Any:
    with np.load(part, allow_pickle=False) as content:
        return json.loads(str(content["header"]))


def _read_part(task: _Task) -> int:
    """Detect and embed the faces of some photos or of a video, write them atomically, and return how many photos there were."""
    encoder = load_expected(task.settings.model, task.encoder, otherwise="changed while photos were read. Start again")
    if task.video:
        _read_video_part(task, encoder)
        return len(task.photos)
    crops, rows, thumbnails, failures = [], list[list[Any]](), list[bytes](), list[Failure]()
    acquisition = task.settings.acquisition
    work = partial(_read_photo, acquisition, encoder.card.crop, thumbnails=task.settings.thumbnails)
    read = isolated(work, acquisition.budget, acquisition.warm_up)
    for photo, content in task.photos:
        try:
            if isinstance(content, ImageError):
                raise content
            name = f"{task.root}/{photo.name}"
            faces = read(content, name)
        except ImageError as error:
            failures.append(Failure(photo.name, str(error).removeprefix(f"{task.root}/{photo.name}: ")))
            continue
        crops += [face.pixels for face in faces]
        rows += [[photo.name, number, *face.values] for number, face in enumerate(faces, 1)]
        thumbnails += [face.thumbnail for face in faces]
    batches = [encoder.embed(np.stack(crops[start : start + _BATCH])) for start in range(0, len(crops), _BATCH)]
    _write_part(task, rows, batches, thumbnails, failures)
    return len(task.photos)


def _read_video_part(task: _Task, encoder: Encoder) -> None:
    """Detect, track and embed the faces of a video, and write them."""
    (photo, content), rows, failures = task.photos[0], list[list[Any]](), list[Failure]()
    name, embeddings, pictures = f"{task.root}/{photo.name}", list[npt.NDArray[np.float32]](), list[bytes]()
    try:
        if isinstance(content, ImageError):
            raise content
        picture = thumbnail if task.settings.thumbnails else None
        tracks, problems = read_video(content, encoder, task.settings.acquisition.finder, name=name, picture=picture)
        for track in tracks:
            best = track.shots[0]
            box = [round(float(value), 1) for value in best.sighting.box]
            shown = [photo.name, track.number, box, best.sighting.score, round(best.sighting.eye_distance, 1)]
            warnings = [*best.sighting.warnings, *problems]
            rows.append([*shown, round(best.sighting.sharpness, 1), warnings, round(best.sighting.time, 3)])
            embeddings.append(track.template[None])
            pictures.append(best.picture)
    except DataError as error:
        failures.append(Failure(photo.name, str(error).removeprefix(f"{name}: ")))
    _write_part(task, rows, embeddings, pictures, failures)


def _write_part(
    task: _Task,
    rows: list[list[Any]],
    embeddings: Sequence[npt.NDArray[np.float32]],
    thumbnails: Sequence[bytes],
    failures: Sequence[Failure],
) -> None:
    """Write what was read, atomically."""
    header = {"photos": [photo for photo, _ in task.photos], "rows": rows, "failures": failures}
    with atomic_write(task.part, private=True) as path, path.open("wb") as file:
        np.savez(
            file,
            header=np.array(json.dumps(header)),
            embeddings=np.concatenate(embeddings) if embeddings else np.zeros((0, 0), np.float32),
            thumbnails=np.frombuffer(b"".join(thumbnails), dtype=np.uint8),
            ends=np.cumsum([0, *map(len, thumbnails)]),
        )


class _ReadFace(NamedTuple):
    """A face: its crop, its values in the list of faces, and its thumbnail."""

    pixels: Pixels
    values: list[Any]
    thumbnail: bytes


def _read_photo(
    acquisition: AcquisitionSettings, crop: Crop, content: Path | bytes, name: str, *, thumbnails: bool
) -> list[_ReadFace]:
    """Detect and cut the faces of a photo."""
    faces = acquisition.acquire(content, name=name)
    return [_ReadFace(face.cut(crop), _values(face), thumbnail(face.photo, _box(face)) if thumbnails else b"") for face in faces]


def _values(aligned: AlignedFace) -> list[Any]:
    """Return box, detector score, distance of the eyes, sharpness and warnings of a face."""
    if aligned.face is None:
        return [None, None, 0.0, aligned.sharpness, list(aligned.warnings)]
    face = aligned.face
    box = [round(float(value), 1) for value in face.box]
    return [box, face.score, round(face.eye_distance, 1), round(aligned.sharpness, 1), list(aligned.warnings)]


def thumbnail(photo: Pixels, box: npt.NDArray[np.float64], side: int | None = _THUMBNAIL) -> bytes:
    """Return a face with some of its surroundings as a JPEG.

    Args:
        photo: `(h, w, 3)` uint8.
        box: Left, top, width and height; NaN: the whole photo.
        side: The longest in pixels; None: as in the photo.
    """
    if not np.isnan(box).any():
        low, high, margin = box[:2], box[:2] + box[2:], _WIDER * box[2:].max()
        left, top = np.maximum(0, np.floor(low - margin)).astype(int)
        right, bottom = np.ceil(high + margin).astype(int)
        photo = photo[top:bottom, left:right]
    image = Image.fromarray(photo)
    if side is not None:
        image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=82 if side is not None else 95)
    return buffer.getvalue()


def _box(aligned: AlignedFace) -> npt.NDArray[np.float64]:
    return np.full(4, np.nan) if aligned.face is None else aligned.face.box


def _join(work: Path, listed: Sequence[_Stamped], intake: Intake) -> AlbumFaces:
    """Read what is kept of the photos that are there now, in their order."""
    place = {photo: number for number, photo in enumerate(listed)}
    rows, embeddings, thumbnails, failures = [], [], [], []
    for part in _parts(work):
        with np.load(part, allow_pickle=False) as content:
            header = json.loads(str(content["header"]))
            vectors, pictures, ends = content["embeddings"], content["thumbnails"].tobytes(), content["ends"]
        current = {name: place[_Stamped(name, stamp)] for name, stamp in header["photos"] if _Stamped(name, stamp) in place}
        failures += [Failure(*failure) for failure in header["failures"] if failure[0] in current]
        for number, row in enumerate(header["rows"]):
            if row[0] in current:
                moment = [name_moment(row[0], row[7]), *row[1:]] if len(row) > 7 else row
                rows.append((current[row[0]], moment))
                embeddings.append(vectors[number])
                thumbnails.append(pictures[ends[number] : ends[number + 1]])
    order = sorted(range(len(rows)), key=lambda index: (rows[index][0], rows[index][1][1]))
    failures.sort(key=lambda failure: failure.photo)
    return AlbumFaces.of(
        [rows[index][1] for index in order],
        [embeddings[index] for index in order],
        thumbnails=[thumbnails[index] for index in order],
        failures=failures,
        intake=intake,
    )


def photo_pixels(name: str, files: PhotoFiles, settings: ReadingSettings) -> Pixels:
    """Decode a photo or a moment of a video again, to draw on it or to cut a face out of it."""
    video, time = split_moment(name)
    if time is not None and video in files.found.videos:
        content = files.fetch(video)
        if isinstance(content, Path):
            return read_moment(content, time, name=f"{files.root}/{video}")
    return read_image(files.fetch(name), name=f"{files.root}/{name}", limits=settings.acquisition.limits)
