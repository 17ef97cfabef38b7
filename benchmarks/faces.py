"""Face detection on all of LFW, and its speed against the code of the package mtcnn and dlib's HOG detector.

    pip install 'visavis[bench]' && python benchmarks/faces.py [--compared 300]

Prepares all 13,233 photos into `runs/lfw-faces` (resumable; the face nearest to the centre, which LFW means, and the centre itself
if none is detected), counts the photos without a face, and times the detectors alternately on the same photos, ten rounds, one
thread each. The code of mtcnn runs the same weights in TensorFlow. Writes `results/faces.json`. Some minutes.
"""

import argparse
import csv
import os
import time
from collections.abc import Callable
from itertools import cycle
from typing import Any

os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}

import dlib
import numpy as np
from measure import in_turns, ratio, spread
from mtcnn import MTCNN
from record import LFW, RUNS, write_result

from visavis.data import open_photos
from visavis.data.preparation import TABLE, prepare_photos
from visavis.faces import AcquisitionSettings, FaceFinder
from visavis.images import read_image

OUT = RUNS / "lfw-faces"
OURS = "visavis"
ROUNDS = 10


def prepared() -> dict[str, float]:
    """Prepare all of LFW, or resume, and count."""
    start = time.perf_counter()
    if not (OUT / "faces.npy").is_file():
        prepare_photos(LFW, OUT, acquisition=AcquisitionSettings(policy="centre", fallback="centre"))
    with (OUT / TABLE).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    photos, found = len(rows), sum(row["score"] != "" for row in rows)
    seconds = time.perf_counter() - start
    return {"photos": photos, "faces_found": found, "found_rate": found / photos, "seconds_of_this_call": seconds}


def compared(count: int) -> dict[str, Any]:
    """Time the detectors alternately on the same photos."""
    with open_photos(LFW) as files:
        chosen = np.random.default_rng(0).choice(len(files.photos), count, replace=False)
        photos = [read_image(files.fetch(files.photos[index][0])) for index in chosen]
    hog, package = dlib.get_frontal_face_detector(), MTCNN()
    detectors: dict[str, Callable[[Any], Any]] = {
        OURS: FaceFinder().detect,
        "mtcnn, TensorFlow": lambda photo: package.detect_faces(photo, fit_to_image=False),
        "dlib HOG, boxes alone": lambda photo: hog(photo, 1),
    }
    found = {name: sum(len(detect(photo)) > 0 for photo in photos) for name, detect in detectors.items()}
    parts = [[photos[index] for index in part] for part in np.array_split(np.arange(count), ROUNDS)]

    def step(detect: Callable[[Any], Any]) -> Callable[[], Any]:
        turns = cycle(parts)
        return lambda: [detect(photo) for photo in next(turns)]

    seconds = in_turns({name: step(detect) for name, detect in detectors.items()}, rounds=ROUNDS)
    share = count / ROUNDS
    return {
        "photos": count,
        "found": found,
        "milliseconds_a_photo": {name: spread(1000 * value / share for value in values) for name, values in seconds.items()},
        "times_faster": {name: ratio(values, seconds[OURS]) for name, values in seconds.items() if name != OURS},
    }


def main() -> None:
    """Prepare, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compared", type=int, default=300, help="photos to time the detectors on")
    options = parser.parse_args()
    figures = {"prepared": prepared(), "compared": compared(options.compared)}
    print(figures)
    write_result("faces", figures)


if __name__ == "__main__":
    main()
