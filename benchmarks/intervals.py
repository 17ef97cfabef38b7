"""Do the intervals hold the truth as often as they say?

    python benchmarks/intervals.py                       # made-up people
    python benchmarks/faces.py && python benchmarks/intervals.py --lfw

The truth is that of a population. Of it some people are drawn, all pairs of their photos are evaluated as `visavis evaluate` does,
and every interval of 95 % either holds the population's rate or does not; so many hundred times. The population is either made up
(each person a place on the sphere and a spread of their photos about it, both of them drawn) or all people of LFW, at most ten
photos of each, by the encoder that comes with visavis; how good that is on LFW does not matter here. Beside them stands what
Wilson's interval would hold if all pairs were taken for independent.

Writes `results/intervals.json`. Last figures: see `results/`.
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


def made_up(people: int, rng: np.random.Generator, size: int = 24) -> tuple[Embeddings, Labels]:
    """People of one to seven photos each: some steadier than others, some more like everybody."""
    labels = np.repeat(np.arange(people), rng.integers(1, 8, people))
    centres = rng.standard_normal((people, size)) + 0.5 * rng.standard_exponential((people, 1))
    spread = 0.55 * np.exp(0.35 * rng.standard_normal(people))
    rows = centres[labels] + spread[labels, None] * rng.standard_normal((len(labels), size))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), labels


def of_lfw() -> tuple[Embeddings, Labels]:
    """LFW, ten photos of a person at most: more than half of all its mated pairs are of one man, whom few draws have."""
    faces, embeddings = embedded("pretrained", load_encoder("pretrained"), "lfw")
    place = np.arange(len(faces)) - np.searchsorted(faces.labels, faces.labels)  # photos stand person by person
    return embeddings[place < MOST_PHOTOS], faces.labels[place < MOST_PHOTOS]


def some_of(embeddings: Embeddings, labels: Labels) -> People:
    """Draw people of a population that is there, without putting them back."""

    def draw(people: int, rng: np.random.Generator) -> tuple[Embeddings, Labels]:
        chosen = np.isin(labels, rng.choice(labels.max() + 1, people, replace=False))
        return embeddings[chosen], labels[chosen]

    return draw


def covered(draw: People, truth: dict[str, float], threshold: float, people: int, draws: int) -> dict[str, Any]:
    """The part of draws in which each interval holds the truth."""
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
    """The rates of all people, and the threshold of their false match rate of `FMR`, at which they are taken."""
    curve = all_pairs_curve(embeddings, labels)
    threshold = float(curve.thresholds[np.flatnonzero(curve.fmr <= FMR)[-1]])
    decisions = curve.at(threshold)
    truth = {"fmr": decisions.fmr.value, "fnmr": decisions.fnmr.value}
    truth |= {"eer": equal_error_rate(curve)[0], "roc_auc": roc_auc(curve), "tar_at_fmr_1e-2": tar_at_fmr(curve, FMR).value}
    return truth, threshold


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--lfw", action="store_true", help="also draw people of LFW")
    options = parser.parse_args()
    populations: dict[str, tuple[tuple[Embeddings, Labels], People, tuple[int, ...]]] = {
        "made up": (made_up(4000, np.random.default_rng(0)), made_up, (40, 100, 300))
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
