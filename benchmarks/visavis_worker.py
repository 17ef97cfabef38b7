"""visavis as its users call it, two photos at a time, the face nearest to the centre of each; a worker of `decision.py`."""

import time

start = time.perf_counter()
from answering import answer  # noqa: E402

import visavis  # noqa: E402

verifier = visavis.Verifier(acquisition=visavis.AcquisitionSettings("centre"))
IMPORTED = time.perf_counter() - start


def decide(first: str, second: str) -> dict[str, float | bool | None]:
    """Load, detect and compare; only the seconds if a photo has no face."""
    start = time.perf_counter()
    try:
        verdict = verifier.verify(first, second)
    except visavis.ImageError:
        return {"seconds": time.perf_counter() - start, "same": False, "score": None}
    return {"seconds": time.perf_counter() - start, "same": bool(verdict.same), "score": verdict.score}


if __name__ == "__main__":
    answer({"decide": decide, "import": lambda: IMPORTED})
