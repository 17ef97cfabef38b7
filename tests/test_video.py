"""Videos: frames are sampled and bounded, faces become tracks, each track gets one decision, and what is wrong is said."""

import functools
import http.server
import json
import os
import signal
import socket
import sys
import threading
import weakref

import numpy as np
import pytest

pytest.importorskip("av", reason="needs the extra video")

from commands import call
from PIL import Image
from scipy import ndimage
from serving import TILE, Quarters
from test_gallery import FakeEncoder, angle
from trained import stand_in
from videos import write_video

import visavis
from visavis.albums.deciding import TrackDecider
from visavis.albums.finding import FindOptions, find_people
from visavis.albums.pages import write_annotated, write_found_page
from visavis.albums.reading import ReadingSettings, open_album, photo_pixels
from visavis.albums.watching import WatchOptions, watch_video
from visavis.data import IntakeRules, open_photos
from visavis.errors import DataError, MissingDependencyError, ModelError
from visavis.faces import CANONICAL_LANDMARKS, AcquisitionSettings, Face
from visavis.formats import HEAD_BYTES, is_video, is_video_file
from visavis.video import Track, Tracker, TrackingSettings, VideoSettings, VideoSource, VideoWriter, detect_faces
from visavis.video.tracker import overlaps
from visavis.video.tracks import Shot, Sighting, face_quality

ANNA, BERTA, CARA = (200, 20, 20, 20), (20, 200, 20, 20), (20, 20, 200, 20)
SIZE = (640, 240)  # width and height


