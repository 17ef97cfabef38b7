"""Training steps on TensorFlow, JAX and PyTorch against pytorch-metric-learning, with the same network and the same batches.

    for backend in tensorflow jax torch; do
        python -m venv runs/$backend && runs/$backend/bin/pip install --editable ".[$backend]"
    done
    runs/torch/bin/pip install pytorch-metric-learning==2.9.0
    python benchmarks/training.py [--rounds 9] [--splits 12] [--steps 160] [--backends tensorflow,jax,torch] [--out training]

The `classic` network on photos of AT&T at 64 x 64 pixels, batches of 64 (16 people, 4 photos each), supervised contrastive loss
over all pairs, AdamW. Our sampler makes and augments all batches in advance, so only the step is compared. Four processes take
steps alternately: photos and pairs per second, and peak memory, the median of the splits. Each backend has an environment of its
own, because TensorFlow loads JAX where it finds it.

Then each trains from random weights, with a validation every 10 steps, on several splits. The EER of 12 people scatters by one
percentage point from one validation to the next, so the time to an EER on one split is chance. Measured is the time to one EER on
the mean curves of all splits: the median of the later halves of both sides' curves, taking the mean of three validations. The
interval is the bootstrap over the splits. Ours are validated by averaged weights, as `visavis.train` does, and besides by the
weights of the last step, as pytorch-metric-learning is. Compilation is reported separately. Writes `results/training.json`. About
12 minutes on 2 cores.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from measure import Worker, in_turns, ratio, spread, time_to
from record import PHOTOS, RUNS, write_result

from visavis.data import Split, read_archive, split_people
from visavis.metrics import all_pairs_curve, equal_error_rate
from visavis.training.augmentation import Augmentation
from visavis.training.batches import Batches, BatchShape

HERE = Path(__file__).parent
BACKENDS = ("tensorflow", "jax", "torch")
PEER, LAST = "pytorch-metric-learning", ", last weights"
BATCHES, STEPS, LOOK, RESAMPLES = 160, 10, 10, 500
LIGHT = Augmentation(rotation=5, scale=0.06, shift=0.03, contrast=0.15, gamma=1.2, side_light=0.2, cutout=0.2, noise=3, blur=0)
Looks = list[tuple[float, float]]


def make_batches(split: Split, folder: Path) -> int:
    """Write the batches and the validation people for all workers; return the photos in a batch."""
    batches = Batches(split.train, BatchShape(16, 4), LIGHT)
    made = [batches[step] for step in range(BATCHES)]
    np.save(folder / "photos.npy", np.stack([photos for photos, _ in made]))
    np.save(folder / "labels.npy", np.stack([labels for _, labels in made]))
    np.save(folder / "validation.npy", split.validation.faces)
    return batches.size


def workers(folder: Path, backends: list[str]) -> dict[str, Worker]:
    """Start one process for each library."""
    found = {}
    for backend in backends:
        environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        found[f"ours, {backend}"] = Worker(python_of(backend), str(HERE / "keras_trainer.py"), str(folder), environment=environment)
    return {**found, PEER: Worker(python_of("torch"), str(HERE / "torch_trainer.py"), str(folder))}


def python_of(backend: str) -> str:
    """Return the Python of a backend's environment."""
    return str(RUNS / backend / "bin" / "python")


