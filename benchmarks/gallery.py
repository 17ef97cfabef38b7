"""Exact search in galleries of 10,000 to 1,000,000 references, against other libraries and the speed of the memory.

    pip install 'visavis[bench]' && python benchmarks/gallery.py [--counts 10000 100000 1000000]

People have four references of 128 numbers each. All search the same templates of people for the five best matches of one probe,
alternating: a gallery (`SqliteGallery.search`, which first reads changes from its file), faiss's flat index, a matrix product in
NumPy, and a Python loop over rows like deepface's `find` (10,000 references only). In the same rounds, the same number of threads
reads the memory from end to end (`max` and `sum`), which bounds any exact search. Start time and memory are those of a fresh
process. Writes `results/gallery.json`. About five minutes. On a busy machine, compare minima: libraries whose threads wait for each
other (faiss, BLAS) suffer most.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faiss
import numpy as np
from measure import in_turns, ratio, spread
from record import write_result

from visavis.gallery import Enrolment, SqliteGallery
from visavis.gallery.records import Binding

SIZE, PHOTOS, TOP = 128, 4, 5
BINDING = Binding("b" * 64, SIZE)
KEY = "5e" * 32
CORES = os.cpu_count() or 1
CHUNK = 20_000
MOST_LOOPED = 10_000


def rows_of(start: int, count: int) -> np.ndarray:
    """Return some of the references, the same ones each time."""
    rows = np.random.default_rng(start).normal(size=(count, SIZE)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def people(count: int) -> Iterator[Enrolment]:
    """Generate people with four references each."""
    for start in range(0, count, CHUNK):
        rows = rows_of(start, min(CHUNK, count - start))
        for first in range(0, len(rows), PHOTOS):
            yield Enrolment(f"person-{start + first}", rows[first : first + PHOTOS], [None] * len(rows[first : first + PHOTOS]))


def start_of(path: Path, key: str | None) -> dict[str, float]:
    """Measure the time to the first result and the memory of a process that opens a gallery."""
    command = [sys.executable, __file__, "--open", str(path), *(["--key", key] if key else [])]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def open_and_search(path: Path, key: str | None) -> None:
    """Open and search a gallery, in that process."""
    before = peak_memory()
    wall, processor = time.perf_counter(), time.process_time()
    with SqliteGallery(path, BINDING, key=key) as gallery:
        gallery.search(rows_of(1, 1), top=TOP)
        seconds = {"seconds": time.perf_counter() - wall, "processor_seconds": time.process_time() - processor}
        print(json.dumps({**seconds, "peak_over_matrix": (peak_memory() - before) / (4 * SIZE * gallery.subject_count)}))


def peak_memory() -> int:
    """Return the peak memory of this process in bytes; Linux counts from the start of its program."""
    words = Path("/proc/self/status").read_text().split()
    return 1024 * int(words[words.index("VmHWM:") + 1])


def loop_over_rows(rows: list[np.ndarray], probe: np.ndarray) -> list[int]:
    """Find the best matches as deepface does: one distance after the other, then sorted."""
    distances = []
    for row in rows:
        distances.append(1 - np.dot(row, probe) / (np.sqrt(np.dot(row, row)) * np.sqrt(np.dot(probe, probe))))
    return sorted(range(len(distances)), key=distances.__getitem__)[:TOP]


def in_threads(pool: ThreadPoolExecutor, matrix: np.ndarray, read: Callable[[np.ndarray], object]) -> Callable[[], object]:
    """Read a matrix from end to end, one part per thread."""
    parts = np.array_split(matrix, CORES)
    return lambda: list(pool.map(read, parts))


def measure(gallery: SqliteGallery, matrix: np.ndarray, rounds: int) -> dict[str, object]:
    """Time the searches alternately, and the memory in the same rounds."""
    probe = rows_of(1, 1)
    means = matrix[: len(matrix) // PHOTOS * PHOTOS].reshape(-1, PHOTOS, SIZE).mean(axis=1)
    matrix = means / np.linalg.norm(means, axis=1, keepdims=True)
    index = faiss.IndexFlatIP(SIZE)
    index.add(matrix)
    scores = [hit.score for hit in gallery.search(probe, top=1)[0]]
    np.testing.assert_allclose(scores, index.search(probe, 1)[0][0], atol=1e-5)
    peers: dict[str, Callable[[], object]] = {
        "faiss flat": lambda: index.search(probe, TOP),
        "NumPy, matrix times vector": lambda: matrix @ probe[0],
    }
    if len(matrix) <= MOST_LOOPED:
        rows = list(matrix)
        peers["a loop over rows, as deepface's `find`"] = lambda: loop_over_rows(rows, probe[0])
    with ThreadPoolExecutor(CORES) as pool:
        reading = {f"reading, {read.__name__}": in_threads(pool, matrix, read) for read in (np.max, np.sum)}
        seconds = in_turns({"visavis": lambda: gallery.search(probe, top=TOP), **peers, **reading}, rounds=rounds)
    fastest = min(reading, key=lambda name: statistics.median(seconds[name]))
    return {
        "milliseconds": {name: spread(1000 * value for value in values) for name, values in seconds.items()},
        "times_faster": {name: ratio(seconds[name], seconds["visavis"]) for name in peers},
        "reading_gb_per_second": matrix.nbytes / 1e9 / statistics.median(seconds[fastest]),
        "part_of_reading_speed": ratio(seconds[fastest], seconds["visavis"]),
    }


def run(count: int, folder: Path, rounds: int) -> dict[str, object]:
    """Create a gallery of this many references and measure it."""
    path = folder / f"{count}.gallery"
    with SqliteGallery(path, BINDING) as gallery:
        start = time.perf_counter()
        gallery.enrol_all(people(count))
        figures: dict[str, object] = {"enrol_all_seconds": round(time.perf_counter() - start, 1)}
    figures["start"] = start_of(path, None)
    sealed = folder / f"{count}-encrypted.gallery"
    with SqliteGallery(sealed, BINDING, key=KEY) as gallery:
        gallery.enrol_all(people(count))
    figures["start, encrypted"] = start_of(sealed, KEY)
    matrix = np.concatenate([rows_of(first, min(CHUNK, count - first)) for first in range(0, count, CHUNK)])
    with SqliteGallery(path, BINDING) as gallery:
        figures |= measure(gallery, matrix, rounds)
    figures["load"] = os.getloadavg()
    print(count, json.dumps(figures, indent=1), flush=True)
    return figures


def main() -> None:
    """Run the benchmark, or the process that opens a gallery."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--key", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.open is not None:
        open_and_search(arguments.open, arguments.key)
        return
    faiss.omp_set_num_threads(CORES)
    with tempfile.TemporaryDirectory() as folder:
        sizes = {str(count): run(count, Path(folder), arguments.rounds) for count in arguments.counts}
    figures = {"references": sizes}
    print(write_result("gallery", figures))


if __name__ == "__main__":
    main()
