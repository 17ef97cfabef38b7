"""Watch a video or a camera for known people: tracks, one decision for each, and events as they happen."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from visavis.albums.deciding import TrackDecider, TrackDecision
from visavis.albums.known import open_known
from visavis.albums.pictures import Label, annotate
from visavis.albums.reading import ReadingSettings
from visavis.encoders import load_encoder
from visavis.errors import ModelError, check_numbers
from visavis.verification import Verifier
from visavis.video import Frame, Track, Tracker, TrackingSettings, VideoSettings, VideoSource, detect_faces
from visavis.video.writer import VideoWriter, open_writer
from visavis.wording import counted

__all__ = ["WatchEvent", "WatchOptions", "WatchSummary", "watch_video"]

EventName = Literal["start", "identified", "unknown", "candidates", "end"]


@dataclass(frozen=True)
class WatchOptions:
    """How a video is watched.

    Attributes:
        video: How it is read.
        tracking: How faces are linked to tracks.
        frames: Number of usable frames after which a track is decided about, at least 1; default 10. A track that ends before is
            decided about at its end.
        target_fpir: Choose the threshold for this false positive identification rate of a track; None: for 0.01, and if the model
            has no operating point for that, no name is given, see `choose_rule`.
        threshold: Minimum score, instead.
        people_depth: Which folders are the known people; see `IntakeRules`.
        out: An MP4 of the sampled frames with boxes and names; None: none.
        stop: Asked after each frame whether to end; None: never.

    Raises:
        ValueError: If both a threshold and a rate are given, or a number is out of range.
    """

    video: VideoSettings = VideoSettings()
    tracking: TrackingSettings = TrackingSettings()
    frames: int = 10
    target_fpir: float | None = None
    threshold: float | None = None
    people_depth: int | None = None
    out: Path | None = None
    stop: Callable[[], bool] | None = None

    def __post_init__(self) -> None:
        """Check the options."""
        check_numbers(self)
        if self.frames < 1:
            raise ValueError(f"frames must be at least 1, got {self.frames}")
        if self.threshold is not None and self.target_fpir is not None:
            raise ValueError("threshold and target_fpir are mutually exclusive, got both")


@dataclass(frozen=True)
class WatchEvent:
    """What happens to a track.

    Attributes:
        event: `"start"`; the decision: `"identified"`, `"unknown"`, or `"candidates"` where there is none; `"end"`, with the same.
        time: Seconds since the first frame; of an `"end"`, when the face was last seen.
        track: The number of the track, from 1.
        start: When it was first seen, seconds.
        box: Left, top, width and height of the face when it was last seen, pixels.
        frames: In how many sampled frames it was seen so far.
        decision: Who it is; None: nothing was decided yet.
    """

    event: EventName
    time: float
    track: int
    start: float
    box: tuple[float, float, float, float]
    frames: int
    decision: TrackDecision | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        decision = {} if self.decision is None else self.decision.to_json()
        times = {"time": round(self.time, 3), "track": self.track, "start": round(self.start, 3)}
        seen = {"seen_frames": self.frames}
        return {"event": self.event, **times, "box": list(self.box), **seen, **decision}


@dataclass(frozen=True)
class WatchSummary:
    """The end of a video.

    Attributes:
        seconds: How much of it was watched.
        frames: How many frames were searched.
        tracks: How many tracks there were.
        named: How many of them each person has.
        passing: Faces that were seen in one frame only, about which nothing is decided.
        subjects: How many people were searched for.
        expected_wrong: How many tracks of others are expected to be named, and the upper bound; None: the rate is not known.
        undecided: Why nothing was decided; empty: it was.
        problems: What was wrong with the source.
        interrupted: Whether `stop` ended it.
    """

    seconds: float
    frames: int
    tracks: int
    named: dict[str, int]
    passing: int
    subjects: int
    expected_wrong: tuple[float, float] | None
    undecided: str
    problems: tuple[str, ...]
    interrupted: bool

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        expected = self.expected_wrong
        plain = {**vars(self), "seconds": round(self.seconds, 3), "undecided": self.undecided or None}
        return {"event": "summary", **plain, "expected_wrong": expected and expected[0], "problems": list(self.problems)}

    def describe(self) -> list[str]:
        """Return the summary, a line each."""
        named = sum(self.named.values())
        lines = [
            f"{self.seconds:,.1f} seconds, {counted(self.frames, 'frame')} searched: {counted(self.tracks, 'track')}, "
            f"{named:,} of {counted(len(self.named), 'known person')}"
        ]
        if self.passing:
            lines.append(f"{counted(self.passing, 'face')} seen in one frame only, not decided")
        if self.undecided:
            lines.append(f"no decision: {self.undecided}")
        elif self.expected_wrong is not None:
            number, upper = self.expected_wrong
            lines.append(f"expected wrong names among tracks of unknown people: {number:.1f}, at most {upper:.1f}")
        return [*lines, *self.problems, *(["interrupted"] if self.interrupted else [])]


def watch_video(
    source: Path | str,
    known: Path | str,
    *,
    settings: ReadingSettings | None = None,
    options: WatchOptions | None = None,
) -> Iterator[WatchEvent | WatchSummary]:
    """Watch a video for known people, and yield events as they happen; the last one is the summary.

    The faces of sampled frames are linked to tracks. Each track gets one decision: the embeddings of its best frames are fused to a
    template, which is searched for like the face of a photo. Frames of one track are correlated, so their evidence is not added up;
    `Track.effective_frames` says how many independent ones they are worth.

    Args:
        source: What `VideoSource` opens: a file, a device or an address.
        known: A gallery, a folder or archive of people, or a photo; see `open_known`.
        settings: The encoder and the face detector; None: the bundled encoder, `FaceFinder()`.
        options: How it is watched.

    Raises:
        DataError: If the source cannot be opened or is no video, or if there are no known people.
        GalleryError: If a gallery cannot be opened.
        MissingDependencyError: If the extra `video` is not installed.
        ModelError: If the model takes whole photos, or has no operating point for the rate that is given.

    Example:
        Who passed the door? ::

            for event in visavis.watch_video("door.mp4", "door.gallery"):
                print(event.to_json())
    """
    settings, options = settings or ReadingSettings(), options or WatchOptions()
    encoder = load_encoder(settings.model, threads=1)  # two more detect faces meanwhile
    if not encoder.card.aligned:
        raise ModelError("the model takes whole photos; faces of videos need a model of aligned faces")
    verifier = Verifier(encoder, acquisition=settings.acquisition)
    with ExitStack() as stack:
        video = stack.enter_context(VideoSource(source, options.video))
        gallery, _ = stack.enter_context(open_known(known, verifier, people_depth=options.people_depth, progress=settings.progress))
        decider = TrackDecider(gallery, encoder.card, threshold=options.threshold, target_fpir=options.target_fpir)
        writer = stack.enter_context(open_writer(options.out, options.video.fps))
        watch = _Watch(decider, Tracker(encoder, options.tracking), options.frames, writer)
        interrupted = False
        for frame, faces in detect_faces(video.frames(), settings.acquisition.finder):
            yield from watch.frame(frame, faces)
            if options.stop is not None and options.stop():
                interrupted = True
                break
        yield from watch.finish()
        summary = watch.summary(tuple(video.describe()), interrupted=interrupted)
    yield summary


@dataclass(eq=False)
class _Watch:
    """The state of a watch: the decisions about the tracks that have not ended, and counts."""

    decider: TrackDecider
    tracker: Tracker
    usable: int
    writer: VideoWriter | None
    decisions: dict[int, TrackDecision] = field(default_factory=dict)
    named: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    frames: int = 0
    tracks: int = 0
    expected: np.ndarray[Any, np.dtype[np.float64]] | None = None

    def frame(self, frame: Frame, faces: list[Any]) -> Iterator[WatchEvent]:
        """Link the faces of a frame, and decide about tracks that have enough."""
        seen, ended = self.tracker.update(frame.time, frame.pixels, faces)
        self.seconds, self.frames = frame.time, self.frames + 1
        for track in ended:
            yield from self._end(track)
        for track in seen:
            if track.frames == 2:
                self.tracks += 1
                yield self._event("start", track)
            if track.usable >= self.usable and track.number not in self.decisions:
                yield self._decide(track, seen)
        if self.writer is not None:
            labels = [self._label(track) for track in seen]
            self.writer.write(frame.time, np.asarray(annotate(frame.pixels, labels)))

    def finish(self) -> Iterator[WatchEvent]:
        """End all tracks."""
        for track in self.tracker.finish():
            yield from self._end(track)

    def summary(self, problems: tuple[str, ...], *, interrupted: bool) -> WatchSummary:
        """Return the counts."""
        return WatchSummary(
            seconds=self.seconds,
            frames=self.frames,
            tracks=self.tracks,
            named=self.named,
            passing=self.tracker.passing,
            subjects=self.decider.subjects,
            expected_wrong=None if self.expected is None else (float(self.expected[0]), float(self.expected[1])),
            undecided=self.decider.undecided,
            problems=problems,
            interrupted=interrupted,
        )

    def _decide(self, track: Track, seen: tuple[Track, ...]) -> WatchEvent:
        others = (self.decisions.get(other.number) for other in seen if other is not track)
        held = [(other.subject, other.score or 0.0) for other in others if other is not None and other.subject is not None]
        decision = self.decisions[track.number] = self.decider.decide(track, held)
        if decision.subject is not None:
            self.named[decision.subject] = self.named.get(decision.subject, 0) + 1
        elif decision.fpir is not None:
            rates = np.array([decision.fpir, decision.fpir if decision.fpir_upper is None else decision.fpir_upper])
            self.expected = rates if self.expected is None else self.expected + rates
        name: EventName = "candidates" if not decision.decided else "unknown" if decision.subject is None else "identified"
        return self._event(name, track)

    def _end(self, track: Track) -> Iterator[WatchEvent]:
        if track.number not in self.decisions:
            yield self._decide(track, ())
        yield self._event("end", track)
        del self.decisions[track.number]

    def _event(self, name: EventName, track: Track) -> WatchEvent:
        left, top, width, height = (round(float(value), 1) for value in track.last.box)
        box, decision = (left, top, width, height), self.decisions.get(track.number)
        return WatchEvent(name, track.end, track.number, track.start, box, track.frames, decision)

    def _label(self, track: Track) -> Label:
        left, top, width, height = (float(value) for value in track.last.box)
        decision = self.decisions.get(track.number)
        return (left, top, width, height), "" if decision is None else decision.subject or ""
