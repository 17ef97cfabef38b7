"""Recall and speed of approximate indexes in Milvus against exact search, and against a gallery in a file.

    pip install 'visavis[bench]' && python benchmarks/gallery_milvus.py [--count 100000]

Synthetic embeddings distributed like those of the bundled encoder: all in one cone, four references per person. Half of the probes
are new photos of enrolled people, the others of people who are not enrolled. A `milvus-lite server` on the loopback interface holds
the same references with a FLAT and an HNSW index. Recall is the fraction of the exact search's subjects (the first; the first five)
that the index finds. Writes `results/gallery_milvus.json`. About ten minutes.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from pymilvus import MilvusClient
from record import write_result

from visavis.gallery import Enrolment, Gallery, SqliteGallery
from visavis.gallery.milvus import MilvusGallery
from visavis.gallery.records import Binding

SIZE, PHOTOS, TOP = 128, 4, 5
BINDING = Binding("d" * 64, SIZE)
EFFORTS = (16, 32, 64, 128, 256)


def unit(rows: np.ndarray) -> np.ndarray:
    """Scale rows to unit length."""
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def draw(count: int, probes: int) -> tuple[list[Enrolment], np.ndarray]:
    """Generate people with four references each, and probes: half of enrolled people, half of people who are not enrolled.

    Two photos of one person have a cosine of about 0.9, those of two people about 0.7.
    """
    rng = np.random.default_rng(0)
    middle = unit(rng.normal(size=SIZE))
    centres = unit(middle + 0.57 * unit(rng.normal(size=(count // PHOTOS + probes, SIZE))))
    photos = unit(centres[:, None] + 0.33 * unit(rng.normal(size=(len(centres), PHOTOS + 1, SIZE))))
    people = [Enrolment(f"person-{number}", rows[:PHOTOS], [None] * PHOTOS) for number, rows in enumerate(photos[:-probes])]
    return people, np.concatenate([photos[: probes // 2, PHOTOS], photos[-(probes - probes // 2) :, PHOTOS]])


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Run a server on the loopback interface."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [Path(sys.executable).with_name("milvus-lite"), "server", "--data-dir", folder, "--host", "127.0.0.1"]
    process = subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            with socket.socket() as connection:
                if connection.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def search_all(galleries: dict[str, Gallery], probes: np.ndarray) -> tuple[dict[str, list[list[str]]], dict[str, float]]:
    """Search all galleries for each probe, alternating: the subjects found, and the median time in milliseconds."""
    found: dict[str, list[list[str]]] = {name: [] for name in galleries}
    seconds: dict[str, list[float]] = {name: [] for name in galleries}
    for probe in probes:
        for name, gallery in galleries.items():
            start = time.perf_counter()
            hits = gallery.search(probe[None], top=TOP)[0]
            seconds[name].append(time.perf_counter() - start)
            found[name].append([hit.subject for hit in hits])
    return found, {name: round(1000 * statistics.median(values), 2) for name, values in seconds.items()}


def recall(found: list[list[str]], exact: list[list[str]], top: int) -> float:
    """Return the fraction of the exact search's first subjects that were found."""
    return float(np.mean([len(set(mine[:top]) & set(theirs[:top])) / top for mine, theirs in zip(found, exact, strict=True)]))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=40_000)
    parser.add_argument("--probes", type=int, default=200)
    arguments = parser.parse_args()
    people, probes = draw(arguments.count, arguments.probes)
    seconds = {}
    with tempfile.TemporaryDirectory() as folder, served(Path(folder) / "milvus") as server:
        hnsw = f"{server}/hnsw?index=HNSW&M=32&efConstruction=200"
        galleries: dict[str, Gallery] = {"file": SqliteGallery(Path(folder) / "file.gallery", BINDING)}
        galleries["flat"] = MilvusGallery(f"{server}/flat", BINDING)
        galleries["hnsw"] = MilvusGallery(hnsw, BINDING)
        client = MilvusClient(server)
        for name, gallery in galleries.items():
            start = time.perf_counter()
            gallery.enrol_all(people)
            if name != "file":  # an index is built over what was flushed, and in its own time
                client.flush(name)
                while client.describe_index(name, f"embedding_{BINDING.digest}")["pending_index_rows"]:
                    time.sleep(0.5)
            seconds[name] = round(time.perf_counter() - start, 1)
            print(name, seconds[name], flush=True)
        galleries.pop("hnsw").close()
        galleries["Milvus FLAT"] = galleries.pop("flat")
        for effort in EFFORTS:
            galleries[f"Milvus HNSW, ef={effort}"] = MilvusGallery(f"{hnsw}&ef={effort}", BINDING)
        found, p50 = search_all(galleries, probes)
        for gallery in galleries.values():
            gallery.close()
    figures = {
        "references": arguments.count,
        "enrol_all_seconds": seconds,
        "p50_ms": p50,
        "recall_at_1": {name: recall(mine, found["file"], 1) for name, mine in found.items()},
        "recall_at_5": {name: round(recall(mine, found["file"], TOP), 4) for name, mine in found.items()},
        "load": os.getloadavg(),
    }
    print(write_result("gallery_milvus", figures), figures)


if __name__ == "__main__":
    main()
