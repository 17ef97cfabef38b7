"""Are people as many as a refusal advises accepted, and do guaranteed thresholds keep their target at the limit of refusal?

    python benchmarks/guarantees.py [--draws 400]

The populations are those of `coverage.py`. For each of them and each target, a small sample of people is refused with the advice
to take about so many people. Then as many other people are drawn, and either get a threshold or not: at least 90 % should. At the
limit of refusal (about the people that the message advises, without its margin) samples are drawn until so many were given a
threshold, lucky ones or not, and the true false match rate at each threshold is compared with the target: it may exceed it in 5 %.

Non-mated scores do not depend on the encoder here, so there is one cell for each target, people and photos per person. Writes
`results/guarantees.json`. About 25 minutes on one core.
"""

import argparse
import re
from typing import Any

import numpy as np
from coverage import ENCODERS, KINDS, LOWEST, PHOTOS, rate, sample, truth_of
from record import write_result

from visavis.errors import DataError
from visavis.metrics import threshold_at_fmr
from visavis.metrics.operating_points import Population, choose_operating_point
from visavis.metrics.scores import PairScores

TARGETS = {0.1: 30, 0.01: 100}  # and how many people are refused first
SHIFT = ENCODERS["good"]
MARGIN = 1.3  # of the advice over what the rule asks for, see `visavis.metrics.operating_points`
MOST = 5  # draws at the limit of refusal for each that is to be given a threshold


def given(scores: PairScores, target: float) -> float | None:
    """Return the guaranteed threshold; None: it is refused."""
    try:
        return choose_operating_point([Population("these people", scores)], target).score
    except DataError:
        return None


def advised(scores: PairScores, target: float) -> int:
    """Return how many people a refusal advises to take."""
    try:
        choose_operating_point([Population("these people", scores)], target)
    except DataError as error:
        number = re.search(r"Take about ([\d,]+) people", str(error))
        assert number is not None, error
        return int(number[1].replace(",", ""))
    raise AssertionError(f"so few people were not refused for {target:g}")


def cell(kind: str, photos: str, target: float, draws: int) -> dict[str, Any]:
    """Draw people as many as advised, and at the limit."""
    truth = truth_of(kind, SHIFT)
    floor = threshold_at_fmr(truth, max(0.06, 2 * target))

    def drawn(people: int, *seed: int) -> PairScores:
        rng = np.random.default_rng([people, *seed, PHOTOS.index(photos), KINDS.index(kind)])
        return sample(kind, photos, (SHIFT,), people, rng, floor=floor)[0]

    advice = [advised(drawn(TARGETS[target], 1, seed), target) for seed in range(draws)]
    accepted, exceeded = [], []
    for seed, people in enumerate(advice):
        score = given(drawn(people, 2, seed), target)
        accepted.append(score is not None)
        if score is not None:
            exceeded.append(bool(truth.at(score).fmr.value > target))
    limit, at_limit, tried = int(np.ceil(np.median(advice) / MARGIN)), [], 0
    while all(given(drawn(limit, 4, seed), target) is None for seed in range(10)):
        limit = int(np.ceil(1.02 * limit))
    while len(at_limit) < draws and tried < MOST * draws:
        score = given(drawn(limit, 3, tried), target)
        tried += 1
        if score is not None:
            at_limit.append(bool(truth.at(score).fmr.value > target))
    return {
        "advised": {"median": float(np.median(advice)), "lowest": min(advice), "highest": max(advice)},
        "accepted": rate(accepted),
        "exceeded": rate(exceeded),
        "limit": {"people": limit, "tried": tried, "exceeded": rate(at_limit)},
    }


def main() -> None:
    """Fill the cells, write, and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=400)
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    for target in TARGETS:
        for kind in KINDS:
            for photos in PHOTOS:
                name = f"FMR {target:g}, {photos}, {kind}"
                figures[name] = cell(kind, photos, target, options.draws)
                print(name, figures[name], flush=True)
                write_result("guarantees", {"cells": figures})
    for name, row in figures.items():
        if row["accepted"]["upper"] < 0.9:
            print(f"{name}: of draws of people as many as advised, {row['accepted']} were accepted")
        for exceeded in (row["exceeded"], row["limit"]["exceeded"]):
            if exceeded["lower"] > 1 - LOWEST:
                print(f"{name}: guaranteed thresholds exceeded the target: {exceeded}")


if __name__ == "__main__":
    main()
