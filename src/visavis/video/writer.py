"""Write a video of pictures with their times."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.files import atomic_write
from visavis.images import resize_image
from visavis.video.source import load_av

__all__ = ["VideoWriter", "open_writer"]

Pixels = npt.NDArray[np.uint8]

_TICKS = 1000  # a second
_CODECS = ("libx264", "mpeg4")  # the first that this FFmpeg has


class VideoWriter:
    """Writes an MP4 in fragments, so that memory does not grow and what was written can be played after a crash.

    Attributes:
        frames: How many were written.
    """

    def __init__(self, path: Path, fps: float) -> None:
        """Open the file.

        Args:
            path: The file, an MP4 whatever its name.
            fps: About how many frames a second there will be.

        Raises:
            MissingDependencyError: If the extra `video` is not installed.
        """
        self._av = load_av()
        self._container = self._av.open(str(path), "w", format="mp4", options={"movflags": "frag_keyframe+empty_moov"})
        self._rate, self._stream, self._last = Fraction(fps).limit_denominator(1000), None, -1
        self.frames = 0

    def write(self, time: float, picture: Pixels) -> None:
        """Write a frame `(h, w, 3)` uint8, RGB, at a time in seconds; frames of another size than the first are resized."""
        stream = self._stream or self._add_stream(picture)
        height, width = stream.height, stream.width
        if picture.shape[0] // 2 * 2 != height or picture.shape[1] // 2 * 2 != width:
            picture = resize_image(picture, (height, width))
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[:height, :width]), format="rgb24")
        self._last = frame.pts = max(self._last + 1, round(time * _TICKS))
        frame.time_base = Fraction(1, _TICKS)
        self._container.mux(stream.encode(frame))
        self.frames += 1

    def close(self) -> None:
        """Write what is pending, and close the file."""
        try:
            if self._stream is not None:
                self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()

    def _add_stream(self, picture: Pixels) -> Any:
        codec = next(name for name in _CODECS if name in self._av.codecs_available)
        stream = self._container.add_stream(codec, rate=self._rate)
        stream.height, stream.width = (max(2, side // 2 * 2) for side in picture.shape[:2])
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, _TICKS)
        if codec == "libx264":
            stream.options = {"preset": "veryfast", "crf": "23"}
        else:
            stream.bit_rate = 4_000_000
        self._stream = stream
        return stream


@contextmanager
def open_writer(path: Path | None, fps: float) -> Iterator[VideoWriter | None]:
    """Open a video that only its owner may read; None: write nothing.

    It gets its name at the end of the `with` block, also where that ends with an error, unless no frame was written.
    """
    if path is None:
        yield None
        return
    failure: BaseException | None = None
    with atomic_write(path, private=True) as temporary:
        writer = VideoWriter(temporary, fps)
        try:
            yield writer
        except BaseException as error:
            failure = error
            if not writer.frames:
                raise
        finally:
            writer.close()
    if failure is not None:
        raise failure