def throughput(processes: dict[str, Worker], *, photos: int, rounds: int) -> dict[str, Any]:
    """Measure photos and pairs per second, alternating."""
    first = {}
    for name, worker in processes.items():
        start = time.perf_counter()
        worker.ask(do="train", steps=1)
        first[name] = time.perf_counter() - start
    steps = {name: lambda worker=worker: worker.ask(do="train", steps=STEPS) for name, worker in processes.items()}
    times = in_turns(steps, rounds=rounds)
    return {
        name: {
            "photos_per_second": spread(photos * STEPS / np.array(seconds)),
            "pairs_per_second": spread(photos * (photos - 1) // 2 * STEPS / np.array(seconds)),
            "times_peer": ratio(times[PEER], seconds),
            "seconds_of_first_step": first[name],
        }
        for name, seconds in times.items()
    }


def race(processes: dict[str, Worker], split: Split, *, folder: Path, seed: int, steps: int) -> dict[str, Looks]:
    """Return seconds of steps and validation EER of each, a few steps at a time."""
    looks: dict[str, Looks] = {}
    spent = dict.fromkeys(processes, 0.0)
    for worker in processes.values():
        worker.ask(do="begin", seed=seed)
    for _ in range(steps // LOOK):
        for name, worker in processes.items():
            start = time.perf_counter()
            worker.ask(do="train", steps=LOOK)
            spent[name] += time.perf_counter() - start
            for averaged in (False,) if name == PEER else (True, False):
                worker.ask(do="embed", path=str(folder / "embeddings.npy"), averaged=averaged)
                curve = all_pairs_curve(np.load(folder / "embeddings.npy"), split.validation.labels)
                key = name if averaged or name == PEER else f"{name}{LAST}"
                looks.setdefault(key, []).append((spent[name], equal_error_rate(curve)[0]))
    return looks


def seconds_to_one_eer(looks: dict[str, np.ndarray]) -> dict[str, float]:
    """Return the seconds of each side to the same EER, from the looks `(splits, looks, 2)` of each; infinite if not reached."""
    means = {who: own.mean(axis=0) for who, own in looks.items()}
    goal = statistics.median(eer for own in means.values() for _, eer in own[len(own) // 2 :])
    return {who: time_to(goal, [tuple(look) for look in own]) or np.inf for who, own in means.items()}


def times_peer(looks: dict[str, np.ndarray], who: str) -> dict[str, float]:
    """Return how many times as fast as the peer a side reached one EER, with the 95 % interval of the bootstrap over splits."""
    rng, count = np.random.default_rng(0), len(looks[PEER])

    def times(splits: np.ndarray) -> float:
        seconds = seconds_to_one_eer({name: looks[name][splits] for name in (who, PEER)})
        return seconds[PEER] / seconds[who]

    low, high = np.nanquantile([times(rng.integers(0, count, count)) for _ in range(RESAMPLES)], [0.025, 0.975], method="nearest")
    return {"median": float(times(np.arange(count))), "least": float(low), "most": float(high)}


def main() -> None:
    """Measure steps, then time to the same error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--splits", type=int, default=12)
    parser.add_argument("--steps", type=int, default=160)
    parser.add_argument("--backends", default=",".join(BACKENDS), help="of ours, separated by commas")
    parser.add_argument("--out", default="training", help="name of the file in results/")
    options = parser.parse_args()
    faces = read_archive(PHOTOS / "att_faces.tar", size=(64, 64), gray=True)
    speeds: dict[str, Any] = {}
    memory: dict[str, list[float]] = {}
    rows: list[dict[str, Looks]] = []
    for seed in range(options.splits):
        split = split_people(faces, fractions=(0.7, 0.3, 0), seed=seed)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            photos = make_batches(split, folder)
            processes = workers(folder, options.backends.split(","))
            speeds = speeds or throughput(processes, photos=photos, rounds=options.rounds)
            rows.append(race(processes, split, folder=folder, seed=seed, steps=options.steps))
            for who, worker in processes.items():
                memory.setdefault(who, []).append(worker.ask(do="memory"))
                worker.__exit__()
        print(seed, memory, {who: own[-1] for who, own in rows[-1].items()}, flush=True)
    looks = {who: np.array([row[who] for row in rows]) for who in rows[0]}
    figures = {
        "throughput": speeds,
        "peak_megabytes": {who: statistics.median(own) for who, own in memory.items()},
        "splits": options.splits,
        "times_peer_to_same_eer": {who: times_peer(looks, who) for who in looks},
        "mean_eers": {who: [round(float(eer), 4) for eer in own[:, :, 1].mean(axis=0)] for who, own in looks.items()},
    }
    write_result(options.out, figures)


if __name__ == "__main__":
    main()
