"""Start-up time, pairs, generated faces, and all pairs of LFW.

    python benchmarks/basics.py

CPU seconds of `import visavis` and `visavis --help` in fresh processes (median of 5); index pairs of a million photos of 100,000
people; generated faces per second; error rates over all 87.5 million pairs of 13,233 embeddings, against scikit-learn's
`roc_curve` on a sample of the scores, with the peak memory of a process that does nothing else. Writes `results/basics.json`.
About a minute on 2 cores.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np
from record import write_result
from sklearn.metrics import roc_curve

from visavis.data import RenderOptions, generate_faces
from visavis.data.pairs import index_pairs
from visavis.metrics import all_pairs_curve, equal_error_rate

PHOTOS, PEOPLE, SAMPLE = 13_233, 5_749, 5_000_000


def cpu_of(*command: str) -> float:
    """Return the median CPU seconds of a command in fresh processes."""
    spent = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(spent)


def embeddings() -> tuple[np.ndarray, np.ndarray]:
    """Generate as many embeddings as LFW has photos, in clusters."""
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.arange(PEOPLE), rng.integers(0, PEOPLE, PHOTOS - PEOPLE)])
    rows = rng.standard_normal((PEOPLE, 128))[labels] + rng.standard_normal((PHOTOS, 128))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), labels


def all_pairs() -> dict[str, float]:
    """Measure time and memory for all pairs, and the time per pair against scikit-learn on a sample."""
    rows, labels = embeddings()
    start, cpu = time.perf_counter(), time.process_time()
    curve = all_pairs_curve(rows, labels)
    eer, _ = equal_error_rate(curve)
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    rng = np.random.default_rng(1)
    first, second = rng.integers(0, PHOTOS, (2, SAMPLE))
    scores, mated = np.einsum("md,md->m", rows[first], rows[second]), labels[first] == labels[second]
    start = time.perf_counter()
    roc_curve(mated, scores)
    theirs = (time.perf_counter() - start) / SAMPLE
    pairs = curve.mated + curve.nonmated
    return {
        "pairs": pairs,
        "wall_seconds": wall,
        "cpu_seconds": cpu,
        "peak_bytes": peak,
        "eer": eer,
        "times_faster_than_scikit_learn_per_pair": theirs / (wall / pairs),
    }


def main() -> None:
    """Measure everything."""
    if sys.argv[1:] == ["all-pairs"]:
        print(json.dumps(all_pairs()))
        return
    result = subprocess.run([sys.executable, __file__, "all-pairs"], check=True, capture_output=True, text=True)
    figures: dict[str, Any] = {"all_pairs": json.loads(result.stdout)}
    figures["cpu_seconds_of_import"] = cpu_of(sys.executable, "-c", "import visavis")
    figures["cpu_seconds_of_help"] = cpu_of(os.path.join(os.path.dirname(sys.executable), "visavis"), "--help")
    people = np.random.default_rng(0).integers(0, 100_000, 1_000_000)
    start = time.perf_counter()
    index_pairs(people)
    figures["seconds_for_pairs_of_a_million_photos"] = time.perf_counter() - start
    figures["generated_faces_per_second"] = {}
    for workers in (1, os.cpu_count() or 1):
        start = time.perf_counter()
        generate_faces(1600, 10, options=RenderOptions(workers=workers))
        figures["generated_faces_per_second"][f"{workers} processes"] = 16_000 / (time.perf_counter() - start)
    print(figures)
    write_result("basics", figures)


if __name__ == "__main__":
    main()
