"""Crash safety of galleries: `kill -9` at random moments while three processes enrol, delete and search.

    python benchmarks/gallery_crashes.py --kills 300 [--longest 3]

Each process writes down what it starts and what was acknowledged. They are killed one after the other at random moments. Then
everything is compared: acknowledged enrolments must be there with their embeddings; acknowledged deletions must be gone, from the
bytes of the files too; interrupted operations must be complete or absent; the file must pass its check; and searches must agree
with a comparison with every reference. Three new processes continue in the same gallery. Writes `results/gallery_crashes.json`.
About ten minutes.
"""

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from record import write_result

from visavis.gallery import SqliteGallery, back_up
from visavis.gallery.records import Binding

BINDING = Binding("c" * 64, 128)
WORKERS = 3
PATIENCE = 60
_CHUNK = 1 << 24


@dataclass
class Tally:
    """Counts of one run.

    Attributes:
        kills: Killed processes.
        enrolled: Acknowledged enrolments.
        deleted: Acknowledged deletions.
        searches: Searches that the processes compared with their own records.
        under_way: Operations that a kill interrupted.
        completed: Interrupted operations that turned out to be complete.
    """

    kills: int = 0
    enrolled: int = 0
    deleted: int = 0
    searches: int = 0
    under_way: int = 0
    completed: int = 0


