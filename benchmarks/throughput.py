"""Training: every pair of a batch from one pass, against the brief's two towers, same network, same photos, same run.

    python benchmarks/throughput.py

Measures, in turns, the photos a second that go through forward and backward pass and the pairs a second that the loss sees. Then
lets the two-tower loop (binary cross-entropy on pairs from `generate_image_pairs`, as the brief has it) train for a minute on AT&T
people, and measures how long ours takes to reach the best validation EER that it reached. Ours includes making and changing its
batches; looks at validation people are not counted in either. Writes `results/throughput.json`. Takes about 5 minutes on 2 cores.

Last figures: not run in full yet.
"""

import statistics
import time
from typing import Any

import keras
import numpy as np
from record import PHOTOS, write_result

from visavis.configuration import LOSSES, config_for
from visavis.datasets import Split, read_archive, split_people
from visavis.metrics import all_pairs_curve, equal_error_rate
from visavis.models import build_embedding, build_siamese, embed
from visavis.pairs import generate_image_pairs
from visavis.sampling import Batches

ROUNDS, STEPS, MINUTE = 7, 12, 60.0
PAIRS = 32


def seconds(step: Any, count: int) -> float:
    """Wall time of some steps."""
    start = time.perf_counter()
    for _ in range(count):
        step()
    return time.perf_counter() - start


def two_towers(seed: int = 0) -> tuple[keras.Model, keras.Model]:
    """The brief's model around our network, and that network."""
    network = build_embedding("classic", (64, 64, 1), seed=seed)
    siamese = build_siamese(network)
    siamese.compile(keras.optimizers.AdamW(1e-3), "binary_crossentropy")
    return siamese, network


def one_pass(seed: int = 0) -> keras.Model:
    """Our network, with a loss over every pair of the batch."""
    network = build_embedding("classic", (64, 64, 1), seed=seed)
    network.compile(keras.optimizers.AdamW(2e-3), LOSSES["supervised-contrastive"]())
    return network


def validation_eer(network: keras.Model, split: Split) -> float:
    """Of all pairs of the validation people."""
    return equal_error_rate(all_pairs_curve(embed(network, split.validation.faces), split.validation.labels))[0]


def throughput(split: Split) -> dict[str, Any]:
    """Photos and pairs a second of both, measured in turns."""
    batches = Batches(split.train, config_for(split.train).batch, config_for(split.train).augmentation)
    photos, labels = batches[0]
    pairs, same = generate_image_pairs(split.train.faces, split.train.labels)
    first, second, same = pairs[:PAIRS, 0], pairs[:PAIRS, 1], same[:PAIRS]
    (siamese, _), ours = two_towers(), one_pass()
    steps = {
        "ours": lambda: ours.train_on_batch(photos, labels),
        "two towers": lambda: siamese.train_on_batch([first, second], same),
    }
    for step in steps.values():
        seconds(step, 3)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            times[name].append(seconds(step, STEPS) / STEPS)
    counts = {"ours": (len(photos), len(photos) * (len(photos) - 1) // 2), "two towers": (2 * PAIRS, PAIRS)}
    return {
        name: {
            "photos_per_second": counts[name][0] / statistics.median(own),
            "pairs_per_second": counts[name][1] / statistics.median(own),
            "seconds_per_step": {"median": statistics.median(own), "least": min(own), "most": max(own)},
        }
        for name, own in times.items()
    }


def train_two_towers(split: Split) -> list[tuple[float, float]]:
    """Seconds of training and validation EER, after each epoch of fresh pairs."""
    siamese, network = two_towers()
    siamese.train_on_batch([split.train.faces[:PAIRS]] * 2, np.ones(PAIRS))  # compiles
    siamese, network = two_towers()
    spent, history = 0.0, []
    for epoch in range(1000):
        start = time.perf_counter()
        pairs, same = generate_image_pairs(split.train.faces, split.train.labels, seed=epoch)
        for at in range(0, len(pairs) - PAIRS + 1, PAIRS):
            siamese.train_on_batch([pairs[at : at + PAIRS, 0], pairs[at : at + PAIRS, 1]], same[at : at + PAIRS])
        spent += time.perf_counter() - start
        history.append((spent, validation_eer(network, split)))
        if spent > MINUTE:
            return history
    return history


def train_ours(split: Split, goal: float) -> list[tuple[float, float]]:
    """Likewise, after every 10 batches, until the goal is reached or the two towers' time is spent."""
    config = config_for(split.train)
    batches, network = Batches(split.train, config.batch, config.augmentation), one_pass()
    spent, history = 0.0, []
    for step in range(100_000):
        start = time.perf_counter()
        photos, labels = batches[step]
        network.train_on_batch(photos, labels)
        spent += time.perf_counter() - start
        if step % 10 == 9:
            history.append((spent, validation_eer(network, split)))
            if history[-1][1] <= goal or spent > 2 * MINUTE:
                return history
    return history


def main() -> None:
    """Measure both and write the ratios."""
    faces = read_archive(PHOTOS / "att_faces.tar", size=(64, 64), gray=True)
    split = split_people(faces, fractions=(0.7, 0.3, 0))
    speed = throughput(split)
    theirs = train_two_towers(split)
    seconds_there, goal = min(theirs, key=lambda row: (row[1], row[0]))
    ours = train_ours(split, goal)
    seconds_here, reached = ours[-1]
    ratios = {name: speed["ours"][name] / speed["two towers"][name] for name in ("photos_per_second", "pairs_per_second")}
    figures = {
        "throughput": speed,
        "ratios": {**ratios, "time_to_same_validation_eer": seconds_there / seconds_here},
        "best_validation_eer_of_two_towers": {"eer": goal, "seconds": seconds_there},
        "ours": {"eer": reached, "seconds": seconds_here, "includes_compilation": True},
        "two_towers_history": theirs,
        "our_history": ours,
    }
    print({name: figures[name] for name in ("throughput", "ratios", "best_validation_eer_of_two_towers", "ours")})
    write_result("throughput", figures, command="python benchmarks/throughput.py")


if __name__ == "__main__":
    main()
