"""face_recognition as its users call it, two photos at a time; a worker of `decision.py`, in its own Python."""

import math
import time
import warnings
from typing import Any

warnings.simplefilter("ignore")  # face_recognition_models finds its files in an old way
start = time.perf_counter()
import face_recognition  # noqa: E402
from answering import answer  # noqa: E402

IMPORTED = time.perf_counter() - start


def nearest_to_centre(photo: str) -> list[Any]:
    """Return the encoding of the face nearest to the centre, or None."""
    image = face_recognition.load_image_file(photo)
    middle = [side / 2 for side in image.shape[:2]]

    def away(place: tuple[int, int, int, int]) -> float:
        top, right, bottom, left = place
        return math.hypot((top + bottom) / 2 - middle[0], (left + right) / 2 - middle[1])

    places = sorted(face_recognition.face_locations(image), key=away)
    return face_recognition.face_encodings(image, places[:1])


def decide(first: str, second: str) -> dict[str, float | bool | None]:
    """Load, detect and compare; only the seconds if a photo has no face."""
    start = time.perf_counter()
    found = [nearest_to_centre(photo) for photo in (first, second)]
    if not all(found):
        return {"seconds": time.perf_counter() - start, "same": False, "score": None}
    distance = float(face_recognition.face_distance(found[0][:1], found[1][0])[0])
    return {"seconds": time.perf_counter() - start, "same": distance <= 0.6, "score": -distance}


if __name__ == "__main__":
    answer({"decide": decide, "import": lambda: IMPORTED})
