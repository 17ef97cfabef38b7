"""Training with all pairs of a batch from one pass, against two towers fed with pairs: same network, photos and run.

    python benchmarks/throughput.py

Measures, alternating, the photos per second through forward and backward pass, and the pairs per second in the loss. Then the
two-tower loop (binary cross-entropy on pairs from `generate_image_pairs`, as in the brief) trains for 40 seconds on people of AT&T,
on three splits. Measured is the time either side takes to reach the level at which the two-tower loop settles (the median of its
later validations), taking the mean of three validations. Ours includes making and augmenting batches and the EMA of the weights;
validation is counted on neither side. Writes `results/throughput.json`. About 5 minutes on 2 cores.
"""

import statistics
import time
from typing import Any

import keras
import numpy as np
from measure import time_to
from record import PHOTOS, write_result

from visavis.data import Split, read_archive, split_people
from visavis.data.pairs import generate_image_pairs
from visavis.metrics import all_pairs_curve, equal_error_rate
from visavis.models import build_embedding, build_siamese, embed
from visavis.training.augmentation import Augmentation
from visavis.training.batches import Batches, BatchShape
from visavis.training.configuration import LOSSES, config_for

ROUNDS, STEPS, MINUTE, SPLITS = 7, 12, 40.0, 3
LIGHT = Augmentation(rotation=5, scale=0.06, shift=0.03, contrast=0.15, gamma=1.2, side_light=0.2, cutout=0.2, noise=3, blur=0)
PAIRS = 32


def seconds(step: Any, count: int) -> float:
    """Return the wall time of some steps."""
    start = time.perf_counter()
    for _ in range(count):
        step()
    return time.perf_counter() - start


def two_towers(seed: int = 0) -> tuple[keras.Model, keras.Model]:
    """Build the brief's model around our network, and return both."""
    network = build_embedding("classic", (64, 64, 1), seed=seed)
    siamese = build_siamese(network)
    siamese.compile(keras.optimizers.AdamW(1e-3), "binary_crossentropy", jit_compile=False)
    return siamese, network


def one_pass(seed: int = 0) -> keras.Model:
    """Build our network with a loss over all pairs of the batch."""
    network = build_embedding("classic", (64, 64, 1), seed=seed)
    network.compile(keras.optimizers.AdamW(2e-3), LOSSES["contrastive"](margin=1.4), jit_compile=False)
    return network


def validation_eer(network: keras.Model, split: Split) -> float:
    """Return the EER over all pairs of the validation people."""
    return equal_error_rate(all_pairs_curve(embed(network, split.validation.faces), split.validation.labels))[0]


def throughput(split: Split) -> dict[str, Any]:
    """Measure photos and pairs per second of both, alternating."""
    batches = Batches(split.train, BatchShape(people=16, photos=4), config_for(split.train).augmentation)
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
    """Return seconds of training and validation EER after each epoch of fresh pairs."""
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


def train_ours(split: Split) -> list[tuple[float, float]]:
    """Return seconds and validation EER after every 5 batches, with the EMA of the weights as in `train`."""
    batches, network = Batches(split.train, BatchShape(people=16, photos=4), LIGHT), one_pass()
    network.train_on_batch(*batches[0])  # builds
    network.set_weights(one_pass().get_weights())
    spent, history = 0.0, []
    mean = [np.array(value) for value in network.get_weights()]
    for step in range(1, 1000):
        start = time.perf_counter()
        network.train_on_batch(*batches[step])
        for kept, value in zip(mean, network.get_weights(), strict=True):
            kept += (1 - min(0.995, (1 + step) / (10 + step))) * (value - kept)
        spent += time.perf_counter() - start
        if step % 5 == 0:
            weights = network.get_weights()
            network.set_weights(mean)
            history.append((spent, validation_eer(network, split)))
            network.set_weights(weights)
        if spent > MINUTE / 2:
            return history
    return history


def main() -> None:
    """Measure both and write the ratios."""
    faces = read_archive(PHOTOS / "att_faces.tar", size=(64, 64), gray=True)
    speeds, rows = None, []
    for seed in range(SPLITS):
        split = split_people(faces, fractions=(0.7, 0.3, 0), seed=seed)
        speeds = speeds or throughput(split)
        theirs, ours = train_two_towers(split), train_ours(split)
        goal = float(np.median([eer for _, eer in theirs[len(theirs) // 2 :]]))
        row = {"seed": seed, "goal_eer": goal, "two_towers": time_to(goal, theirs), "ours": time_to(goal, ours)}
        row["least_eer"] = {"two_towers": min(eer for _, eer in theirs), "ours": min(eer for _, eer in ours)}
        rows.append({**row, "two_towers_history": theirs, "our_history": ours})
        print(row, flush=True)
    ratios = {name: speeds["ours"][name] / speeds["two towers"][name] for name in ("photos_per_second", "pairs_per_second")}
    reached = [row["two_towers"] / row["ours"] for row in rows if row["ours"] and row["two_towers"]]
    ratios["time_to_same_validation_eer"] = {"median": statistics.median(reached), "all": reached, "splits": SPLITS}
    print(speeds, ratios)
    write_result("throughput", {"throughput": speeds, "ratios": ratios, "splits": rows})


if __name__ == "__main__":
    main()
