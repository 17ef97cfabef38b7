"""Videos: one decision for each track against the best single frame, calibration, speed and memory.

    python benchmarks/video.py [--parts tracks speed memory]

- `tracks`: faces of LFW's people of folds 1 and 2, who were never trained or tuned on, move over a picture of 1280 x 720 pixels at
  25 frames a second, four at a time, with changing size, blur, brightness and noise, compressed as H.264. A person with several
  photos shows another one each second. 30 subjects are enrolled with three other photos each; two thirds of those who pass are
  others. Each track is scored when `visavis watch` decides about it: by the template of its best frames, by the best one, and by
  any of them.
- `speed`: `visavis watch` on 20 seconds of such a video, as fast as it can, on all cores.
- `memory`: resident memory on a loop of it of 10 minutes, after a fifth and at the end; two frames a second are searched, reduced
  to 480 pixels.

Needs the archive of LFW. The videos are kept in `runs`. Writes `results/video.json`; parts that are not asked for keep their
figures. About 25 minutes.
"""

import argparse
import io
import json
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import numpy.typing as npt
from albums import LFW_FACE, test_people
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter
from record import LFW, RESULTS, RUNS, write_result

from visavis.albums.reading import ReadingSettings
from visavis.albums.watching import WatchOptions, WatchSummary, watch_video
from visavis.data import open_photos
from visavis.encoders import Encoder, load_encoder
from visavis.encoders.card import Card
from visavis.faces import AcquisitionSettings, FaceFinder
from visavis.gallery.search_rules import rule_for_fpir
from visavis.metrics import unit_rows
from visavis.metrics.intervals import people_interval
from visavis.verification import Verifier
from visavis.video import Track, Tracker, VideoSettings, VideoSource, detect_faces

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
WAYS = ("template", "best frame", "any frame")
SIZE, FPS, SECONDS, AT_ONCE = (1280, 720), 25, 3.0, 4
SIZES = (32, 110)  # pixels, width of a face
ENROLLED, PHOTOS, USABLE = 30, 3, 10


class Walk(NamedTuple):
    """A person who passes: their photos, and place and size at the begin and at the end."""

    person: str
    photos: list[bytes]
    start: float
    places: tuple[tuple[float, float], tuple[float, float]]
    sizes: tuple[float, float]

    def at(self, when: float) -> tuple[float, float, float] | None:
        """Return middle and width of the face at a time; None: not there."""
        share = (when - self.start) / SECONDS
        if not 0 <= share < 1:
            return None
        (x, y), (to_x, to_y) = self.places
        size = self.sizes[0] + share * (self.sizes[1] - self.sizes[0])
        return x + share * (to_x - x), y + share * (to_y - y), size


