"""Photos are read in a process that is killed when one needs too much; the run goes on and lists it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from commands import call
from PIL import Image
from test_faces import face_at

import visavis
from visavis.albums.reading import ReadingSettings, read_faces
from visavis.data.preparation import prepare_photos, read_failures
from visavis.encoders import PRETRAINED_FILE
from visavis.errors import ImageError
from visavis.faces import AcquisitionSettings, FaceFinder, acquisition as acquisition_module
from visavis.gallery import open_gallery
from visavis.gallery.enrolling import enrol_folder
from visavis.verification.comparisons import compare_photos
from visavis.workers.budget import Budget
from visavis.workers.isolated import isolated

needs_encoder = pytest.mark.skipif(not PRETRAINED_FILE.is_file(), reason="this installation comes without an encoder")
needs_limits = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on CPU time")
BOMB = 77  # the height of a photo on which the detector never ends
PROGRAM = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_isolated import act
from visavis.workers.isolated import Budget, isolated
read = isolated(act, Budget(2, None))
"""
REASON = "decoding needs more than 1 s of CPU time"


def process_of(content, name):
    return os.getpid()


def act(content, name):
    """Do what the photo is called."""
    if content == b"spin":
        while True:
            pass
    if content == b"allocate":
        return len(np.ones(10**9, np.uint8))
    if content == b"fail":
        raise ImageError(f"{name}: damaged")
    if content == b"pid":
        return os.getpid()
    if content == b"die":
        os._exit(1)
    return content


@dataclass(frozen=True)
class Endless:
    """A detector of one face that never ends on some photos."""

    def detect(self, photo):
        while photo.shape[0] == BOMB:
            pass
        return [face_at(10, 10, 80)]


@pytest.fixture
def one_second(monkeypatch):
    monkeypatch.setattr(acquisition_module, "_OTHER_SECONDS", 1.0)


@pytest.fixture
def photos(tmp_path):
    """Two people, and two photos on which the detector never ends."""
    rng = np.random.default_rng(0)
    for name, height in {"anna/1.png": 100, "anna/2.png": BOMB, "ben/1.png": BOMB, "ben/2.png": 110}.items():
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (height, 120, 3), dtype=np.uint8)).save(path)
    return tmp_path / "photos"


def test_a_photo_is_read_in_another_process_that_is_used_again():
    read = isolated(process_of, Budget(5, None))
    first, second = read(b"", "a.jpg"), read(b"", "b.jpg")
    assert first == second != os.getpid()
    assert isolated(process_of, Budget(5, None))(b"", "c.jpg") == first


@needs_limits
def test_what_needs_too_much_is_killed_and_replaced():
    read = isolated(act, Budget(1, 200_000_000))
    assert read(b"photo", "a.jpg") == b"photo"
    with pytest.raises(ImageError, match="^b.jpg: damaged$"):
        read(b"fail", "b.jpg")
    started = time.monotonic()
    with pytest.raises(ImageError, match=f"^c.jpg: {REASON}$"):
        read(b"spin", "c.jpg")
    assert time.monotonic() - started < 60
    if sys.platform == "linux":
        with pytest.raises(ImageError, match=r"^d\.jpg: decoding needs too much memory$"):
            read(b"allocate", "d.jpg")
    with pytest.raises(ImageError, match=r"^e\.jpg: decoding needs too much memory, or ended its process$"):
        read(b"die", "e.jpg")
    assert read(b"photo", "f.jpg") == b"photo"


def test_what_cannot_be_sent_to_another_process_runs_here():
    here = os.getpid()
    assert isolated(lambda content, name: os.getpid(), Budget(1, None))(b"", "a.jpg") == here


