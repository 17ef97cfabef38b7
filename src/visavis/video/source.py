"""Sampled frames of a video file, a camera or a stream, decoded by PyAV."""

import importlib.util
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from visavis.errors import DataError, MissingDependencyError, check_numbers
from visavis.files import check_path
from visavis.wording import counted

__all__ = ["Frame", "VideoSettings", "VideoSource", "can_read_videos", "load_av"]

Pixels = npt.NDArray[np.uint8]

_MOST_DAMAGED = 250  # packets in a row without a picture, after which a stream is given up
_LATE = 1.0  # seconds by which a live source may be behind before frames are passed over
_TICK = 0.001  # seconds by which a time may be rounded
_JUMP = 1.0  # seconds by which time stamps may go back before they are taken for those of a new recording
_TEXT = frozenset({"ansi", "bintext", "idf", "xbin"})  # FFmpeg draws text files
_CAMERA = "/dev/video"


class Frame(NamedTuple):
    """A frame of a video.

    Attributes:
        time: Seconds since the first frame.
        pixels: `(h, w, 3)` uint8, RGB, upright by the file's rotation.
    """

    time: float
    pixels: Pixels


@dataclass(frozen=True)
class VideoSettings:
    """How a video is read.

    Attributes:
        fps: Frames a second that are searched for faces, above 0; default 5.
        max_pixels: Maximum width times height, at least 1; default 10,000,000, more than 4K.
        input_format: The format or device of FFmpeg, such as `"avfoundation"`, `"dshow"` or `"v4l2"`; None: found by itself.
        timeout: Seconds that a source may take to open or to send the next packet, above 0; default 10.

    Raises:
        ValueError: If a setting is out of range.
    """

    fps: float = 5.0
    max_pixels: int = 10_000_000
    input_format: str | None = None
    timeout: float = 10.0

    def __post_init__(self) -> None:
        """Check the settings."""
        check_numbers(self)
        for name in ("fps", "timeout"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.max_pixels < 1:
            raise ValueError(f"max_pixels must be at least 1, got {self.max_pixels}")


class VideoSource:
    """An open video; at most one frame of it is in memory, beside those that the decoder keeps.

    Attributes:
        name: What it was opened by.
        size: Width and height in pixels.
        damaged: How many packets could not be decoded so far.
        stopped: Why the source ended before its end; empty: it did not.

    Example:
        How large are the sampled frames? ::

            with VideoSource("door.mp4") as video:
                print([frame.pixels.shape for frame in video.frames()])
    """

    def __init__(self, source: Path | str, settings: VideoSettings | None = None) -> None:
        """Open a file, a device or an address.

        Args:
            source: Whatever PyAV opens: a path, a device such as `/dev/video0`, or an address such as `rtsp://camera/1`.
            settings: How it is read.

        Raises:
            DataError: If there is no such file, if it is no video, or if it has more pixels than the limit.
            MissingDependencyError: If the extra `video` is not installed.
        """
        self.settings = settings or VideoSettings()
        self.name, self.damaged, self.stopped = str(source), 0, ""
        self._av = load_av()
        self._container = self._open(source)
        try:
            self._stream = self._prepare()
        except BaseException:
            self._container.close()
            raise
        self.size = (int(self._stream.codec_context.width), int(self._stream.codec_context.height))

    @property
    def live(self) -> bool:
        """Whether it is a camera or a broadcast: a source without a duration."""
        return self._container.duration is None

    def frames(self) -> Iterator[Frame]:
        """Decode the video and yield about `fps` frames a second.

        Packets that are damaged are counted and passed over. A source that fails ends, and `stopped` says why. Frames of a live
        source that come faster than they are used are passed over.

        Raises:
            DataError: If not one frame can be decoded.
        """
        due, any_frame = 0.0, False
        for at, frame in self._current():
            any_frame = True
            if at + 1e-6 >= due:
                due = max(due + 1 / self.settings.fps, at)
                yield Frame(at, self._upright(frame))
        if not any_frame:
            raise DataError(f"{self.name}: no frame can be decoded{f': {self.stopped}' if self.stopped else ''}")

    def frame_at(self, time: float) -> Pixels | None:
        """Return the frame at a time of a file in seconds, `(h, w, 3)` uint8, or the first one after it; None: there is none."""
        start = float((self._stream.start_time or 0) * self._stream.time_base)
        try:
            self._container.seek(int((start + time) / self._stream.time_base), stream=self._stream)  # to the key frame before
        except (self._av.FFmpegError, ValueError) as error:
            self.stopped = self._reason(error)
            return None
        found = (frame for frame in self._decoded() if frame.time is not None and frame.time - start + _TICK >= time)
        return next((self._upright(frame) for frame in found), None)

    def describe(self) -> list[str]:
        """Return what was wrong with the source, a line each; nothing if all of it was read."""
        lines = [f"{self.name}: {counted(self.damaged, 'damaged packet')} passed over"] if self.damaged else []
        return [*lines, f"{self.name}: ended early: {self.stopped}"] if self.stopped else lines

    def close(self) -> None:
        """Close the source."""
        self._container.close()

    def __enter__(self) -> Self:
        """Return the source."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the source."""
        self.close()

    def _open(self, source: Path | str) -> Any:
        local = "://" not in self.name and self.settings.input_format is None and not self.name.startswith(_CAMERA)
        form = self.settings.input_format or ("v4l2" if self.name.startswith(_CAMERA) else None)
        options = {"protocol_whitelist": "file,crypto,data"} if local else {}  # a file must not name addresses
        limit = (self.settings.timeout, self.settings.timeout)
        if local and check_path(source).is_dir():
            raise DataError(f"{self.name}: a folder, where one video is wanted")
        try:
            return self._av.open(self.name, format=form, options=options, timeout=limit, metadata_errors="replace")
        except FileNotFoundError as error:
            raise DataError(f"{self.name}: no such file or device") from error
        except (self._av.FFmpegError, ValueError) as error:
            if local:
                raise DataError(f"{self.name}: not a video, or damaged ({self._reason(error)})") from error
            raise DataError(f"{self.name}: cannot be opened ({self._reason(error)})") from error

    def _prepare(self) -> Any:
        """Choose the stream of pictures, and give its decoder the limit."""
        streams = [stream for stream in self._container.streams.video if stream.codec_context is not None]
        streams = [stream for stream in streams if stream.codec_context.name not in _TEXT]
        if not streams:
            raise DataError(f"{self.name}: not a video: it has no pictures")
        context, limit = streams[0].codec_context, self.settings.max_pixels
        if context.width * context.height > limit:
            raise DataError(f"{self.name}: {context.width} x {context.height} pixels are more than the limit of {limit:,}")
        context.options = {"max_pixels": str(limit)}
        context.thread_type = "AUTO"
        return streams[0]

    def _current(self) -> Iterator[tuple[float, Any]]:
        """Yield frames with their times; of a live source, none that has been waiting for longer than it should."""
        began, last, asked = -math.inf, 0.0, time.monotonic()
        for at, frame in self._timed():
            now = time.monotonic()
            if now - asked >= (at - last) / 2:
                began = now - at  # the frame was waited for: nothing is pending
            if not self.live or now - at - began <= _LATE:
                yield at, frame
            last, asked = at, time.monotonic()

    def _timed(self) -> Iterator[tuple[float, Any]]:
        """Yield all frames with their times, which never go back."""
        origin: float | None = None
        last, period = 0.0, 1 / float(self._stream.average_rate or 25)
        for frame in self._decoded():
            given = last + period + (origin or 0.0) if frame.time is None else float(frame.time)
            origin = given if origin is None else origin
            if given - origin < last - _JUMP:
                origin = given - last - period
            last = max(last, given - origin)
            yield last, frame

    def _decoded(self) -> Iterator[Any]:
        empty = 0
        for packet in self._packets():
            try:
                frames = packet.decode()
            except (self._av.FFmpegError, ValueError) as error:
                self.damaged, empty, frames = self.damaged + 1, empty + 1, []
                if empty >= _MOST_DAMAGED:
                    self.stopped = f"{counted(empty, 'damaged packet')} one after another ({self._reason(error)})"
                    return
            empty = 0 if frames else empty
            yield from frames

    def _packets(self) -> Iterator[Any]:
        try:
            yield from self._container.demux(self._stream)
        except (self._av.FFmpegError, ValueError) as error:
            self.stopped = self._reason(error)

    def _reason(self, error: Exception) -> str:
        if isinstance(error, self._av.error.ExitError):  # what FFmpeg says if PyAV's time is up
            return f"nothing came for {self.settings.timeout:g} seconds"
        return (getattr(error, "strerror", None) or str(error)).lower()

    def _upright(self, frame: Any) -> Pixels:
        pixels = frame.to_ndarray(format="rgb24")
        return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90) % 4))


def can_read_videos() -> bool:
    """Return whether the extra `video` is installed."""
    return importlib.util.find_spec("av") is not None


def load_av() -> Any:
    """Return PyAV.

    Raises:
        MissingDependencyError: If the extra `video` is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingDependencyError("videos need: pip install 'visavis[video]'") from error
    av.logging.set_level(None)  # FFmpeg prints what is reported here as counts
    return av
