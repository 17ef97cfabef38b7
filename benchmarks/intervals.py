"""Coverage of the confidence intervals: how often do 95 % intervals contain the rate of the population?

    python benchmarks/intervals.py                       # synthetic people
    python benchmarks/faces.py && python benchmarks/intervals.py --lfw

A sample of people is drawn from a population, all pairs of their photos are evaluated as `visavis evaluate` does, and each interval
is checked against the rate of the population; several hundred times. The population is either synthetic (each person has a random
centre on the sphere and a random spread of their photos around it), or all people of LFW with at most ten photos each, embedded by
the bundled encoder. For comparison: the coverage of Wilson's interval if all pairs were independent.

Writes `results/intervals.json`. With `--lfw` about an hour on 2 cores.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from decisions import embedded
from record import write_result
from tqdm import trange

from visavis.encoders import load_encoder
from visavis.evaluation import evaluate_all_pairs
from visavis.metrics import Rate, all_pairs_curve, equal_error_rate, roc_auc, tar_at_fmr

Embeddings = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
People = Callable[[int, np.random.Generator], tuple[Embeddings, Labels]]

FMR = 1e-2
MOST_PHOTOS = 10


def synthetic(people: int, rng: np.random.Generator, size: int = 24) -> tuple[Embeddings, Labels]:
    """Draw people with one to seven photos each, who differ in spread and in how close they are to everybody else."""
    labels = np.repeat(np.arange(people), rng.integers(1, 8, people))
    centres = rng.standard_normal((people, size)) + 0.5 * rng.standard_exponential((people, 1))
    spread = 0.55 * np.exp(0.35 * rng.standard_normal(people))
    rows = centres[labels] + spread[labels, None] * rng.standard_normal((len(labels), size))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), labels


def of_lfw() -> tuple[Embeddings, Labels]:
    """Read LFW, at most ten photos per person: more than half of all mated pairs are of a single man."""
    faces, embeddings = embedded("pretrained", load_encoder("pretrained"), "lfw")
    rank = np.arange(len(faces)) - np.searchsorted(faces.labels, faces.labels)  # photos are sorted by person
    return embeddings[rank < MOST_PHOTOS], faces.labels[rank < MOST_PHOTOS]


def some_of(embeddings: Embeddings, labels: Labels) -> People:
    """Return a function that samples people of a population without replacement."""

    def draw(people: int, rng: np.random.Generator) -> tuple[Embeddings, Labels]:
        chosen = np.isin(labels, rng.choice(labels.max() + 1, people, replace=False))
        return embeddings[chosen], labels[chosen]

    return draw


def covered(draw: People, truth: dict[str, float], threshold: float, people: int, draws: int) -> dict[str, Any]:
    """Return the fraction of samples in which each interval contains the true rate."""
    held: dict[str, list[bool]] = {name: [] for name in truth}
    independent: dict[str, list[bool]] = {"fmr": [], "fnmr": []}
    for seed in trange(draws, desc=f"{people} people"):
        embeddings, labels = draw(people, np.random.default_rng([people, seed]))
        found = evaluate_all_pairs(embeddings, labels, threshold=threshold)
        for name, own in held.items():
            low, high = found.intervals[name]
            own.append(low <= truth[name] <= high)
        for name, own in independent.items():
            rate = getattr(found.decisions, name)
            low, high = Rate(rate.count, rate.trials).interval
            own.append(low <= truth[name] <= high)
    return {
        "people": people,
        "draws": draws,
        "covered": {name: float(np.mean(own)) for name, own in held.items()},
        "covered_if_pairs_were_independent": {name: float(np.mean(own)) for name, own in independent.items()},
    }


def population(embeddings: Embeddings, labels: Labels) -> tuple[dict[str, float], float]:
    """Return the rates of a population at its threshold for `FMR`, and that threshold."""
    curve = all_pairs_curve(embeddings, labels)
    threshold = float(curve.thresholds[np.flatnonzero(curve.fmr <= FMR)[-1]])
    decisions = curve.at(threshold)
    truth = {"fmr": decisions.fmr.value, "fnmr": decisions.fnmr.value}
    truth |= {"eer": equal_error_rate(curve)[0], "roc_auc": roc_auc(curve), "tar_at_fmr_1e-2": tar_at_fmr(curve, FMR).value}
    return truth, threshold


def main() -> None:
    """Measure the coverage and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--lfw", action="store_true", help="also sample people of LFW")
    options = parser.parse_args()
    populations: dict[str, tuple[tuple[Embeddings, Labels], People, tuple[int, ...]]] = {
        "synthetic": (synthetic(4000, np.random.default_rng(0)), synthetic, (40, 100, 300))
    }
    if options.lfw:
        lfw = of_lfw()
        populations["LFW"] = (lfw, some_of(*lfw), (300, 600))
    figures: dict[str, Any] = {}
    for name, (whole, draw, sizes) in populations.items():
        truth, threshold = population(*whole)
        rows = [covered(draw, truth, threshold, people, options.draws) for people in sizes]
        figures[name] = {"truth": truth, "threshold": threshold, "samples": rows}
    command = f"python benchmarks/intervals.py --draws {options.draws}{' --lfw' if options.lfw else ''}"
    print(write_result("intervals", figures, command=command).read_text())


if __name__ == "__main__":
    main()
