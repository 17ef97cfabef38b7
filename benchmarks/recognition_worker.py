"""face_recognition as its users call it, two photos at a time; asked by `decision.py`, in a Python of its own."""

import time
import warnings

warnings.simplefilter("ignore")  # face_recognition_models finds its files in an old way
start = time.perf_counter()
import face_recognition  # noqa: E402
from answering import answer  # noqa: E402

IMPORTED = time.perf_counter() - start


def decide(first: str, second: str) -> dict[str, float | bool | None]:
    """Load, find and compare; nothing but the seconds where a photo gives no face."""
    begun = time.perf_counter()
    found = [face_recognition.face_encodings(face_recognition.load_image_file(photo)) for photo in (first, second)]
    if not all(found):
        return {"seconds": time.perf_counter() - begun, "same": False, "score": None}
    distance = float(face_recognition.face_distance(found[0][:1], found[1][0])[0])
    return {"seconds": time.perf_counter() - begun, "same": distance <= 0.6, "score": -distance}


if __name__ == "__main__":
    answer({"decide": decide, "import": lambda: IMPORTED})
