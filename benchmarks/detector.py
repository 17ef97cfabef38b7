"""Small faces in a large photo: how many are detected, and for how much CPU time, at several detector sizes; and loading.

    python benchmarks/detector.py

Places 36 people of LFW, 48 pixels from ear to ear, in a synthetic background of 4,000 x 3,000 pixels, and detects them on one
thread. CPU time is the median of five detections, reduction of the photo included, and of loading in five new processes.
Needs `../shared/data/lfw-deepfunneled.tar`. Writes `results/detector.json`. About a minute.
"""

import argparse
import statistics
import subprocess
import sys
import time

import numpy as np
import numpy.typing as npt
from record import LFW, write_result

from visavis import FaceFinder, read_image
from visavis.data import open_photos
from visavis.images import resize_image

Photo = npt.NDArray[np.uint8]
WIDTH, HEIGHT, FACE, ROWS = 4000, 3000, 48, 6
SIZES, ROUNDS = (640, 960, 1280, 1920), 5
LOAD = (
    "import time, numpy, onnxruntime, visavis.faces.mtcnn as m; start = time.process_time(); m.load_mtcnn(); "
    "print(time.process_time() - start)"
)


def portraits(count: int, rng: np.random.Generator) -> list[Photo]:
    """Draw first photos of people of LFW in which the detector finds a face."""
    finder, found = FaceFinder(), list[Photo]()
    with open_photos(LFW) as files:
        names = [photo.name for photo in files.photos if photo.name.endswith("_0001.jpg")]
        for index in rng.permutation(len(names)):
            photo = read_image(files.fetch(names[index]))
            if finder.detect(photo):
                found.append(photo)
            if len(found) == count:
                break
    return found


def scene(photos: list[Photo], rng: np.random.Generator) -> tuple[Photo, npt.NDArray[np.float64]]:
    """Place photos on a grid in a large one; return it with the centres of the faces `(n, 2)`."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    background = np.stack([110 + 40 * np.sin(x / 700), 120 + 30 * np.cos(y / 500), 130 + 0.01 * x], axis=-1)
    image = np.clip(background + rng.normal(0, 8, (HEIGHT, WIDTH, 1)), 0, 255).astype(np.uint8)
    centres = []
    for number, photo in enumerate(photos):
        box = FaceFinder().detect(photo)[0].box
        scale = FACE / box[2]
        side = round(len(photo) * scale)
        top, left = (
            100 + place * (length - 400) // ROWS for place, length in zip(divmod(number, ROWS), (HEIGHT, WIDTH), strict=True)
        )
        image[top : top + side, left : left + side] = resize_image(photo, (side, side))
        centres.append(np.array([left, top]) + scale * (box[:2] + box[2:] / 2))
    return image, np.array(centres)


def detected(image: Photo, centres: npt.NDArray[np.float64], size: int) -> dict[str, float]:
    """Count the faces found near the centres, and time the detection."""
    finder, seconds = FaceFinder(detector_size=size), []
    for _ in range(ROUNDS):
        start = time.process_time()
        faces = finder.detect(image)
        seconds.append(time.process_time() - start)
    middles = np.array([face.box[:2] + face.box[2:] / 2 for face in faces]).reshape(-1, 1, 2)
    distances = np.linalg.norm(middles - centres, axis=2).min(axis=0, initial=np.inf)
    return {"found": int((distances < FACE / 2).sum()), "cpu_seconds": statistics.median(seconds)}


def main() -> None:
    """Detect, time, write."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    rng = np.random.default_rng(0)
    image, centres = scene(portraits(ROWS**2, rng), rng)
    load = [float(subprocess.check_output([sys.executable, "-c", LOAD])) for _ in range(ROUNDS)]
    figures = {
        "faces": len(centres),
        "face_pixels": FACE,
        "photo_pixels": WIDTH,
        "default_size": FaceFinder().detector_size,
        "sizes": {str(size): detected(image, centres, size) for size in SIZES},
        "load_cpu_seconds": statistics.median(load),
    }
    print(figures)
    write_result("detector", figures)


if __name__ == "__main__":
    main()