def tile(levels, side=TILE):
    return np.kron(np.reshape(levels, (2, 2)), np.ones((side // 2, side // 2))).astype(np.uint8)


def scene(*people, size=SIZE):
    """A blue frame with some people: levels of quarters, left and top each."""
    frame = np.zeros((size[1], size[0], 3), np.uint8)
    frame[:] = 0, 0, 255
    for levels, left, top in people:
        face = tile(levels)
        frame[top : top + TILE, left : left + TILE] = face[: size[1] - top, : size[0] - left, None]
    return frame


class Blobs:
    """Detects what is not blue and about as wide as a face; two faces that touch hide each other."""

    def detect(self, photo):
        places = ndimage.find_objects(ndimage.label(photo[:, :, 2].astype(int) - photo[:, :, 0] < 120)[0])
        boxes = [(column.start, row.start, column.stop - column.start, row.stop - row.start) for row, column in places]
        return [face(*box) for box in boxes if 0.8 * TILE < box[2] < 1.2 * TILE and box[3] > 0.8 * TILE]


def face(left, top, width=TILE, height=TILE):
    landmarks = CANONICAL_LANDMARKS * width / 112 + [left, top]
    return Face(np.array([left, top, width, height], dtype=float), landmarks, 0.97)


def walking(count, *people):
    """Frames of people who walk to the right, by 10 pixels a frame from where they start."""
    return [scene(*((levels, left + 10 * number, 60) for levels, left in people)) for number in range(count)]


@pytest.fixture
def door(tmp_path):
    """A gallery of Anna and Berta."""
    location = tmp_path / "door.gallery"
    encoder = Quarters.of_faces()
    with visavis.open_gallery(location, encoder) as gallery:
        for name, levels in (("anna", ANNA), ("berta", BERTA)):
            gallery.enrol(name, encoder.embed(tile(levels, 32)[None, :, :, None]))
    return location


@pytest.fixture
def quarters(monkeypatch):
    """The encoder and the detector of these frames, in place of the bundled ones."""
    stand_in(monkeypatch, Blobs())
    monkeypatch.setattr("visavis.albums.watching.load_encoder", lambda model, **options: Quarters.of_faces())
    return Quarters.of_faces()


def test_frames_are_sampled_by_time(tmp_path):
    with VideoSource(write_video(tmp_path / "a.mp4", walking(30, (ANNA, 10))), VideoSettings(fps=5)) as video:
        frames = list(video.frames())
        assert video.size == SIZE and not video.live and video.describe() == []
    assert [round(frame.time, 3) for frame in frames] == [round(0.2 * number, 3) for number in range(15)]
    assert all(frame.pixels.shape == (240, 640, 3) for frame in frames)
    assert Blobs().detect(frames[5].pixels)[0].box[0] == pytest.approx(110, abs=3)
    with VideoSource(tmp_path / "a.mp4", VideoSettings(fps=100)) as video:
        assert len(list(video.frames())) == 30


def test_what_is_no_video_is_said(tmp_path, monkeypatch):
    (tmp_path / "note.txt").write_text("bring cake\n" * 50)
    (tmp_path / "note.mp4").write_text("bring cake\n" * 50)
    (tmp_path / "empty.mp4").touch()
    video = write_video(tmp_path / "a.mp4", walking(5, (ANNA, 10)))
    whole = video.read_bytes()
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])
    list_of_addresses = tmp_path / "list.m3u8"
    list_of_addresses.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    for name, message in (
        ("none.mp4", "no such file or device"),
        ("note.txt", "not a video: it has no pictures"),
        ("note.mp4", "not a video, or damaged"),
        ("empty.mp4", "not a video, or damaged"),
        ("half.mp4", "not a video, or damaged"),
        ("list.m3u8", "not a video, or damaged"),
        ("", "a folder, where one video is wanted"),
    ):
        with pytest.raises(DataError, match=message) as error:
            VideoSource(tmp_path / name)
        assert str(tmp_path / name) in str(error.value)
    with pytest.raises(DataError, match="640 x 240 pixels are more than the limit of 100,000"):
        VideoSource(video, VideoSettings(max_pixels=100_000))
    with pytest.raises(DataError, match="nowhere:1/x: cannot be opened"):
        VideoSource("rtsp://nowhere:1/x")
    for wrong, message in (
        ({"fps": 0}, "fps must be positive, got 0"),
        ({"max_pixels": 0}, "max_pixels must be at least 1, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            VideoSettings(**wrong)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingDependencyError, match=r"videos need: pip install 'visavis\[video\]'"):
        VideoSource(video)


def test_a_damaged_stream_goes_on_and_says_so(tmp_path):
    good = write_video(tmp_path / "a.ts", walking(60, (ANNA, 10)), form="mpegts").read_bytes()
    damaged = bytearray(good)
    middle = slice(len(good) * 2 // 5, len(good) * 3 // 5)
    damaged[middle] = np.random.default_rng(0).integers(0, 256, middle.stop - middle.start, dtype=np.uint8).tobytes()
    (tmp_path / "b.ts").write_bytes(damaged)
    with VideoSource(tmp_path / "b.ts", VideoSettings(fps=100)) as video:
        frames = list(video.frames())
    assert 10 < len(frames) <= 60 and frames[-1].time > 4
    assert [second.time > first.time for first, second in zip(frames[:-1], frames[1:], strict=True)] == [True] * (len(frames) - 1)
    with VideoSource(tmp_path / "b.ts") as video:
        monkey = video._decoded
        video._packets = lambda: iter([_Broken(video._av)] * 300)
        assert list(monkey()) == [] and video.damaged == 250
        assert video.describe()[0].endswith("250 damaged packets passed over")
        assert "ended early: 250 damaged packets one after another" in video.describe()[1]


class _Broken:
    """A packet that cannot be decoded."""

    def __init__(self, av):
        self.av = av

    def decode(self):
        raise self.av.error.InvalidDataError(1, "invalid data")


def test_times_never_go_back(tmp_path):
    """A stream that starts again, as a camera after a reset, goes on."""

    class Timed:
        def __init__(self, time):
            self.time = time

    with VideoSource(write_video(tmp_path / "a.mp4", walking(3, (ANNA, 10)))) as video:
        video._decoded = lambda: map(Timed, [100.0, 100.5, 3.0, 3.5, None])
        times = [round(at, 3) for at, _ in video._timed()]
    assert times == [0.0, 0.5, 0.6, 1.1, 1.2]


def test_frames_of_a_camera_that_come_too_fast_are_passed_over(tmp_path, monkeypatch):
    """Time stamps that drift or stall are no reason: only frames that have been waiting are passed over."""
    clock = [0.0]
    monkeypatch.setattr("visavis.video.source.time.monotonic", lambda: clock[0])

    def camera(stalls=0.0, pace=0.1):
        for number in range(100):
            clock[0] = max(clock[0], start + (stalls if number > 20 else 0) + pace * number)  # at the earliest
            yield number / 10, None

    with VideoSource(write_video(tmp_path / "a.mp4", walking(3, (ANNA, 10)))) as video:
        monkeypatch.setattr(VideoSource, "live", True)
        for options, seconds, least, most in (({}, 0.01, 100, 100), ({}, 0.4, 20, 30), ({"stalls": 9.0}, 0.01, 100, 100)):
            start, used = clock[0], 0
            video._timed = lambda: camera(**options)  # noqa: B023
            for _ in video._current():
                used += 1
                clock[0] += seconds
            assert least <= used <= most, options
        start, used = clock[0], 0
        video._timed = lambda: camera(pace=0.15)
        assert sum(1 for _ in video._current()) == 100
        monkeypatch.setattr(VideoSource, "live", False)
        video._timed = camera
        for _ in video._current():
            used, clock[0] = used + 1, clock[0] + 9
        assert used == 100


def test_addresses_are_opened_and_silence_ends_them(tmp_path):
    write_video(tmp_path / "a.mp4", walking(10, (ANNA, 10)))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with VideoSource(f"http://127.0.0.1:{server.server_port}/a.mp4") as video:
            assert len(list(video.frames())) == 5
        server.shutdown()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(DataError, match="cannot be opened \\(nothing came for 0.5 seconds\\)"):
            VideoSource(address, VideoSettings(timeout=0.5))


def test_a_device_is_named_by_its_format():
    with VideoSource("testsrc=size=320x240:rate=25", VideoSettings(input_format="lavfi")) as video:
        frames = [frame for frame, _ in zip(video.frames(), range(6), strict=False)]
        assert video.live and [round(frame.time, 2) for frame in frames] == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    with pytest.raises(DataError, match="/dev/video99: no such file or device"):
        VideoSource("/dev/video99")


def test_overlaps_are_those_of_boxes():
    one = np.array([[0, 0, 10, 10], [20, 0, 10, 10.0]])
    other = np.array([[0, 0, 10, 10], [5, 0, 10, 10], [100, 0, 10, 10.0]])
    np.testing.assert_allclose(overlaps(one, other), [[1, 1 / 3, 0], [0, 0, 0]], atol=1e-9)
    assert overlaps(one[:0], other).shape == (0, 3)


def test_quality_is_a_product():
    assert face_quality(32, 200, 0, 1) == face_quality(90, 900, 0, 1) == 1
    assert face_quality(16, 100, 0.5, 0.8) == pytest.approx(0.5 * 0.5 * 0.5 * 0.8)


def sighting(quality=1.0, *, time=0.0, usable=True):
    return Sighting(time, np.array([0, 0, 10, 10.0]), 0.9, 40.0, 300.0, quality, usable)


def track(*shots):
    made = Track(0.0, shots[0].sighting)
    for shot in shots:
        made.see(shot.sighting)
        made.keep(shot, 5)
    return made


def test_frames_that_are_alike_are_worth_one():
    """Two frames with cosine r are worth 2 / (1 + r) independent ones."""
    for degrees, worth in ((0, 1.0), (60, 2 / 1.5), (90, 2.0)):
        made = track(Shot(sighting(), angle(0)), Shot(sighting(), angle(degrees)))
        assert made.effective_frames == pytest.approx(worth, rel=1e-5)
        np.testing.assert_allclose(made.template, angle(degrees / 2), atol=1e-6)
    weighted = track(Shot(sighting(0.75), angle(0)), Shot(sighting(0.25), angle(90)))
    np.testing.assert_allclose(weighted.template, np.array([3, 1] + [0] * 6) / np.sqrt(10), atol=1e-6)


def test_the_template_keeps_the_rate_of_single_comparisons():
    """Scores of a template with other people spread as those of one frame; those of a sum of frames spread wider."""
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(400, 1, 64)) + 0.7 * rng.normal(size=(400, 5, 64))
    frames /= np.linalg.norm(frames, axis=2, keepdims=True)
    others = rng.normal(size=(200, 64))
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    made = [track(*(Shot(sighting(), one.astype(np.float32)) for one in some)) for some in frames]
    single, fused = (frames[:, 0] @ others.T).std(), (np.stack([one.template for one in made]) @ others.T).std()
    total = (frames.sum(axis=1) @ others.T).std()
    worth = np.mean([one.effective_frames for one in made])
    assert fused == pytest.approx(single, rel=0.02) and worth == pytest.approx(5 / (1 + 4 / 1.49), rel=0.05)
    assert total == pytest.approx(5 / worth**0.5 * single, rel=0.03)  # 5 independent frames would give 5**0.5


def test_only_the_best_frames_are_kept_and_usable_ones_count():
    made = track(*(Shot(sighting(number / 10, time=number, usable=number != 9), angle(number)) for number in range(10)))
    assert [shot.sighting.time for shot in made.shots] == [8, 7, 6, 5, 4] and made.frames == 10 and made.usable == 9
    assert made.would_keep(sighting(0.5), 5) and not made.would_keep(sighting(0.3), 5)
    assert not made.would_keep(sighting(0.99, usable=False), 5)
    mixed = track(Shot(sighting(0.9, usable=False), angle(0)), Shot(sighting(0.2), angle(90)))
    np.testing.assert_allclose(mixed.template, angle(90), atol=1e-6)


def feed(tracker, frames, *, fps=5.0, start=0.0):
    """Track the people of scenes; the numbers of the tracks by the levels of the first quarters, and the ended tracks."""
    numbers, ended = {}, []
    for place, people in enumerate(frames):
        photo = scene(*people)
        seen, over = tracker.update(start + place / fps, photo, Blobs().detect(photo))
        ended += over
        for one in seen:
            middle = one.last.box[:2] + one.last.box[2:] / 2
            levels = next(levels for levels, left, _ in reversed(people) if abs(middle[0] - left - TILE / 2) < 30)
            numbers.setdefault(levels, set()).add(one.number)
    return numbers, ended


def test_tracks_that_cross_keep_their_people():
    tracker = Tracker(Quarters.of_faces())
    crossing = [((ANNA, 10 + 25 * step, 60), (BERTA, 500 - 25 * step, 64)) for step in range(20)]
    numbers, ended = feed(tracker, crossing)
    assert {levels: len(some) for levels, some in numbers.items()} == {ANNA: 1, BERTA: 1} and numbers[ANNA] != numbers[BERTA]
    assert ended == [] and [len(one.shots) for one in tracker.finish()] == [5, 5]


def test_another_person_at_the_same_place_is_another_track():
    encoder = Quarters.of_faces()
    tracker = Tracker(encoder)
    numbers, ended = feed(tracker, [((ANNA, 100, 60),)] * 8 + [((BERTA, 100, 60),)] * 12)
    assert numbers[ANNA] == {1} and numbers[BERTA] <= {1, 2} and 2 in numbers[BERTA]  # it may take a second
    (one,), (other,) = ended, tracker.finish()
    assert one.frames <= 13 and other.frames >= 7
    for ended_track, levels in ((one, ANNA), (other, BERTA)):
        assert float(ended_track.template @ encoder.embed(tile(levels, 32)[None, :, :, None])[0]) > 0.98


def test_a_person_who_comes_back_elsewhere_is_the_same_track_until_the_gap():
    tracker = Tracker(Quarters.of_faces(), TrackingSettings(gap=1.0))
    numbers, _ = feed(tracker, [((ANNA, 10, 60),)] * 4 + [()] * 4 + [((ANNA, 400, 60),)] * 4)
    assert numbers == {ANNA: {1}}
    numbers, ended = feed(tracker, [()] * 6 + [((ANNA, 10, 60),)] * 4, start=3.0)
    assert numbers == {ANNA: {2}} and [one.number for one in ended] == [1] and ended[0].frames == 8


def test_a_face_of_one_frame_is_no_track():
    tracker = Tracker(Quarters.of_faces(), TrackingSettings(gap=0.5))
    numbers, ended = feed(tracker, [((ANNA, 10, 60),)] + [()] * 10)
    assert numbers == {} and ended == [] and tracker.passing == 1
    with pytest.raises(ValueError, match="gap must be positive, got 0"):
        TrackingSettings(gap=0)
    with pytest.raises(ValueError, match="best must be at least 1, got 0"):
        TrackingSettings(best=0)


def test_memory_does_not_grow_with_the_frames():
    """Frames are gone after they were tracked, and so are tracks that ended, whoever comes."""
    tracker, alive, rng = Tracker(Quarters.of_faces(), TrackingSettings(gap=1.0)), [], np.random.default_rng(0)

    class Counted(np.ndarray):
        pass

    most = 0
    for step in range(400):
        photo = scene((tuple(rng.integers(0, 256, 4)), 10 + int(rng.integers(0, 300)), 60)).view(Counted)
        alive.append(weakref.ref(photo))
        tracker.update(step / 5, photo, [face(10, 60), face(300, 60)])
        del photo
        most = max(most, len(tracker._tracks), len(tracker._compared))
    assert len(alive) == 400 and sum(one() is not None for one in alive) <= 1 and most < 60
    assert all(len(one.shots) <= 5 for one in tracker._tracks)
    crowd = Tracker(Quarters.of_faces())
    photo = rng.integers(0, 256, (240, 640, 3)).astype(np.uint8)
    for step in range(30):
        crowd.update(step / 50, photo, [face(int(x), int(y)) for x, y in rng.integers(0, 10_000, (60, 2))])
    assert len(crowd._tracks) <= 200


def test_frames_are_not_read_ahead():
    read = []

    def frames():
        for number in range(10):
            read.append(number)
            yield visavis.video.Frame(number / 5, scene((ANNA, 10 * number, 60)))

    for number, (frame, faces) in enumerate(detect_faces(frames(), Blobs())):
        assert round(frame.time * 5) == number and len(faces) == 1 and len(read) <= number + 2
    broken = detect_faces(frames(), AcquisitionSettings())
    with pytest.raises(AttributeError):
        list(broken)


def decider_of(tmp_path, **options):
    gallery = visavis.open_gallery(tmp_path / "circle.gallery", FakeEncoder())
    gallery.enrol("anna", angle(0)[None])
    gallery.enrol("berta", angle(30)[None])
    return gallery, TrackDecider(gallery, FakeEncoder().card, **options)


def test_a_track_is_decided_once_by_its_template(tmp_path):
    gallery, decider = decider_of(tmp_path, threshold=0.97)
    shown = track(Shot(sighting(), angle(-6)), Shot(sighting(), angle(10)))
    decision = decider.decide(shown)
    assert (decision.subject, decision.frames, decision.decided) == ("anna", 2, True)
    assert decision.score == pytest.approx(np.cos(np.radians(2)), abs=1e-5)
    assert decider.decide(shown, [("anna", 0.9)]).subject == "anna"
    assert decider.decide(shown, [("anna", 0.9999)]).subject is None
    assert decider.decide(track(Shot(sighting(), angle(90)))).subject is None
    gallery.close()


def test_without_a_rate_candidates_are_ranked(tmp_path):
    gallery, decider = decider_of(tmp_path)
    decision = decider.decide(track(Shot(sighting(), angle(20))))
    assert decision.subject is None and not decision.decided and decision.fpir is None
    assert [hit.subject for hit in decision.candidates] == ["berta", "anna"] and "needs an FMR" in decider.undecided
    with pytest.raises(ModelError, match="needs an FMR"):
        TrackDecider(gallery, FakeEncoder().card, target_fpir=0.01)
    gallery.close()


def test_the_rate_follows_the_gallery(door):
    encoder = Quarters.of_faces()
    with visavis.open_gallery(door, encoder) as gallery:
        decider = TrackDecider(gallery, encoder.card)
        row = encoder.embed(tile(ANNA, 32)[None, :, :, None])[0]
        before = decider.decide(track(Shot(sighting(), row)))
        assert before.subject == "anna" and before.fpir == pytest.approx(1 - 0.999**2)
        for number in range(18):
            gallery.enrol(f"p{number}", encoder.embed(np.random.default_rng(number).integers(0, 256, (1, 32, 32, 1))))
        after = decider.decide(track(Shot(sighting(), row)))
    assert after.subject is None and not after.decided and decider.subjects == 20
    assert decider.undecided.startswith("an FPIR of 0.01 with 20 people")


def events_of(text):
    return [json.loads(line) for line in text.splitlines()]


def test_events_of_the_command_line(door, quarters, tmp_path, capsys):
    frames = walking(20, (ANNA, 20), (CARA, 300)) + [scene()] * 30
    video, out = write_video(tmp_path / "a.mp4", frames), tmp_path / "annotated.mp4"
    code, text, err = call(capsys, "watch", video, "--gallery", door, "--frames", 5, "--out", out)
    *events, summary = events_of(text)
    names = [event["event"] for event in events]
    assert code == 0 and names[:2] == ["start", "start"] and names[4:] == ["end", "end"]
    assert sorted(names[2:4]) == ["identified", "unknown"]
    (named,) = [event for event in events if event["event"] == "identified"]
    assert named["subject"] == "anna" and named["score"] > 0.99 and named["fpir"] == pytest.approx(1 - 0.999**2)
    assert named["start"] == 0 and named["time"] == pytest.approx(0.8) and named["seen_frames"] == 5
    assert named["box"][0] == pytest.approx(20 + 80, abs=4) and named["effective_frames"] == pytest.approx(1, abs=0.01)
    end = next(event for event in events if event["event"] == "end" and event["track"] == named["track"])
    assert end["subject"] == "anna" and end["time"] == pytest.approx(1.8) and end["seen_frames"] == 10
    assert summary["named"] == {"anna": 1} and (summary["tracks"], summary["frames"], summary["problems"]) == (2, 25, [])
    assert summary["expected_wrong"] == pytest.approx(1 - 0.999**2)
    assert "2 tracks, 1 of 1 known person" in err
    with VideoSource(out, VideoSettings(fps=5)) as written:
        drawn = list(written.frames())
    assert len(drawn) == 25 and out.stat().st_mode & 0o777 == 0o600
    left, top = (round(value) for value in named["box"][:2])
    assert np.abs(drawn[4].pixels[top + 40, left - 1 : left + 2].astype(int) - [0, 114, 178]).sum(axis=1).min() < 90
    code, text, _ = call(capsys, "watch", video, "--gallery", door, "--threshold", 1.01, "--quiet")
    assert code == 1 and {event["event"] for event in events_of(text)} == {"start", "unknown", "end", "summary"}


def test_errors_of_the_command_line(door, quarters, tmp_path, capsys):
    video = write_video(tmp_path / "a.mp4", walking(5, (ANNA, 10)))
    for arguments, message in (
        (("none.mp4", "--gallery", door), "error: none.mp4: no such file or device"),
        ((video, "--gallery", tmp_path / "nowhere"), "no such gallery, folder or photo"),
        ((video, "--gallery", door, "--threshold", 0.5, "--target-fpir", 0.1), "mutually exclusive"),
        ((video, "--gallery", door, "--target-fpir", 1e-6), "an FPIR of 1e-06 with 2 people enrolled needs"),
        ((video, "--gallery", door, "--max-pixels", 1000), "more than the limit of 1,000"),
        ((video, "--gallery", door, "--fps", 0), "fps must be positive, got 0"),
        ((video,), "Missing option '--gallery'"),
    ):
        code, out, err = call(capsys, "watch", *arguments)
        assert code == 2 and message in err and out == "", message


def test_interrupting_ends_tracks_and_files(door, quarters, monkeypatch, tmp_path, capsys):
    class Interrupts(Blobs):
        count = 0

        def detect(self, photo):
            Interrupts.count += 1
            if Interrupts.count == 8:
                os.kill(os.getpid(), signal.SIGINT)
            return super().detect(photo)

    stand_in(monkeypatch, Interrupts())
    before = signal.getsignal(signal.SIGINT)
    video, out = write_video(tmp_path / "a.mp4", walking(40, (ANNA, 20))), tmp_path / "annotated.mp4"
    code, text, err = call(capsys, "watch", video, "--gallery", door, "--out", out)
    *events, summary = events_of(text)
    assert code == 130 and summary["interrupted"] and 5 < summary["frames"] < 12 and "interrupted" in err
    assert [event["event"] for event in events] == ["start", "identified", "end"] and events[1]["subject"] == "anna"
    with VideoSource(out) as written:
        assert len(list(written.frames())) == summary["frames"]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_watch_from_python(door, quarters, tmp_path):
    video = write_video(tmp_path / "a.mkv", walking(20, (BERTA, 20)))
    *events, summary = watch_video(video, door, options=WatchOptions(frames=3))
    assert [event.event for event in events] == ["start", "identified", "end"] and events[-1].decision.subject == "berta"
    assert summary.named == {"berta": 1} and summary.expected_wrong is None
    with pytest.raises(ValueError, match="frames must be at least 1, got 0"):
        WatchOptions(frames=0)


def test_a_model_of_whole_photos_is_refused(door, quarters, monkeypatch, tmp_path):
    monkeypatch.setattr("visavis.albums.watching.load_encoder", lambda model, **options: Quarters())
    with pytest.raises(ModelError, match="need a model of aligned faces"):
        next(watch_video(write_video(tmp_path / "a.mp4", walking(5, (ANNA, 10))), door))


def test_written_frames_keep_times_and_sizes(tmp_path):
    path = tmp_path / "out.mp4"
    writer = VideoWriter(path, 5)
    for place, size in enumerate(((641, 241), (641, 241), (320, 120))):
        writer.write(10 * place, scene((ANNA, 10, 20), size=size))
    writer.close()
    with VideoSource(path, VideoSettings(fps=100)) as video:
        assert [round(frame.time) for frame in video.frames()] == [0, 10, 20] and video.size == (640, 240)


def test_videos_are_recognised_by_their_first_bytes(tmp_path, photo_files):
    for name, form in (
        ("a.mp4", None),
        ("a.mkv", None),
        ("a.webm.mkv", "matroska"),
        ("a.avi", None),
        ("a.mov", None),
        ("a.flv", None),
    ):
        path = write_video(tmp_path / name, walking(3, (ANNA, 10)), form=form)
        assert is_video_file(path.rename(tmp_path / "without-a-suffix")), name
    assert is_video(b"\0\0\0\x20ftypisom\0\0\0\0") and is_video(b"\0\0\0\x08wide\0\0\0\0mdat")
    for head in (
        b"\0\0\0\x18ftypheic\0\0\0\0mif1",
        b"\0\0\0\x18ftypavif\0\0\0\0",
        b"\0\0\0\x18ftypM4A \0\0\0\0",
        b"RIFF\0\0\0\0WEBP",
    ):
        assert not is_video(head)
    assert not is_video(photo_files[0][0][:HEAD_BYTES]) and not is_video_file(tmp_path)


def test_a_moment_of_a_video_is_decoded_again(tmp_path):
    path = write_video(tmp_path / "a.mp4", walking(30, (ANNA, 10)))
    with VideoSource(path) as video:
        sampled = {round(frame.time, 3): frame.pixels for frame in video.frames()}
    for time in (0.0, 0.6, 2.8):
        with VideoSource(path) as video:
            assert np.abs(video.frame_at(time).astype(int) - sampled[time]).mean() < 1
    with VideoSource(path) as video:
        assert video.frame_at(99.0) is None


@pytest.fixture
def holiday(tmp_path):
    """A folder of a photo of Berta, a video in which Anna and Cara pass, and one that is damaged."""
    folder = tmp_path / "holiday"
    (folder / "clips").mkdir(parents=True)
    Image.fromarray(scene((BERTA, 40, 60))).save(folder / "berta.png")
    write_video(folder / "clips" / "b.mp4", [scene(), scene(), *walking(20, (ANNA, 20), (CARA, 300))])
    (folder / "clips" / "half.mp4").write_bytes((folder / "clips" / "b.mp4").read_bytes()[:2000])
    return folder


@pytest.fixture
def reading(monkeypatch):
    """Settings with the encoder and the detector of these frames."""
    for module in ("finding.load_encoder", "reading.load_expected"):
        monkeypatch.setattr(f"visavis.albums.{module}", lambda *arguments, **options: Quarters.of_faces())
    return ReadingSettings(acquisition=AcquisitionSettings(finder=Blobs()), workers=1)


def test_people_are_found_in_videos(door, holiday, reading, tmp_path):
    found = find_people(door, holiday, settings=reading, work=tmp_path / "work")
    shown = [(face.photo.partition("#")[0], face.subject) for face in found.faces]
    assert shown[0] == ("berta.png", "berta") and set(shown[1:]) == {("clips/b.mp4", "anna"), ("clips/b.mp4", None)}
    (anna,) = [face for face in found.faces if face.subject == "anna"]
    assert anna.photo == f"clips/b.mp4#t={anna.time:g}" and 0.2 <= anna.time <= 2.0 and found.faces[0].time is None
    assert anna.to_json()["time"] == anna.time and anna.row()[-1] == anna.time
    (failure,) = found.failures
    assert failure.photo == "clips/half.mp4" and failure.reason.startswith("not a video, or damaged")
    assert found.describe()[0] == "3 faces in 3 files: 2 of 2 known people, 1 of unknown people"
    again = find_people(door, holiday, settings=reading, work=tmp_path / "work")
    assert again.faces == found.faces
    with open_album(holiday, reading) as files:
        pixels = photo_pixels(anna.photo, files, reading)
    left, top, width, height = (round(value) for value in anna.box)
    assert abs(int(pixels[top + 20, left + 20, 0]) - ANNA[0]) < 20
    page = write_found_page(found, holiday, tmp_path / "out", reading).read_text()
    assert f"<h2>{anna.photo}</h2>" in page and write_annotated(found, holiday, tmp_path / "annotated", reading) == 2
    single = find_people(door, holiday / "clips" / "b.mp4", settings=reading)
    assert [face.subject for face in single.named] == ["anna"]


def test_videos_need_the_extra_and_are_no_photos_elsewhere(door, holiday, reading, monkeypatch):
    with open_photos(holiday, IntakeRules(people="ignored")) as files:
        assert [photo.name for photo in files.photos] == ["berta.png"]
        assert {file.reason for file in files.found.passed_over} == {"a video, not a photo"}
    monkeypatch.setitem(sys.modules, "av", None)
    found = find_people(door, holiday, settings=reading, options=FindOptions(threshold=0.9))
    assert len(found.faces) == 1 and found.failures == () and any("a video, not a photo" in line for line in found.describe())
    with pytest.raises(MissingDependencyError, match=r"pip install 'visavis\[video\]'"):
        find_people(door, holiday / "clips" / "b.mp4", settings=reading)
