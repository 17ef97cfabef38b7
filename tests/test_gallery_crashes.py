"""A gallery whose processes are killed at random moments, as benchmarks/gallery_crashes.py does it 300 times."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def crashes(monkeypatch):
    """The benchmark as a module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gallery_crashes

    yield gallery_crashes
    for name in ("gallery_crashes", "record"):
        sys.modules.pop(name, None)


def test_killed_processes_lose_nothing_and_bring_nothing_back(crashes, tmp_path):
    tally = crashes.run(tmp_path, 9, seed=1)
    assert tally.kills == 9
    assert min(tally.enrolled, tally.deleted, tally.searches) > 9


def test_what_is_lost_or_left_would_be_seen(crashes, tmp_path):
    path, journal = tmp_path / "crashes.gallery", tmp_path / "worker0.journal"
    with crashes.SqliteGallery(path, crashes.BINDING) as gallery:
        gallery.enrol("anna", crashes.embeddings_of("anna", 2))
    journal.write_text("enrol? anna 2\nenrol! anna 2\n")
    assert crashes.compare(path, [journal]).enrolled == 1
    for words, message in (
        ("enrol? anna 2\nenrol! anna 2\nenrol! berta 1", "berta has 0 references"),
        ("enrol! anna 2\ndelete? anna 2\ndelete! anna 2", "anna has 2 references after delete!"),
        ("enrol? anna 3", "anna has 2 references"),
        ("enrol? clara 1", "unknown subjects are enrolled"),
        ("wrong anna 0", "did not find what it must"),
    ):
        journal.write_text(f"{words}\n")
        with pytest.raises(AssertionError, match=message):
            crashes.compare(path, [journal])


def test_sixteen_bytes_or_a_name_are_found(crashes):
    row, deleted = crashes.embeddings_of("worker0-7-11", 1).tobytes(), {"worker0-7-11": 1, "worker1-2-3": 2}
    noise = bytes(range(256)) * 40
    assert crashes.traces(deleted, noise) == {}
    assert crashes.traces(deleted, noise + row[101:117] + noise) == {"worker0-7-11": "embedding"}
    assert crashes.traces(deleted, noise + row[101:116] + noise) == {}
    assert crashes.traces(deleted, noise + b"worker1-2-3" + noise) == {"worker1-2-3": "name"}
