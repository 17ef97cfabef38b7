"""Error rates over all pairs, up to the size of LFW, against scikit-learn on the same scores.

    python benchmarks/allpairs.py [--rounds 5] [--largest 13233]

Embeddings in clusters, 1,000 to 13,233 photos. Ours counts scores in blocks; scikit-learn's `roc_curve` gets the scores of all
pairs from one matrix product. Both alternate, each in its own process, which also gives the peak memory. Their EER must agree.
At 6,000 photos a whole evaluation, with and without intervals, is measured against one matrix product of all embeddings. Writes
`results/allpairs.json`. About 10 minutes on 2 cores, and 8 GB of memory.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from answering import answer
from measure import Worker, in_turns, ratio, spread
from record import write_result
from sklearn.metrics import roc_curve

from visavis.evaluation import evaluate_all_pairs
from visavis.metrics import all_pairs_curve, equal_error_rate

SIZES = (1000, 2000, 4000, 8000, 13_233)


def embeddings(photos: int, *, spread: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Generate embeddings with 2.3 photos per person, as in LFW; the smaller the spread, the fewer errors."""
    rng, people = np.random.default_rng(0), round(photos * 5749 / 13_233)
    labels = np.concatenate([np.arange(people), rng.integers(0, people, photos - people)])
    rows = rng.standard_normal((people, 128))[labels] + spread * rng.standard_normal((photos, 128))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), labels


def ours(photos: int) -> dict[str, float]:
    """Return seconds and EER with visavis."""
    rows, labels = embeddings(photos)
    start = time.perf_counter()
    eer, _ = equal_error_rate(all_pairs_curve(rows, labels))
    return {"seconds": time.perf_counter() - start, "eer": eer}


def theirs(photos: int) -> dict[str, float]:
    """Return seconds and EER with scikit-learn."""
    rows, labels = embeddings(photos)
    start = time.perf_counter()
    upper = np.tri(photos, k=-1, dtype=bool)
    scores, mated = (rows @ rows.T)[upper], (labels[:, None] == labels)[upper]
    fmr, tar, _ = roc_curve(mated, scores)
    nearest = np.argmin(np.abs(fmr - (1 - tar)))
    return {"seconds": time.perf_counter() - start, "eer": float(fmr[nearest] + 1 - tar[nearest]) / 2}


def measure_size(photos: int, rounds: int) -> dict[str, Any]:
    """Measure both alternately, each in its own process for this size."""
    names = ("ours", "scikit-learn")
    workers = {name: Worker(sys.executable, str(Path(__file__)), name) for name in names}
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, worker in workers.items():
            measured[name].append(worker.ask(do="measure", photos=photos))
    memory = {name: worker.ask(do="memory") for name, worker in workers.items()}
    for worker in workers.values():
        worker.__exit__()
    seconds = {name: [row["seconds"] for row in measured[name]] for name in names}
    return {
        "photos": photos,
        "pairs": photos * (photos - 1) // 2,
        "seconds": {name: spread(seconds[name]) for name in names},
        "peak_megabytes": memory,
        "eer": {name: measured[name][0]["eer"] for name in names},
        "times_faster": ratio(seconds["scikit-learn"], seconds["ours"]),
    }


def evaluation(rounds: int, photos: int = 6000) -> dict[str, Any]:
    """Measure an evaluation, with and without intervals, against one matrix product of all embeddings, alternately."""
    rows, labels = embeddings(photos, spread=1.5)
    runs = {
        "product": lambda: rows @ rows.T,
        "error rates": lambda: evaluate_all_pairs(rows, labels),
        "evaluation": lambda: evaluate_all_pairs(rows, labels).intervals,
    }
    times = in_turns(runs, rounds=rounds)
    return {
        "photos": photos,
        "eer": evaluate_all_pairs(rows, labels).eer,
        "seconds": {name: spread(own) for name, own in times.items()},
        "products_without_intervals": ratio(times["error rates"], times["product"]),
        "products": ratio(times["evaluation"], times["product"]),
    }


def main() -> None:
    """Measure every size."""
    if sys.argv[1:] in (["ours"], ["scikit-learn"]):
        answer({"measure": ours if sys.argv[1] == "ours" else theirs})
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--largest", type=int, default=SIZES[-1])
    options = parser.parse_args()
    rows = []
    for photos in SIZES:
        if photos <= options.largest:
            rows.append(measure_size(photos, options.rounds))
            print(rows[-1], flush=True)
    write_result("allpairs", {"sizes": rows, "evaluation": evaluation(3 * options.rounds), "rounds": options.rounds})


if __name__ == "__main__":
    main()
