"""Are the faces of turned photos detected, and what does it cost for upright ones?

    python benchmarks/turned.py [--photos 400]

Photos of LFW are turned by 90, 180 and 270 degrees, without EXIF. A turned photo counts as judged on another face where the
landmarks of its largest face lie more than a quarter of the eye distance from those in the upright photo. The interval is
Wilson's, 95 %. The cost is the CPU time with turned copies against that of the detector alone, on the same photos in turns.
Takes about two minutes for 400 photos on 2 cores.
"""

import argparse
import tarfile
import time

import numpy as np
from record import PHOTOS, write_result

from visavis import FaceFinder, read_image
from visavis.faces.orientation import detect_any_turn
from visavis.metrics import Rate


def positions_back(landmarks: np.ndarray, turns: int, shape: tuple[int, ...]) -> np.ndarray:
    """Landmarks of a photo turned by `np.rot90(photo, turns)` in the pixels of the upright photo."""
    height, width = shape[:2]
    x, y = landmarks.T
    back = {1: (width - 1 - y, x), 2: (width - 1 - x, height - 1 - y), 3: (y, height - 1 - x)}
    return np.stack(back[turns], axis=1)


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=400)
    photos = parser.parse_args().photos
    finder = FaceFinder()
    counts = {"turned": 0, "another_face": 0, "no_face": 0, "upright": 0, "upright_taken_for_turned": 0}
    seconds = {"detector": 0.0, "any_turn": 0.0}
    with tarfile.open(PHOTOS / "lfw-deepfunneled.tar") as archive:
        members = [member for member in archive.getmembers() if member.name.endswith(".jpg")]
        for member in np.random.default_rng(0).permutation(np.array(members, dtype=object))[:photos]:
            photo = read_image(archive.extractfile(member).read())
            started = time.process_time()
            plain = finder.detect(photo)
            middle = time.process_time()
            upright = detect_any_turn(photo, finder)
            seconds["detector"] += middle - started
            seconds["any_turn"] += time.process_time() - middle
            if not plain:
                continue
            counts["upright"] += 1
            counts["upright_taken_for_turned"] += int(upright[0].turns != 0)
            for turns in (1, 2, 3):
                faces = detect_any_turn(np.ascontiguousarray(np.rot90(photo, turns)), finder)
                counts["turned"] += 1
                if not faces:
                    counts["no_face"] += 1
                    continue
                landmarks = positions_back(faces[0].landmarks, turns, photo.shape)
                distance = np.linalg.norm(landmarks - upright[0].landmarks, axis=1).mean()
                counts["another_face"] += bool(distance > upright[0].eye_distance / 4)
    low, high = Rate(counts["another_face"], counts["turned"]).interval
    figures = {**counts, "another_face_interval": [low, high], "time_ratio": seconds["any_turn"] / seconds["detector"]}
    print(write_result("turned", figures, command=f"python benchmarks/turned.py --photos {photos}"))
    print(figures)


if __name__ == "__main__":
    main()
