"""Detect the faces of sampled frames, several frames at a time."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from visavis.faces import Face, FaceDetector
from visavis.video.source import Frame

__all__ = ["detect_faces"]

_AT_ONCE = 2  # more frames at a time would delay the events of a camera


def detect_faces(frames: Iterable[Frame], finder: FaceDetector) -> Iterator[tuple[Frame, list[Face]]]:
    """Yield frames with their faces, largest first, in the order of the frames.

    Faces are detected upright only: unlike a photo, a frame in which there is none is not turned. At most two frames are searched
    at a time, and no more are read ahead.

    Args:
        frames: Frames of a `VideoSource`.
        finder: The face detector; it is called from two threads.
    """
    pending = deque[tuple[Frame, Future[list[Face]]]]()
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        try:
            for frame in frames:
                pending.append((frame, threads.submit(finder.detect, frame.pixels)))
                if len(pending) == _AT_ONCE:
                    yield _oldest(pending)
            while pending:
                yield _oldest(pending)
        finally:
            for _, faces in pending:
                faces.cancel()


def _oldest(pending: deque[tuple[Frame, Future[list[Face]]]]) -> tuple[Frame, list[Face]]:
    frame, faces = pending.popleft()
    return frame, sorted(faces.result(), key=lambda face: -face.area)
