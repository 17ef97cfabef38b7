"""Link the faces of successive frames to tracks, by place where that is clear and by embedding where it is not."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from visavis.encoders import Encoder
from visavis.errors import check_numbers
from visavis.faces import AlignedFace, Face, align_face
from visavis.video.tracks import Shot, Sighting, Track

__all__ = ["Tracker", "TrackingSettings", "Update", "overlaps"]

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]

_CLEAR, _ELSEWHERE = 0.4, 0.2  # overlap of a pair that is clear, and at most of each of its faces with another one
_NEAR = 0.2  # overlap from which a face is where the track is expected
_PLACE = math.log(100)  # log-odds that such a face is of the track's person, before the faces are compared
_CHECK = 1.0  # seconds after which a track that is linked by place is compared again
_MOST_FACES, _MOST_TRACKS = 50, 200


@dataclass(frozen=True)
class TrackingSettings:
    """How faces are linked to tracks.

    Attributes:
        gap: Seconds for which a track is continued without its face, above 0; default 2.
        best: How many frames of a track are kept as embeddings, at least 1; default 5.
        picture: Makes a small JPEG of each kept frame; None: none.

    Raises:
        ValueError: If a setting is out of range.
    """

    gap: float = 2.0
    best: int = 5
    picture: Callable[[Pixels, npt.NDArray[np.float64]], bytes] | None = None

    def __post_init__(self) -> None:
        """Check the settings."""
        check_numbers(self)
        if not self.gap > 0:
            raise ValueError(f"gap must be positive, got {self.gap}")
        if self.best < 1:
            raise ValueError(f"best must be at least 1, got {self.best}")


class Update(NamedTuple):
    """What a frame changes: the tracks that are seen in it, and those that ended before it."""

    seen: tuple[Track, ...]
    ended: tuple[Track, ...]


class Tracker:
    """Links faces to tracks. It keeps no frame, and at most 200 tracks at a time.

    A face that overlaps the expected place of one track, and no other, continues it. Any other face is embedded and compared with
    the tracks: the log-likelihood ratio of the encoder's calibration, plus the log-odds of its place, must be above 0. Faces that
    are linked by place alone are compared once a second, so that a cut or a change of people ends a track.

    Attributes:
        passing: How many faces were seen in one frame only; they are no tracks.
    """

    def __init__(self, encoder: Encoder, settings: TrackingSettings | None = None) -> None:
        """Start without tracks.

        Args:
            encoder: Embeds the faces; without a calibration in its card, faces are linked by place alone.
            settings: How they are linked.
        """
        self.settings, self.passing = settings or TrackingSettings(), 0
        self._encoder, self._tracks, self._count = encoder, list[Track](), 0
        self._compared: dict[int, float] = {}  # by the identity of a track, when its face was last compared

    def update(self, time: float, photo: Pixels, faces: Sequence[Face]) -> Update:
        """Link the faces of a frame.

        Args:
            time: Seconds, later than that of the frame before.
            photo: `(h, w, 3)` uint8, RGB; it is not kept.
            faces: The detected faces, largest first.
        """
        ended = self._end(lambda track: time - track.end > self.settings.gap)
        aligned = [align_face(photo, face) for face in faces[:_MOST_FACES]]
        sightings = [Sighting.of(one, time) for one in aligned]
        linked, embeddings = self._link(time, sightings, aligned)
        seen = []
        for place, sighting in enumerate(sightings):
            track = linked.get(place)
            if track is None:
                track = Track(time, sighting)
                self._tracks.append(track)
            track.see(sighting)
            if place in embeddings:
                self._compared[id(track)] = time
                if track.would_keep(sighting, self.settings.best):
                    picture = b"" if self.settings.picture is None else self.settings.picture(photo, sighting.box)
                    track.keep(Shot(sighting, embeddings[place], picture), self.settings.best)
            if track.frames == 2:
                self._count += 1
                track.number = self._count
            seen.append(track)
        ended += self._end_most()
        return Update(tuple(track for track in seen if track.number), ended)

    def finish(self) -> tuple[Track, ...]:
        """End all tracks and return them."""
        return self._end(lambda track: True)

    def _end(self, over: Callable[[Track], bool]) -> tuple[Track, ...]:
        ended = [track for track in self._tracks if over(track)]
        self._tracks = [track for track in self._tracks if not over(track)]
        for track in ended:
            self._compared.pop(id(track), None)
        self.passing += sum(not track.number for track in ended)
        return tuple(track for track in ended if track.number)

    def _end_most(self) -> tuple[Track, ...]:
        """End the tracks whose last sighting is oldest, where there are too many."""
        if len(self._tracks) <= _MOST_TRACKS:
            return ()
        oldest = {id(track) for track in sorted(self._tracks, key=lambda track: track.end)[:-_MOST_TRACKS]}
        return self._end(lambda track: id(track) in oldest)

    def _link(
        self, time: float, sightings: Sequence[Sighting], aligned: Sequence[AlignedFace]
    ) -> tuple[dict[int, Track], dict[int, npt.NDArray[np.float32]]]:
        """Return the track of each face that continues one, and the embeddings of those that were compared."""
        tracks = self._tracks
        shared = overlaps(np.array([track.expected(time) for track in tracks]), np.array([one.box for one in sightings]))
        clear = _clear_pairs(shared)
        sure = {face for track, face in clear if not self._compares(tracks[track], sightings[face], time)}
        compared = [face for face in range(len(sightings)) if face not in sure]
        embeddings = self._embed([aligned[face] for face in compared])
        by_face = dict(zip(compared, embeddings, strict=True))
        odds = self._log_odds(tracks, sightings, by_face, shared)
        pairs = [(track, face) for track, face in clear if face in sure or odds[track, face] > 0]
        free = [track for track in range(len(tracks)) if track not in {one for one, _ in pairs}]
        rest = [face for face in range(len(sightings)) if face not in {one for _, one in pairs}]
        values = odds[np.ix_(free, rest)]
        rows, columns = linear_sum_assignment(-np.maximum(values, 0.0))
        pairs += [(free[row], rest[column]) for row, column in zip(rows, columns, strict=True) if values[row, column] > 0]
        return {face: tracks[track] for track, face in pairs}, by_face

    def _compares(self, track: Track, sighting: Sighting, time: float) -> bool:
        """Return whether a face that is clear by its place is compared all the same: a good one, or one from time to time."""
        return track.would_keep(sighting, self.settings.best) or time - self._compared.get(id(track), -math.inf) >= _CHECK

    def _embed(self, faces: Sequence[AlignedFace]) -> npt.NDArray[np.float32]:
        if not faces:
            return np.zeros((0, 1), dtype=np.float32)
        return self._encoder.embed(np.stack([face.cut(self._encoder.card.crop) for face in faces]))

    def _log_odds(
        self,
        tracks: Sequence[Track],
        sightings: Sequence[Sighting],
        embeddings: dict[int, npt.NDArray[np.float32]],
        shared: Floats,
    ) -> Floats:
        """Return log-odds `(t, n)` that each face continues each track; minus infinity where the face was not compared.

        Small and blurred faces are unlike all others, even of the same person, so a low score of a poor one is no evidence.
        """
        odds = np.full((len(tracks), len(sightings)), -np.inf)
        calibration: Any = self._encoder.card.calibration
        for face, embedding in embeddings.items():
            for row, track in enumerate(tracks):
                ratio = 0.0
                if calibration is not None:
                    ratio = float(calibration.log_likelihood_ratio(float(track.template @ embedding)))
                    poor = not sightings[face].usable or not track.best.usable
                    ratio = max(0.0, ratio) if poor else ratio
                odds[row, face] = ratio + (_PLACE if shared[row, face] >= _NEAR else 0.0)
        return odds


def overlaps(first: Floats, second: Floats) -> Floats:
    """Return the intersection over union of boxes `(t, 4)` and `(n, 4)` of left, top, width and height as `(t, n)`."""
    if not len(first) or not len(second):
        return np.zeros((len(first), len(second)))
    one, other = first[:, None, :], second[None, :, :]
    low = np.maximum(one[..., :2], other[..., :2])
    high = np.minimum(one[..., :2] + one[..., 2:], other[..., :2] + other[..., 2:])
    inside = np.prod(np.maximum(0.0, high - low), axis=2)
    union = np.prod(one[..., 2:], axis=2) + np.prod(other[..., 2:], axis=2) - inside
    return np.asarray(inside / np.maximum(1e-9, union))


def _clear_pairs(shared: Floats) -> list[tuple[int, int]]:
    """Return tracks and faces that overlap each other, and hardly any other."""
    pairs = []
    for track, face in np.argwhere(shared >= _CLEAR):
        others = np.concatenate([np.delete(shared[track], face), np.delete(shared[:, face], track)])
        if others.max(initial=0.0) <= _ELSEWHERE:
            pairs.append((int(track), int(face)))
    return pairs
