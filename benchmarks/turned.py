"""Photos that lie on their side, photos in which faces are missed, and photos without a face: what is detected, at what cost?

    python benchmarks/turned.py [--photos 350]

Turned: photos of LFW are turned by 90, 180 and 270 degrees, without EXIF. A turned photo counts as judged on another face where the
landmarks of its largest face lie more than a quarter of the eye distance from those in the upright photo. The interval is
Wilson's, 95 %. The cost on upright photos is the CPU time of the whole detection against that of one search by the detector.

Missed: photos of people in the wild (folders from 05000 on) in which one search finds no face, and in how many of them the second,
thorough search does. The settings were chosen on the folders below 05000.

Without a face: pictures of the size of LFW's photos, see `nonfaces.py`. Counted are those in which a face is detected after all;
their cost is the CPU time from file to faces, against that of LFW's photos, also with both enlarged to 2,000 pixels. All times are
measured on one thread, in turns.

Needs `../shared/data`. Writes `results/turned.json`. Three minutes for 350 photos on one core.
"""

import argparse
import io
import statistics
import tarfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from nonfaces import KINDS, SIDE
from PIL import Image
from record import LFW, PHOTOS, write_result

from visavis import FaceFinder, read_image
from visavis.errors import FaceError
from visavis.faces import acquire_faces
from visavis.faces.orientation import detect_any_turn
from visavis.metrics import Rate

Photo = npt.NDArray[np.uint8]
FINDER = FaceFinder()
EACH, FIRST_REPORTED, CORNERS = 60, 5000, "corners of photos"
LARGE, LARGE_SIDE = 30, 2000


def lfw_files(count: int) -> list[bytes]:
    """Return some files of LFW, drawn at random."""
    with tarfile.open(LFW) as archive:
        members = np.array([member for member in archive if member.name.endswith(".jpg")], dtype=object)
        return [archive.extractfile(member).read() for member in np.random.default_rng(0).permutation(members)[:count]]


