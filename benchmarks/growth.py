"""Growth of time and memory with the number of faces: generate, train, embed, evaluate and enrol.

    python benchmarks/growth.py [--largest 1000000]

Data sets of 1,000 faces, ten times as many, and so on. Each stage runs in its own process and leaves its files for the next: store
(generate faces into a data set on disk, ten photos per person), train (one epoch in steps of 64 photos, one validation on 200
people), embed (`visavis embed` with the bundled encoder), evaluate (100,000 sampled pairs of each kind, with the sampling error)
and gallery (enrol everybody in a file, open it, search it). All pairs, which grow quadratically, are evaluated up to 10,000 faces.
Memory is that of the process and its children, without pages of mapped files. Writes `results/growth.json`. A million faces take
about two hours on 2 otherwise idle cores, and 20 GB of disk.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from typing import Any

import numpy as np
from record import write_result

SIDE, PHOTOS_EACH, ALL_PAIRS, VALIDATION = 64, 10, 10_000, 200
CORES = os.cpu_count() or 1
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

STAGES = ("store", "train", "embed", "evaluate", "gallery")


def store(folder: Path, count: int) -> None:
    """Generate a data set into a file."""
    from visavis.data import RenderOptions, generate_faces
    from visavis.data.dataset import FACES
    from visavis.faces import Crop

    folder.mkdir(parents=True)
    faces = generate_faces(count // PHOTOS_EACH, PHOTOS_EACH, size=SIDE, options=RenderOptions(folder / FACES, CORES))
    replace(faces, crop=Crop.arcface(faces.shape[0])).save_names(folder)


def train(folder: Path, count: int) -> None:
    """Train for one epoch."""
    from visavis.data import Split, read_saved
    from visavis.training.configuration import config_for
    from visavis.training.trainer import train

    faces = read_saved(folder)
    held_out = faces.labels < min(VALIDATION, len(faces.people) // 5)
    split = Split(train=faces.select(np.flatnonzero(~held_out)), validation=faces.select(np.flatnonzero(held_out)), test=None)
    steps = max(1, count // 64)
    train(split, config_for(split.train, steps=steps, validate_every=steps))


def embed(folder: Path, count: int) -> None:
    """Write a table of embeddings."""
    from visavis.scale import embed_photos

    embed_photos(folder, folder.with_suffix(".parquet"), workers=CORES, progress=False)


def read_embeddings(folder: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Read embeddings and people from the table."""
    from pyarrow import parquet

    column = parquet.read_table(folder.with_suffix(".parquet"), columns=["embedding"])["embedding"].combine_chunks()
    return column.flatten().to_numpy().reshape(count, -1), np.arange(count, dtype=np.int64) // PHOTOS_EACH


def evaluate(folder: Path, count: int) -> None:
    """Compute error rates over sampled pairs."""
    from visavis.evaluation import evaluate_protocol, sample_pairs

    embeddings, labels = read_embeddings(folder, count)
    sampled = sample_pairs(labels, count=100_000)
    result = evaluate_protocol(embeddings, labels, sampled.protocol)
    print(result.eer, sampled.standard_error(result.decisions.fmr))


def gallery(folder: Path, count: int) -> None:
    """Enrol everybody, open the gallery again, and search it."""
    from visavis.gallery import Enrolment, SqliteGallery
    from visavis.gallery.records import Binding

    embeddings, labels = read_embeddings(folder, count)
    people = np.split(embeddings, np.flatnonzero(np.diff(labels)) + 1)
    path, binding = folder.with_suffix(".gallery"), Binding("b" * 64, embeddings.shape[1])
    with SqliteGallery(path, binding) as new:
        new.enrol_all(Enrolment(f"p{number}", rows, [None] * len(rows)) for number, rows in enumerate(people))
    with SqliteGallery(path, binding) as opened:
        print(opened.search(embeddings[:1], top=1))


def evaluate_all(folder: Path, count: int) -> None:
    """Compute error rates over all pairs."""
    from visavis.metrics import all_pairs_curve, equal_error_rate

    print(equal_error_rate(all_pairs_curve(*read_embeddings(folder, count))))


@contextmanager
def watched() -> Iterator[dict[str, float]]:
    """Measure seconds, CPU seconds and peak memory of this process and its children.

    Pages of mapped files are not counted: the system keeps them while there is room, and can drop them at any time.
    """
    cost, ended = {"peak_megabytes": 0.0}, threading.Event()

    def look() -> None:
        while not ended.wait(0.02):
            cost["peak_megabytes"] = max(cost["peak_megabytes"], sum(map(_own_memory, _family(os.getpid()))) / 1e6)

    watcher = threading.Thread(target=look)
    watcher.start()
    start, cpu = time.perf_counter(), _processor_seconds()
    try:
        yield cost
    finally:
        cost |= {"seconds": time.perf_counter() - start, "cpu_seconds": _processor_seconds() - cpu}
        ended.set()
        watcher.join()


def _family(process: int) -> Iterator[int]:
    """List the process and its running descendants."""
    yield process
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):  # it has just ended
            for child in children.read_text().split():
                yield from _family(int(child))


def _own_memory(process: int) -> int:
    """Return the bytes of a process that belong to no file."""
    try:
        return int(Path(f"/proc/{process}/status").read_text().partition("RssAnon:")[2].split()[0]) * 1024
    except (OSError, IndexError):  # it has just ended
        return 0


def _processor_seconds() -> float:
    """Return the CPU seconds of this process and its finished children."""
    return sum(spent.ru_utime + spent.ru_stime for spent in map(getrusage, (RUSAGE_SELF, RUSAGE_CHILDREN)))


def be_stage(stage: str, folder: Path, count: int) -> None:
    """Run one stage and print its cost."""
    stages = {"store": store, "train": train, "embed": embed, "evaluate": evaluate, "gallery": gallery, "all-pairs": evaluate_all}
    with watched() as cost:
        stages[stage](folder, count)
    print(json.dumps(cost))


def main() -> None:
    """Measure every size; with a stage, a folder and a size, run that stage."""
    if len(sys.argv) == 4:
        be_stage(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--largest", type=int, default=1_000_000)
    options = parser.parse_args()
    rows, count = [], 1000
    while count <= options.largest:
        with tempfile.TemporaryDirectory() as name:
            row: dict[str, Any] = {"faces": count}
            for stage in (*STAGES, *(("all-pairs",) if count <= ALL_PAIRS else ())):
                command = [sys.executable, __file__, stage, f"{name}/faces", str(count)]
                cost = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
                row[stage] = json.loads(cost.splitlines()[-1])
        rows.append(row)
        print(row, flush=True)
        count *= 10
    write_result("growth", {"sizes": rows})


if __name__ == "__main__":
    main()