def test_a_script_without_a_main_guard_is_not_run_again(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from functools import partial\nfrom visavis.workers.budget import Budget\nfrom visavis.workers.isolated import isolated\n"
        "print('once', flush=True)\nimport operator\nread = isolated(operator.add, Budget(5, None))\nprint(read(b'a', b'b'))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "once\nb'ab'\n"


def test_a_detector_of_the_main_program_is_asked_in_the_workers(photos, tmp_path):
    (photos / "anna" / "2.png").unlink()
    for number in range(20):  # two parts, so that two processes have work
        shutil.copy(photos / "anna" / "1.png", photos / "anna" / f"more-{number}.png")
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nimport numpy as np\nfrom visavis.data.preparation import prepare_photos\n"
        "from visavis.faces import CANONICAL_LANDMARKS, AcquisitionSettings, Face\nclass Ours:\n"
        "    def detect(self, photo):\n        return [Face(np.array([4, 4, 90, 90.0]), CANONICAL_LANDMARKS - 10, 0.9)]\n"
        "if __name__ == '__main__':\n    settings = AcquisitionSettings(finder=Ours())\n"
        "    print(prepare_photos(sys.argv[1], sys.argv[2], acquisition=settings, workers=2, progress=False).faces)\n"
    )
    done = subprocess.run(
        [sys.executable, script, photos, tmp_path / "faces"], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "23\n"


def test_a_program_from_standard_input_reads_in_another_process():
    code = f"{PROGRAM}print(read(b'pid', '') != os.getpid())\n"
    done = subprocess.run([sys.executable, "-"], input=code, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("True\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no process groups of this kind")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_no_process_is_left_when_the_program_is_ended(number):
    code = f"{PROGRAM}read(b'', '')\nprint(1, flush=True)\nread(b'spin', '')\n"
    program = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    with program:
        assert program.stdout.readline() == b"1\n"
        time.sleep(0.3)
        os.killpg(program.pid, number) if number == signal.SIGINT else program.send_signal(number)
        assert program.wait(30) != 0
    for _ in range(300):
        try:
            os.killpg(program.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("processes are left")


def test_the_budget_grows_with_the_size_that_is_searched():
    usual, large = (AcquisitionSettings(finder=FaceFinder(detector_size=size)).budget for size in (960, 1920))
    assert large.seconds == 4 * usual.seconds and large.memory > usual.memory
    assert AcquisitionSettings(finder=Endless()).budget.memory is None


@needs_limits
@pytest.mark.parametrize("workers", [1, 2])
def test_prepare_lists_a_photo_that_needs_too_much(photos, tmp_path, one_second, workers):
    settings = AcquisitionSettings(finder=Endless())
    result = prepare_photos(photos, tmp_path / "faces", acquisition=settings, workers=workers, progress=False)
    assert (result.photos, result.faces, result.failures) == (4, 2, 2)
    assert read_failures(tmp_path / "faces") == [("anna/2.png", "anna"), ("ben/1.png", "ben")]
    assert (tmp_path / "faces" / "failures.csv").read_text().count(REASON) == 2


@needs_encoder
@needs_limits
def test_compare_embed_enrol_and_sort_list_it_too(photos, tmp_path, one_second):
    settings = AcquisitionSettings(finder=Endless())
    verifier = visavis.Verifier(acquisition=settings)
    compared = compare_photos(verifier, photos / "anna" / "1.png", [photos])
    assert [photo.name for photo, _ in compared.failures] == ["2.png", "1.png"]
    assert len(compared.ranked) == 2 and all(reason.endswith(REASON) for _, reason in compared.failures)
    with open_gallery(tmp_path / "test.gallery", verifier.encoder) as gallery:
        enrolled = enrol_folder(gallery, verifier, photos)
    assert [Path(photo).name for photo, _ in enrolled.failures] == ["2.png", "1.png"]
    assert all(reason.endswith(REASON) for _, reason in enrolled.failures)
    assert sorted(enrolled.references) == ["anna", "ben"]
    album = read_faces(photos, tmp_path / "work", ReadingSettings(acquisition=settings, workers=1), encoder=verifier.encoder)
    assert [failure.photo for failure in album.failures] == ["anna/2.png", "ben/1.png"]
    pytest.importorskip("pyarrow", reason="embed needs the extra parquet")
    from visavis.scale import EmbeddingSettings, embed_photos

    embedded = embed_photos(photos, tmp_path / "table", EmbeddingSettings(finder=Endless()), workers=1, progress=False)
    assert (embedded.photos, embedded.rows, embedded.failures) == (4, 2, 2)
    assert (tmp_path / "table" / "_failures.csv").read_text().count(REASON) == 2


def run_with_limits(budget, statement):
    code = (
        "from visavis.cli.watchdog import photo_limits\nfrom visavis.workers.budget import Budget\n"
        f"with photo_limits({budget}, 3):\n    {statement}"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


def test_a_command_that_needs_too_much_ends_with_a_message():
    done = run_with_limits("Budget(0.1, None)", "while True: pass")
    assert (done.returncode, done.stderr) == (2, "error: the photos need more than 0.3 s of CPU time\n")
    assert run_with_limits("Budget(60, 10**8)", "print(len(bytes(5 * 10**7)))").stdout == "50000000\n"


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")
def test_a_command_that_needs_too_much_memory_ends_with_a_message():
    done = run_with_limits("Budget(60, 10**8)", "bytes(2 * 10**8)")
    assert done.stderr.endswith("ImageError: the photos need more than 100 MB of memory\n")
    code = (
        "import resource\nfrom visavis.workers.budget import memory_limit\nwith memory_limit(10**8): pass\n"
        "print(resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY, len(bytes(2 * 10**8)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "True 200000000\n"


@needs_encoder
def test_commands_on_single_photos_stay_within_the_limit(monkeypatch, photo_files, tmp_path, capsys):
    limits = []
    for module in ("photos", "gallery"):
        limit = lambda budget, photos=1: nullcontext(limits.append((budget, photos)))  # noqa: E731
        monkeypatch.setattr(f"visavis.cli.{module}.photo_limits", limit)
    photo, door = tmp_path / "a.jpg", tmp_path / "door.gallery"
    photo.write_bytes(photo_files[0][0])
    assert call(capsys, "verify", photo, photo)[0] == 0
    assert call(capsys, "explain", photo, photo, "--out", tmp_path / "why.png")[0] == 0
    assert call(capsys, "gallery", "enrol", door, photo, "--subject", "anna", "--quiet")[0] == 0
    assert call(capsys, "gallery", "search", door, photo, "--threshold", 0.5)[0] == 0
    assert call(capsys, "gallery", "verify", door, "anna", photo)[0] == 0
    assert limits == [(AcquisitionSettings().budget, photos) for photos in (2, 2, 1, 1)]
