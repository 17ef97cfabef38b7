"""How time and memory grow with the number of faces: stored, trained on, embedded and evaluated.

    python benchmarks/growth.py [--largest 1000000]

Data sets of 1,000 faces and ten times as many, and so on. Each stage runs in a process of its own that does nothing else, and
leaves its files for the next: store (faces written part by part into a data set on the disk: 2,000 generated ones over and over,
each time with other light and other noise, ten photos a person), train (steps of 64 photos that make one epoch, one look at 200
validation people), embed (`visavis embed` by the encoder in the box) and evaluate (on 100,000 pairs of each kind, drawn, with the
error that this adds). All pairs, which grow with the square, are evaluated as well up to 10,000 faces. Memory is the process's own,
without pages of mapped files. Writes `results/growth.json`. A million faces take about an hour on 2 cores that do nothing else, and
15 GB of disk.

Last figures: see `results/`.
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
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from record import write_result

SIDE, PHOTOS_EACH, BLOCK, ALL_PAIRS, VALIDATION = 64, 10, 2000, 10_000, 200
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

STAGES = ("store", "train", "embed", "evaluate")


def store(folder: Path, count: int) -> None:
    """Write a data set, part by part."""
    from visavis.datasets import FaceDataset, generate_faces
    from visavis.datasets.dataset import FACES

    base = generate_faces(BLOCK // PHOTOS_EACH, PHOTOS_EACH, size=SIDE).faces
    folder.mkdir(parents=True)
    pixels: Any = np.lib.format.open_memmap(folder / FACES, "w+", np.uint8, (count, SIDE, SIDE, 3))
    for start in range(0, count, BLOCK):
        rng = np.random.default_rng(start)
        light, noise = rng.uniform(0.7, 1.3, 3), rng.integers(0, 8, base.shape, dtype=np.uint8)
        part = (base * light).clip(0, 240).astype(np.uint8) + noise
        pixels[start : start + BLOCK] = part[: count - start]
    pixels.flush()
    labels = np.arange(count, dtype=np.int64) // PHOTOS_EACH
    people, sources = (f"p{number}" for number in range(labels[-1] + 1)), [str(number) for number in range(count)]
    FaceDataset(pixels, labels, tuple(people), sources, aligned=True).save_names(folder)


def train(folder: Path, count: int) -> None:
    """One epoch."""
    from visavis.configuration import config_for
    from visavis.datasets import Split, read_saved
    from visavis.training import train

    faces = read_saved(folder)
    held_out = faces.labels < min(VALIDATION, len(faces.people) // 5)
    split = Split(train=faces.select(np.flatnonzero(~held_out)), validation=faces.select(np.flatnonzero(held_out)), test=None)
    steps = max(1, count // 64)
    train(split, config_for(split.train, steps=steps, validate_every=steps), progress=False)


def embed(folder: Path, count: int) -> None:
    """A table of embeddings."""
    from visavis.scale import embed_photos

    embed_photos(folder, folder.with_suffix(".parquet"), workers=1, progress=False)


def read_embeddings(folder: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """From the table, and the people."""
    from pyarrow import parquet

    column = parquet.read_table(folder.with_suffix(".parquet"), columns=["embedding"])["embedding"].combine_chunks()
    return column.flatten().to_numpy().reshape(count, -1), np.arange(count, dtype=np.int64) // PHOTOS_EACH


def evaluate(folder: Path, count: int) -> None:
    """Error rates of pairs drawn."""
    from visavis.evaluation import evaluate_protocol, sample_pairs

    embeddings, labels = read_embeddings(folder, count)
    sampled = sample_pairs(labels, count=100_000)
    result = evaluate_protocol(embeddings, labels, sampled.protocol)
    print(result.eer, sampled.standard_error(result.decisions.fmr))


def evaluate_all(folder: Path, count: int) -> None:
    """Error rates of all pairs."""
    from visavis.metrics import all_pairs_curve, equal_error_rate

    print(equal_error_rate(all_pairs_curve(*read_embeddings(folder, count))))


@contextmanager
def watched() -> Iterator[dict[str, float]]:
    """Seconds, CPU seconds and the peak of the memory that is this process's own while something runs.

    Pages of mapped files are left out: the system keeps them while it has room, and takes them back at any time.
    """
    told, ended = {"peak_megabytes": 0.0}, threading.Event()

    def look() -> None:
        while not ended.wait(0.02):
            status = Path("/proc/self/status").read_text()
            anonymous = int(status.partition("RssAnon:")[2].split()[0]) * 1024 / 1e6
            told["peak_megabytes"] = max(told["peak_megabytes"], anonymous)

    watcher = threading.Thread(target=look)
    watcher.start()
    start, cpu = time.perf_counter(), time.process_time()
    try:
        yield told
    finally:
        told |= {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}
        ended.set()
        watcher.join()


def be_stage(stage: str, folder: Path, count: int) -> None:
    """Do one stage, and print what it cost."""
    stages = {"store": store, "train": train, "embed": embed, "evaluate": evaluate, "all-pairs": evaluate_all}
    with watched() as told:
        stages[stage](folder, count)
    print(json.dumps(told))


def main() -> None:
    """Measure every size; with a stage, a folder and a size, be that stage."""
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
                told = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
                row[stage] = json.loads(told.splitlines()[-1])
        rows.append(row)
        print(row, flush=True)
        count *= 10
    write_result("growth", {"sizes": rows}, command=f"python benchmarks/growth.py --largest {options.largest}")


if __name__ == "__main__":
    main()