def embeddings_of(name: str, count: int) -> np.ndarray:
    """Return the references of a subject: always the same, and unlike those of others."""
    rows = np.random.default_rng(zlib.crc32(name.encode())).normal(size=(count, BINDING.size)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def template_of(name: str, count: int) -> np.ndarray:
    """Return the mean of the references of a subject `(1, d)`, of unit length."""
    mean = embeddings_of(name, count).mean(axis=0, keepdims=True)
    return mean / np.linalg.norm(mean)


def read_journal(journal: Path) -> tuple[dict[str, tuple[str, int]], int]:
    """Return the last entry of each name (`enrol?` started, `enrol!` acknowledged, …) and the number of searches."""
    states, searches = {}, 0
    for line in journal.read_text().splitlines() if journal.is_file() else []:
        word, name, count = line.split()
        if word == "wrong":
            raise AssertionError(f"a search did not find what it must, or found what it must not: {name}")
        if word == "search":
            searches += 1
        else:
            states[name] = (word, int(count))
    return states, searches


def work(path: Path, journal: Path, seed: int) -> None:
    """Enrol, delete and search until killed."""
    chance = random.Random(seed)
    states, _ = read_journal(journal)
    alive = {name: count for name, (word, count) in states.items() if word == "enrol!"}
    gone = {name: count for name, (word, count) in states.items() if word == "delete!"}
    log = os.open(journal, os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def note(word: str, name: str, count: int) -> None:
        os.write(log, f"{word} {name} {count}\n".encode())

    with SqliteGallery(path, BINDING) as gallery:
        for number in range(sys.maxsize):
            turn = chance.random()
            if turn < 0.45 or not alive:
                name, count = f"{journal.stem}-{seed}-{number}", chance.randint(1, 3)
                note("enrol?", name, count)
                gallery.enrol(name, embeddings_of(name, count))
                note("enrol!", name, count)
                alive[name] = count
            elif turn < 0.8:
                name = chance.choice(list(alive))
                count = alive.pop(name)
                note("delete?", name, count)
                gallery.delete(name)
                note("delete!", name, count)
                gone[name] = count
            else:
                name, count = chance.choice([*alive.items(), *gone.items()])
                found = [hit.subject for hit in gallery.search(template_of(name, count), top=1, threshold=0.999)[0]]
                note("search" if found == [name] * (name in alive) else "wrong", name, 0)


def start_workers(path: Path, journals: list[Path], seed: int) -> list[subprocess.Popen]:
    """Start the processes, and wait until each has completed an operation."""
    sizes = [journal.stat().st_size if journal.is_file() else 0 for journal in journals]
    command = [sys.executable, __file__, "--work", str(path)]
    workers = [subprocess.Popen([*command, "--journal", str(journal), "--seed", str(seed)]) for journal in journals]
    deadline = time.monotonic() + PATIENCE
    for worker, journal, size in zip(workers, journals, sizes, strict=True):
        while not journal.is_file() or journal.stat().st_size == size:
            if worker.poll() is not None or time.monotonic() > deadline:
                code = worker.poll()
                for other in workers:
                    other.kill()
                    other.wait()
                raise AssertionError(f"a process did not begin (exit code {code})")
            time.sleep(0.01)
    return workers


def run_round(path: Path, journals: list[Path], seed: int, longest: float) -> None:
    """Run three processes, and kill one after the other, each after at most this many seconds more."""
    chance = random.Random(seed)
    workers = start_workers(path, journals, seed)
    chance.shuffle(workers)
    for worker in workers:
        time.sleep(chance.uniform(0, longest))
        if worker.poll() is not None:
            raise AssertionError(f"a process ended by itself (exit code {worker.poll()})")
        worker.send_signal(signal.SIGKILL)
        worker.wait()


def traces(states: dict[str, int], data: bytes) -> dict[str, str]:
    """What is left of deleted subjects in the bytes of files: their names, or any 16 bytes in a row of an embedding.

    Args:
        states: How many references each of them had.
        data: The bytes.
    """
    if not states:
        return {}
    wanted = re.compile(b"|".join(re.escape(name.encode()) for name in states))
    found = {name.decode(): "name" for name in set(wanted.findall(data))}
    own = [_windows(np.frombuffer(embeddings_of(name, count).tobytes(), np.uint8)) for name, count in states.items()]
    owners = np.repeat(np.arange(len(own)), [len(windows) for windows in own])
    windows = np.concatenate(own)
    order = np.argsort(windows)
    windows, owners = windows[order], owners[order]
    marks = np.zeros(1 << 24, bool)  # by the first 24 bits: nearly all bytes of the files need no search
    marks[windows >> np.uint64(40)] = True
    names = list(states)
    for start in range(0, len(data), _CHUNK):
        seen = _windows(np.frombuffer(data[start : start + _CHUNK + 15], np.uint8))
        seen = seen[marks[seen >> np.uint64(40)]]
        places = np.minimum(np.searchsorted(windows, seen), len(windows) - 1)
        for owner in np.unique(owners[places[windows[places] == seen]]):
            found[names[owner]] = "embedding"
    return found


def _windows(data: np.ndarray) -> np.ndarray:
    """Every 16 bytes in a row, as one number: the sum of two 8-byte words, one of them multiplied by an odd constant."""
    if len(data) < 16:
        return np.empty(0, np.uint64)
    words = np.lib.stride_tricks.sliding_window_view(data, 8).copy().view(np.uint64)[:, 0]
    return words[:-8] * np.uint64(0x9E3779B97F4A7C15) + words[8:]


def compare(path: Path, journals: list[Path], seen: set[str] | None = None) -> Tally:
    """Compare the gallery with what was acknowledged; search the files for bytes of deleted subjects not yet in `seen`."""
    seen = set() if seen is None else seen
    states, tally = {}, Tally()
    for journal in journals:
        own, searches = read_journal(journal)
        states |= own
        tally.searches += searches
    backup = path.with_name("copy.gallery")
    backup.unlink(missing_ok=True)
    with SqliteGallery(path, None) as gallery:
        back_up(gallery, backup)
    data = b"".join(file.read_bytes() for file in (backup, *path.parent.glob(f"{path.name}*")))
    deleted = {name: count for name, (word, count) in states.items() if word == "delete!" and name not in seen}
    for name, kind in traces(deleted, data).items():
        raise AssertionError(f"{name} was deleted, and the files still hold the {kind}")
    seen |= deleted.keys()
    with SqliteGallery(path, None) as gallery:
        gallery.check()
        enrolled = {subject.name: len(subject.references) for subject in gallery.subjects(limit=10**9)}
    for name, (word, count) in states.items():
        present = enrolled.pop(name, 0)
        allowed = {"enrol!": {count}, "delete!": {0}, "enrol?": {0, count}, "delete?": {0, count}}[word]
        if present not in allowed:
            raise AssertionError(f"{name} has {present} references after {word}, not {allowed}")
        tally.enrolled += word == "enrol!"
        tally.deleted += word == "delete!"
        tally.under_way += word.endswith("?")
        tally.completed += word == ("enrol?" if present else "delete?")
    if enrolled:
        raise AssertionError(f"unknown subjects are enrolled: {sorted(enrolled)[:3]}")
    compare_searches(path)
    return tally


def compare_searches(path: Path) -> None:
    """Compare searches with a comparison with every reference, whose embeddings must be those that were enrolled."""
    probes = embeddings_of("probes", 5)
    with SqliteGallery(path, BINDING) as gallery:
        subjects = gallery.subjects(limit=10**9)
        references = {subject.name: embeddings_of(subject.name, len(subject.references)) for subject in subjects}
        found = gallery.search(probes, top=10)
        means = {name: rows.mean(axis=0) for name, rows in references.items()}
        for probe, hits in zip(probes, found, strict=True):
            scores = {name: float(mean @ probe / np.linalg.norm(mean)) for name, mean in means.items()}
            best = sorted(scores, key=lambda name: -scores[name])[:10]
            if [hit.subject for hit in hits] != best:
                raise AssertionError("a search differs from comparing with every reference")
            np.testing.assert_allclose([hit.score for hit in hits], [scores[name] for name in best], atol=1e-5)


def run(folder: Path, kills: int, *, seed: int = 0, longest: float = 0.3) -> Tally:
    """Kill this many processes, and compare after every third."""
    path = folder / "crashes.gallery"
    journals = [folder / f"worker{number}.journal" for number in range(WORKERS)]
    tally, seen = Tally(), set()
    for number in range(-(-kills // WORKERS)):
        run_round(path, journals, seed + number, longest)
        tally = compare(path, journals, seen)
        tally.kills = (number + 1) * WORKERS
        print(tally, flush=True)
    return tally


def main() -> None:
    """Run the benchmark, or one of its processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--longest", type=float, default=3.0, help="seconds between two kills, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--journal", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work is not None:
        work(arguments.work, arguments.journal, arguments.seed)
        return
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tally = run(Path(folder), arguments.kills, seed=arguments.seed, longest=arguments.longest)
    figures = {**asdict(tally), "workers": WORKERS, "seconds": round(time.monotonic() - started)}
    print(write_result("gallery_crashes", figures))
    print(figures)


if __name__ == "__main__":
    main()