def positions_back(landmarks: npt.NDArray[np.float64], turns: int, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Landmarks of a photo turned by `np.rot90(photo, turns)` in the pixels of the upright photo."""
    height, width = shape[:2]
    x, y = landmarks.T
    back = {1: (width - 1 - y, x), 2: (width - 1 - x, height - 1 - y), 3: (y, height - 1 - x)}
    return np.stack(back[turns], axis=1)


def timed(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """Call a function; return its result and its CPU time in seconds."""
    started = time.process_time()
    return function(*arguments), time.process_time() - started


def count_turned(files: list[bytes]) -> dict[str, Any]:
    """Count turned photos that are judged on another face, and measure the cost on upright ones."""
    counts = {"turned": 0, "another_face": 0, "no_face": 0, "upright": 0, "upright_taken_for_turned": 0}
    seconds: dict[str, float] = {"detector": 0.0, "any_turn": 0.0}
    for file in files:
        photo = read_image(file)
        plain, detector = timed(FINDER.detect, photo)
        upright, any_turn = timed(detect_any_turn, photo, FINDER)
        if not plain:
            continue
        seconds["detector"] += detector
        seconds["any_turn"] += any_turn
        counts["upright"] += 1
        counts["upright_taken_for_turned"] += int(upright[0].turns != 0)
        for turns in (1, 2, 3):
            faces = detect_any_turn(np.ascontiguousarray(np.rot90(photo, turns)), FINDER)
            counts["turned"] += 1
            if not faces:
                counts["no_face"] += 1
                continue
            landmarks = positions_back(faces[0].landmarks, turns, photo.shape)
            distance = np.linalg.norm(landmarks - upright[0].landmarks, axis=1).mean()
            counts["another_face"] += bool(distance > upright[0].eye_distance / 4)
    interval = list(Rate(counts["another_face"], counts["turned"]).interval)
    return {**counts, "another_face_interval": interval, "upright_cost": seconds["any_turn"] / seconds["detector"]}


def count_missed() -> dict[str, int]:
    """Count the photos in the wild in which one search finds no face, and those in which it is found after all."""
    counts = {"photos": 0, "missed": 0, "found_after_all": 0}
    with tarfile.open(PHOTOS / "wild-dev.tar") as archive:
        for member in archive:
            if not member.name.endswith(".jpg") or int(member.name.split("/")[-2]) < FIRST_REPORTED:
                continue
            photo = read_image(archive.extractfile(member).read())
            counts["photos"] += 1
            if not FINDER.detect(photo):
                counts["missed"] += 1
                counts["found_after_all"] += bool(detect_any_turn(photo, FINDER))
    return counts


def pictures_without_a_face(files: list[bytes]) -> Iterator[tuple[str, Photo]]:
    """Yield the pictures of `nonfaces.py`, with their kind; corners are those of some files."""
    rng = np.random.default_rng(0)
    for number in range(EACH):
        for kind, draw in KINDS.items():
            if kind != CORNERS:
                yield kind, draw(number, rng)
        photo = read_image(files[number % len(files)])
        corner = photo[:64, :64] if number % 2 else photo[:64, -64:]
        yield CORNERS, np.asarray(Image.fromarray(corner).resize((SIDE, SIDE)))


def measure_large(files: list[bytes]) -> float:
    """Return the cost of large pictures without a face, against that of photos enlarged to the same size."""
    seconds: list[list[float]] = [[], []]
    pictures = [picture for _, picture in pictures_without_a_face(files)]
    for number, file in enumerate(files[:LARGE]):
        for own, picture in zip(seconds, (pictures[number], read_image(file)), strict=True):
            large = encoded(np.asarray(Image.fromarray(picture).resize((LARGE_SIDE, LARGE_SIDE))))
            faces, took = timed(faces_of, large)
            if bool(faces) == (own is seconds[1]):
                own.append(took)
    without, with_face = map(statistics.fmean, seconds)
    return without / with_face


def faces_of(file: bytes) -> int:
    """Return the number of faces in a file, 0 without one, as the commands detect them."""
    try:
        return len(acquire_faces(read_image(file), FINDER, policy="all"))
    except FaceError:
        return 0


def encoded(picture: Photo) -> bytes:
    """Return a picture as a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=95)
    return file.getvalue()


def measure_pictures(files: list[bytes]) -> dict[str, Any]:
    """Measure pictures without a face against photos with one: detections, and CPU time from file to faces."""
    seconds: dict[str, list[float]] = {}
    detected = {kind: [0, 0] for kind in KINDS}
    for number, (kind, picture) in enumerate(pictures_without_a_face(files)):
        detected[kind][0] += bool(FINDER.detect(picture))
        faces, own = timed(faces_of, encoded(picture))
        detected[kind][1] += bool(faces)
        if not faces:
            seconds.setdefault(kind, []).append(own)
        with_face, other = timed(faces_of, files[number % len(files)])
        if with_face:
            seconds.setdefault("with a face", []).append(other)
    base = statistics.fmean(seconds.pop("with a face"))
    ratios = {kind: statistics.fmean(values) / base for kind, values in seconds.items()}
    return {
        "pictures": EACH * len(KINDS),
        "detected_in_one_search": {kind: first for kind, (first, _) in detected.items()},
        "detected_at_all": {kind: last for kind, (_, last) in detected.items()},
        "cost": ratios,
        "mean_cost": statistics.fmean(ratios.values()),
    }


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=350)
    count = parser.parse_args().photos
    files = lfw_files(count)
    faces_of(files[0])  # loads the networks
    empty = {**measure_pictures(files), "large_side": LARGE_SIDE, "cost_large": measure_large(files)}
    figures = {"turned": count_turned(files), "missed": count_missed(), "without_a_face": empty}
    print(write_result("turned", figures))
    print(figures)


if __name__ == "__main__":
    main()
