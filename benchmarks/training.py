"""Training steps on TensorFlow, JAX and PyTorch against pytorch-metric-learning, with the same network and the same batches.

    python -m venv runs/torch && runs/torch/bin/pip install torch==2.13.0 pytorch-metric-learning==2.9.0 --editable .
    python benchmarks/training.py [--torch runs/torch/bin/python] [--rounds 9] [--splits 3] [--seconds 40]

The `classic` network on photos of AT&T at 64 x 64 pixels, batches of 64 (16 people, 4 photos each), supervised contrastive loss
over all pairs, AdamW. Our sampler makes and augments all batches in advance, so only the step is compared. Four processes take
steps alternately: photos and pairs per second, and peak memory. Then each trains from random weights, a few steps at a time, for
some seconds, with a validation every 10 steps. Measured is the time to the EER at which pytorch-metric-learning settles (the median
of the later half of its validations), taking the mean of three validations. Compilation is reported separately. Writes
`results/training.json`. About 10 minutes on 2 cores.
"""

import argparse
import os
import statistics
import sys
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
PEER = "pytorch-metric-learning"
BATCHES, STEPS, LOOK = 400, 10, 10
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


def workers(folder: Path, torch: str) -> dict[str, Worker]:
    """Start one process for each library."""
    found = {}
    for backend, python in (("tensorflow", sys.executable), ("jax", sys.executable), ("torch", torch)):
        environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        found[f"ours, {backend}"] = Worker(python, str(HERE / "keras_trainer.py"), str(folder), environment=environment)
    return {**found, PEER: Worker(torch, str(HERE / "torch_trainer.py"), str(folder))}


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


def race(processes: dict[str, Worker], split: Split, *, folder: Path, seed: int, seconds: float) -> dict[str, Looks]:
    """Return seconds of steps and validation EER of each, a few steps at a time."""
    looks: dict[str, Looks] = {name: [] for name in processes}
    for worker in processes.values():
        worker.ask(do="begin", seed=seed)
    while min(own[-1][0] if own else 0.0 for own in looks.values()) < seconds:
        for name, worker in processes.items():
            start = time.perf_counter()
            worker.ask(do="train", steps=LOOK)
            spent = time.perf_counter() - start + (looks[name][-1][0] if looks[name] else 0.0)
            worker.ask(do="embed", path=str(folder / "embeddings.npy"))
            curve = all_pairs_curve(np.load(folder / "embeddings.npy"), split.validation.labels)
            looks[name].append((spent, equal_error_rate(curve)[0]))
    return looks


def main() -> None:
    """Measure steps, then time to the same error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch", default=str(RUNS / "torch" / "bin" / "python"), help="the Python that has PyTorch")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=40.0, help="seconds of steps for each, on each split")
    options = parser.parse_args()
    faces = read_archive(PHOTOS / "att_faces.tar", size=(64, 64), gray=True)
    speeds, memory, rows = None, {}, []
    for seed in range(options.splits):
        split = split_people(faces, fractions=(0.7, 0.3, 0), seed=seed)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            photos = make_batches(split, folder)
            processes = workers(folder, options.torch)
            if speeds is None:
                speeds = throughput(processes, photos=photos, rounds=options.rounds)
                print(speeds, flush=True)
            looks = race(processes, split, folder=folder, seed=seed, seconds=options.seconds)
            memory = {who: worker.ask(do="memory") for who, worker in processes.items()}
            for worker in processes.values():
                worker.__exit__()
        goal = statistics.median(eer for _, eer in looks[PEER][len(looks[PEER]) // 2 :])
        rows.append(
            {"seed": seed, "goal_eer": goal, "seconds": {who: time_to(goal, own) for who, own in looks.items()}, "looks": looks}
        )
        print({**rows[-1], "looks": None}, flush=True)
    seconds = [row["seconds"] for row in rows]
    reached = {}
    for who in seconds[0]:
        times = [row[PEER] / row[who] for row in seconds if row[who] and row[PEER]]
        reached[who] = spread(times) if times else None
    figures = {"throughput": speeds, "peak_megabytes": memory, "times_peer_to_same_eer": reached, "splits": rows}
    command = f"python benchmarks/training.py --rounds {options.rounds} --splits {options.splits} --seconds {options.seconds:g}"
    write_result("training", figures, command=command)


if __name__ == "__main__":
    main()
