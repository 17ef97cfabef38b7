"""The faces of a video file as those of an album: one for each track, at the time of its best frame."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from visavis.encoders import Encoder
from visavis.errors import DataError
from visavis.faces import FaceDetector
from visavis.images import Pixels
from visavis.video import Track, Tracker, TrackingSettings, VideoSource, detect_faces

__all__ = ["VideoFaces", "name_moment", "read_moment", "read_video", "split_moment"]

_MOMENT = re.compile(r"(?P<video>.+)#t=(?P<time>\d+(\.\d+)?)", re.DOTALL)


class VideoFaces(NamedTuple):
    """The tracks of a video, in order of their starts, and what was wrong with it."""

    tracks: tuple[Track, ...]
    problems: tuple[str, ...]


def read_video(
    path: Path | bytes,
    encoder: Encoder,
    finder: FaceDetector,
    *,
    name: str,
    picture: Callable[[Pixels, npt.NDArray[np.float64]], bytes] | None = None,
) -> VideoFaces:
    """Detect, track and embed the faces of a video file; see `Tracker`.

    Args:
        path: The file; the bytes of a member of an archive cannot be read.
        encoder: Embeds the faces.
        finder: Detects them.
        name: What to call the video in an error.
        picture: Makes a small JPEG of a frame and a box; None: none.

    Raises:
        DataError: If it cannot be read, or has no face in two successive frames.
        MissingDependencyError: If the extra `video` is not installed.
    """
    if isinstance(path, bytes):
        raise DataError(f"{name}: a video in an archive; unpack it first")
    tracker, tracks = Tracker(encoder, TrackingSettings(picture=picture)), list[Track]()
    with VideoSource(path) as video:
        for frame, faces in detect_faces(video.frames(), finder):
            tracks += tracker.update(frame.time, frame.pixels, faces).ended
        problems = tuple(line.removeprefix(f"{path}: ") for line in video.describe())
    tracks += tracker.finish()
    if not tracks:
        raise DataError(f"{name}: no face was found{f'; {problems[0]}' if problems else ''}")
    return VideoFaces(tuple(sorted(tracks, key=lambda track: track.number)), problems)


def name_moment(video: str, time: float) -> str:
    """Return how a moment of a video is named: with a fragment as in Media Fragments URI 1.0 (W3C).

    Example:
        >>> name_moment("door.mp4", 12.4)
        'door.mp4#t=12.4'
    """
    return f"{video}#t={round(time, 3):g}"


def split_moment(name: str) -> tuple[str, float | None]:
    """Return the video and the time in seconds of a moment; of any other name, itself and None.

    Example:
        >>> split_moment("door.mp4#t=12.4"), split_moment("party.jpg")
        (('door.mp4', 12.4), ('party.jpg', None))
    """
    match = _MOMENT.fullmatch(name)
    return (match["video"], float(match["time"])) if match else (name, None)


def read_moment(path: Path, time: float, *, name: str) -> Pixels:
    """Decode the frame of a video at a time in seconds.

    Raises:
        DataError: If it cannot be read.
        MissingDependencyError: If the extra `video` is not installed.
    """
    with VideoSource(path) as video:
        pixels = video.frame_at(time)
    if pixels is None:
        raise DataError(f"{name}: no frame can be decoded at {time:g} seconds")
    return pixels
