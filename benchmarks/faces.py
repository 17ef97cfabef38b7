"""LFW prepared in full: in how many photos a face is found, and how long it takes, beside dlib's HOG detector.

    pip install 'visavis[bench]' && python benchmarks/faces.py [--compared 300]

Prepares all 13,233 photos into `runs/lfw-faces` (resumed where it stopped; the face nearest to the centre, as LFW means it), counts
those without a face, and times both detectors in turns on the same photos, one thread each. Writes `results/faces.json`. About
half an hour on 2 cores, ten minutes with AVX-512.

Last figures: 2026-11-25, AMD EPYC, 2 cores with AVX-512: a face in 13,232 of 13,233 photos, in 9 minutes. On 300 of them, one
thread each: MTCNN found 300 at 73 ms a photo, dlib's HOG 298 at 20 ms.
"""

import argparse
import os
import statistics
import time

os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}

import dlib
import numpy as np
from record import LFW, RUNS, write_result

from visavis.datasets import load_dataset, open_photos
from visavis.faces import FaceFinder
from visavis.images import read_image
from visavis.preparation import prepare_photos

OUT = RUNS / "lfw-faces"


def prepared() -> dict[str, float]:
    """Prepare all of LFW, or go on, and count."""
    start = time.perf_counter()
    if not (OUT / "faces.npy").is_file():
        prepare_photos(LFW, OUT, policy="centre")
    with open_photos(LFW) as files:
        photos = len(files.photos)
    found = len(load_dataset(str(OUT)))
    seconds = time.perf_counter() - start
    return {"photos": photos, "faces_found": found, "found_rate": found / photos, "seconds_of_this_call": seconds}


def compared(count: int) -> dict[str, dict[str, float]]:
    """Time both detectors in turns on the same photos."""
    with open_photos(LFW) as files:
        chosen = np.random.default_rng(0).choice(len(files.photos), count, replace=False)
        photos = [read_image(files.fetch(files.photos[index][0])) for index in chosen]
    finder, hog = FaceFinder(), dlib.get_frontal_face_detector()
    detectors = {"mtcnn, five points": finder.find, "dlib HOG, boxes": lambda photo: hog(photo, 1)}
    for detect in detectors.values():
        detect(photos[0])
    seconds: dict[str, list[float]] = {name: [] for name in detectors}
    found = dict.fromkeys(detectors, 0)
    for photo in photos:
        for name, detect in detectors.items():
            start = time.perf_counter()
            found[name] += len(detect(photo)) > 0
            seconds[name].append(time.perf_counter() - start)
    return {
        name: {"photos": count, "found": found[name], "median_ms_per_photo": 1000 * statistics.median(seconds[name])}
        for name in detectors
    }


def main() -> None:
    """Prepare, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compared", type=int, default=300, help="photos to time both detectors on")
    options = parser.parse_args()
    figures = {"prepared": prepared(), "compared": compared(options.compared)}
    print(figures)
    write_result("faces", figures, command="python benchmarks/faces.py")


if __name__ == "__main__":
    main()