def cast(count: int, seed: int = 0) -> tuple[list[Walk], dict[str, list[bytes]]]:
    """Choose who passes and when, a third of them enrolled; return the walks, and the photos of the people who are enrolled."""
    rng, reported, of = np.random.default_rng(seed), test_people(), dict[str, list[bytes]]()
    with open_photos(LFW) as files:
        for name, person in files.photos:
            if person in reported:
                of.setdefault(person, []).append(files.fetch(name))
    able = [str(person) for person in rng.permutation(sorted(of)) if len(of[person]) >= PHOTOS + 2][:ENROLLED]
    others = [str(person) for person in rng.permutation(sorted(set(of) - set(able)))]
    walks = list[Walk]()
    for number in range(count):
        known = number % 3 == 0
        person = able[number // 3 % len(able)] if known else others[(number - number // 3) % len(others)]
        photos = of[person][PHOTOS:] if known else of[person]
        chosen = [photos[place] for place in rng.permutation(len(photos))[:3]]
        row = (0.5 + number % AT_ONCE) * SIZE[1] / AT_ONCE
        xs = sorted(rng.uniform(0.08, 0.92, 2) * SIZE[0], reverse=bool(rng.integers(2)))
        ys = np.clip(row + rng.normal(0, 60, 2), 90, SIZE[1] - 90)
        sizes = np.exp(rng.uniform(*np.log(SIZES), 2))
        walks.append(Walk(person, chosen, number * SECONDS / AT_ONCE, tuple(zip(xs, ys, strict=True)), tuple(sizes)))  # type: ignore[arg-type]
    return walks, {person: of[person][:PHOTOS] for person in able}


def draw(walks: list[Walk], seconds: float, seed: int = 0) -> Iterator[Pixels]:
    """Draw the frames: each face a soft oval of its photo, degraded on its own."""
    rng = np.random.default_rng(seed)
    waves = np.linspace(0, 6, SIZE[0])[None, :] + np.linspace(0, 4, SIZE[1])[:, None]
    ground = Image.fromarray((110 + 40 * np.stack([np.sin(waves), np.cos(waves), np.sin(2 * waves)], axis=2)).astype(np.uint8))
    noise = [rng.normal(0, 7, (SIZE[1], SIZE[0], 1)).astype(np.int16) for _ in range(6)]
    oval = Image.new("L", (170, 170), 0)
    ImageDraw.Draw(oval).ellipse((12, 2, 158, 168), fill=255)
    oval = oval.filter(ImageFilter.GaussianBlur(6))
    tiles = {
        id(photo): Image.open(io.BytesIO(photo)).convert("RGB").crop((40, 40, 210, 210)) for walk in walks for photo in walk.photos
    }
    blur = {id(walk): rng.uniform(0, 1.8) for walk in walks}
    for number in range(round(seconds * FPS)):
        when, frame = number / FPS, ground.copy()
        for walk in walks:
            place = walk.at(when)
            if place is None:
                continue
            x, y, size = place
            side = round(170 * size / LFW_FACE)
            tile = tiles[id(walk.photos[int(when - walk.start) % len(walk.photos)])].resize((side, side), Image.Resampling.LANCZOS)
            tile = tile.filter(ImageFilter.GaussianBlur(max(0.0, blur[id(walk)] + rng.normal(0, 0.6))))
            tile = ImageEnhance.Brightness(tile).enhance(rng.normal(1, 0.06))
            frame.paste(tile, (round(x - side / 2), round(y - side / 2)), oval.resize((side, side)))
        yield np.clip(np.asarray(frame, dtype=np.int16) + noise[rng.integers(len(noise))], 0, 255).astype(np.uint8)


def write_clip(path: Path, frames: Iterator[Pixels]) -> None:
    """Compress frames as a camera does: H.264 at constant quality."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "crf": "30"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


class Decided(NamedTuple):
    """A track: who was there, how pure it is, and the scores with all subjects of the template and of each fused frame."""

    walk: int | None
    shots: int
    strays: int
    effective: float
    template: Floats
    frames: Floats


def follow(clip: Path, walks: list[Walk], encoder: Encoder, subjects: Floats) -> tuple[list[Decided], int]:
    """Track the faces of a clip, and score each track when `visavis watch` would decide about it; also count passing faces."""
    tracker, decided, finished = Tracker(encoder), list[Decided](), set[int]()

    def walk_of(shot: Any) -> int | None:
        box = shot.sighting.box
        middle = box[:2] + box[2:] / 2
        near = [
            (float(np.hypot(*(middle - place[:2]))), number, place[2])
            for number, walk in enumerate(walks)
            if (place := walk.at(shot.sighting.time)) is not None
        ]
        distance, number, size = min(near, default=(np.inf, -1, 0.0))
        return number if distance < size / 2 else None

    def decide(track: Track) -> None:
        if track.number in finished:
            return
        finished.add(track.number)
        shown = [walk_of(shot) for shot in track.fused]
        main = Counter(shown).most_common(1)[0][0]
        embeddings = np.stack([shot.embedding for shot in track.fused])
        strays = sum(one != main for one in shown)
        scores = track.template @ subjects.T, embeddings @ subjects.T
        decided.append(Decided(main, len(shown), strays, track.effective_frames, *scores))

    with VideoSource(clip) as video:
        for frame, faces in detect_faces(video.frames(), FaceFinder()):
            seen, ended = tracker.update(frame.time, frame.pixels, faces)
            for track in (*ended, *(one for one in seen if one.usable >= USABLE)):
                decide(track)
    for track in tracker.finish():
        decide(track)
    return decided, tracker.passing


def templates(references: dict[str, list[bytes]], verifier: Verifier) -> Floats:
    """Return the template of each subject as a gallery has it, `(n, d)`."""
    people = [np.mean([verifier.embed([photo])[0] for photo in photos], axis=0) for photos in references.values()]
    return unit_rows(np.stack(people))


def scored(decided: Decided, how: str) -> Floats:
    """Return the scores of a track with all subjects, `(n,)`, by one way of deciding."""
    if how == "template":
        return decided.template
    if how == "best frame":
        return decided.frames[0]
    return np.asarray(decided.frames.max(axis=0))


def rates(walks: list[Walk], tracks: list[Decided], names: list[str], how: str, card: Card, threshold: float) -> dict[str, Any]:
    """Return the share of enrolled people who are named rightly as they pass, and that of tracks of others who are named."""
    scores = [scored(track, how) for track in tracks]
    named = [names[int(row.argmax())] if row.max() >= threshold else None for row in scores]
    of_walk: dict[int, set[str]] = {}
    for track, name in zip(tracks, named, strict=True):
        if track.walk is not None and name is not None:
            of_walk.setdefault(track.walk, set()).add(name)
    known = [number for number, walk in enumerate(walks) if walk.person in names]
    right = np.array([of_walk.get(number, set()) == {walks[number].person} for number in known])
    _, people = np.unique([walks[number].person for number in known], return_inverse=True)
    shown = [None if track.walk is None else walks[track.walk].person for track in tracks]
    own = [row[names.index(person)] for row, person in zip(scores, shown, strict=True) if person in names]
    others = [place for place, person in enumerate(shown) if person not in names]
    pairs = np.concatenate([scores[place] for place in others])
    return {
        "right": float(right.mean()),
        "interval": people_interval(np.bincount(people, weights=right), np.bincount(people)),
        "mated_scores": np.quantile(own, (0.05, 0.5)).tolist(),
        "wrongly_named": sum(named[place] is not None for place in others),
        "tracks_of_others": len(others),
        "fmr": {f"{rule.target_fmr:g}": float((pairs >= rule.score).mean()) for rule in card.rules if rule.target_fmr is not None},
    }


def correlation(tracks: list[Decided]) -> float:
    """Return the mean correlation of the scores of two frames of a track over the subjects."""
    rows = [np.corrcoef(track.frames)[np.triu_indices(track.shots, 1)] for track in tracks if track.shots > 1]
    return float(np.mean(np.concatenate(rows)))


def measure_tracks(count: int) -> dict[str, Any]:
    """Measure decisions about tracks."""
    walks, references = cast(count)
    clip, encoder = RUNS / f"video-{count}.mp4", load_encoder("pretrained")
    if not clip.is_file():
        write_clip(clip, draw(walks, count * SECONDS / AT_ONCE + SECONDS))
    names, subjects = list(references), templates(references, Verifier(encoder))
    tracks, passing = follow(clip, walks, encoder, subjects)
    others = [track for track in tracks if track.walk is not None and walks[track.walk].person not in references]
    rule, counts = rule_for_fpir(encoder.card, 0.01, len(names)), Counter(track.walk for track in tracks)
    effective = [track.effective for track in tracks if track.shots == 5]
    figures = {
        "people_passing": count,
        "enrolled_passing": sum(walk.person in references for walk in walks),
        "tracks": len(tracks),
        "passing_faces": passing,
        "in_one_track": sum(counts[number] == 1 for number in range(count)) / count,
        "mixed_tracks": sum(track.strays > 0 for track in tracks),
        "subjects": len(names),
        "threshold": rule.rule.score,
        "promised_fpir": rule.fpir,
        "promised_fpir_upper": rule.fpir_upper,
        "ways": {how: rates(walks, tracks, names, how, encoder.card, rule.rule.score) for how in WAYS},
        "effective_frames": dict(zip(("low", "median", "high"), np.quantile(effective, (0.05, 0.5, 0.95)).tolist(), strict=True)),
        "score_correlation": correlation(others),
        "embedding_cosine": float(np.mean([(5 / track.effective - 1) / 4 for track in others if track.shots == 5])),
    }
    print(json.dumps(figures), flush=True)
    return figures


@contextmanager
def known_people(references: dict[str, list[bytes]]) -> Iterator[Path]:
    """Write the photos of the people who are enrolled as a folder."""
    with tempfile.TemporaryDirectory() as folder:
        for person, photos in references.items():
            (Path(folder) / person).mkdir()
            for number, photo in enumerate(photos):
                (Path(folder) / person / f"{number}.jpg").write_bytes(photo)
        yield Path(folder)


def short_clip() -> tuple[Path, dict[str, list[bytes]]]:
    """Return a video of 20 seconds, and the photos of the people who are enrolled."""
    walks, references = cast(30)
    clip = RUNS / "video-short.mp4"
    if not clip.is_file():
        write_clip(clip, draw(walks, 20))
    return clip, references


class Watched(NamedTuple):
    """The summary of a watch; after each searched frame the time, CPU time of all threads, and resident memory in bytes."""

    summary: WatchSummary
    times: list[float]
    used: list[float]
    memory: list[float]


def watched(clip: Path, known: Path, options: WatchOptions, finder: FaceFinder) -> Watched:
    """Watch a video, and note after each searched frame what was used."""
    times, used, memory = list[float](), list[float](), list[float]()

    def note() -> bool:
        times.append(time.perf_counter())
        used.append(time.process_time())
        memory.append(int(Path("/proc/self/statm").read_text().split()[1]) * float(resource.getpagesize()))
        return False

    settings = ReadingSettings(acquisition=AcquisitionSettings(finder=finder))
    *_, summary = watch_video(clip, known, settings=settings, options=replace(options, stop=note))
    assert isinstance(summary, WatchSummary)
    return Watched(summary, times, used, memory)


def measure_speed() -> dict[str, Any]:
    """Measure searched frames a second and CPU time for one, after the first ten."""
    clip, references = short_clip()
    with known_people(references) as known:
        watched(clip, known, WatchOptions(video=VideoSettings(fps=0.5)), FaceFinder())  # loads the networks
        runs = [watched(clip, known, WatchOptions(), FaceFinder()) for _ in range(3)]
    rates = sorted((len(run.times) - 10) / (run.times[-1] - run.times[9]) for run in runs)
    used = sorted((run.used[-1] - run.used[9]) / (len(run.used) - 10) for run in runs)
    figures = {
        "fps": rates[1],
        "fps_least": rates[0],
        "fps_most": rates[2],
        "frames": runs[0].summary.frames,
        "cpu_seconds": used[1],
    }
    print(json.dumps(figures), flush=True)
    return figures


def looped(clip: Path, minutes: int) -> Path:
    """Write a video again and again into a longer one, without compressing it again."""
    path = RUNS / f"video-{minutes}-minutes.mp4"
    if path.is_file():
        return path
    with av.open(str(path), "w", format="mp4") as out:
        stream, offset = None, 0
        while stream is None or offset * stream.time_base < 60 * minutes:
            with av.open(str(clip)) as source:
                given = source.streams.video[0]
                if stream is None:
                    stream = out.add_stream_from_template(given)
                    stream.time_base = given.time_base
                for packet in source.demux(given):
                    if packet.dts is not None:
                        packet.pts, packet.dts, packet.stream = packet.pts + offset, packet.dts + offset, stream
                        out.mux(packet)
                offset += given.duration
    return path


def measure_memory() -> dict[str, Any]:
    """Measure resident memory on a long video."""
    clip, references = short_clip()
    options = WatchOptions(video=VideoSettings(fps=2))
    with known_people(references) as known:
        summary, _, _, memory = watched(looped(clip, 10), known, options, FaceFinder(detector_size=480))
    fifth = len(memory) // 5
    figures = {
        "minutes": summary.seconds / 60,
        "frames": summary.frames,
        "tracks": summary.tracks,
        "megabytes_after_a_fifth": memory[fifth] / 1e6,
        "megabytes_at_the_end": memory[-1] / 1e6,
        "most_megabytes": max(memory) / 1e6,
    }
    print(json.dumps(figures), flush=True)
    return figures


def main() -> None:
    """Measure the parts that are asked for, and write them beside the others."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parts = {"tracks": lambda: measure_tracks(300), "speed": measure_speed, "memory": measure_memory}
    parser.add_argument("--parts", nargs="+", choices=parts, default=list(parts))
    chosen = parser.parse_args().parts
    RUNS.mkdir(exist_ok=True)
    path = RESULTS / "video.json"
    figures = json.loads(path.read_text())["figures"] if path.is_file() else {}
    for part in chosen:
        figures[part] = parts[part]()
        write_result("video", {"figures": figures})


if __name__ == "__main__":
    main()
