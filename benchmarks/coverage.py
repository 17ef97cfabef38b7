"""Do 95 % intervals hold the truth in every kind of population, and do guaranteed thresholds keep their targets?

    python benchmarks/coverage.py [--draws 400] [--people 10,30,100,300] [--real]
    python benchmarks/coverage.py --summary

The truth is that of a population; samples of people are drawn from it, all pairs of their photos are evaluated as
`visavis evaluate` does, and each interval either holds the truth or does not. A cell of the grid is a number of people, photos per
person (four each, or Pareto with at most 60), people (homogeneous, or with 5 % wolves who match many others and 5 % goats who do
not match themselves) and an encoder (ordinary, good, or nearly without errors). A cell fails where the exact 99.9 % upper
confidence bound of a coverage is below 92 %. Rates that the report marks as extrapolated are left out.

Beside them stand the widths of Wilson's interval on pairs, of the plain bootstrap over people and of the Bayesian bootstrap; how
often prediction intervals hold the rates of the next sample, guaranteed thresholds exceed their target, two equally good models are
called different, a better model is found, and random quality is said to help.

`--real` adds samples of the people of LFW and of people in the wild, by the bundled encoder: needs `runs/lfw-faces` and
`runs/wild-faces`, see `recipes/README.md`. Every finished cell is written to `results/coverage.json` at once, and is not computed
again by a later run with as many draws. About 2 hours on one core; `--people 10,30` takes 10 minutes.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from decisions import embedded
from record import RESULTS, write_result
from scipy.stats import beta

from visavis.encoders import load_encoder
from visavis.errors import DataError
from visavis.evaluation import Claims, Evaluation
from visavis.evaluation.compare import MIN_PEOPLE
from visavis.evaluation.protocols import evaluate_scores
from visavis.metrics import (
    ErrorCurve,
    Rate,
    equal_error_rate,
    error_curve,
    roc_auc,
    score_all_pairs,
    tar_at_fmr,
    threshold_at_fmr,
)
from visavis.metrics.bootstrap import CurveRows, paired_limits
from visavis.metrics.calibration import Calibration, fit_calibration
from visavis.metrics.operating_points import Population, choose_operating_point
from visavis.metrics.quality import evaluate_quality
from visavis.metrics.reliability import cllr
from visavis.metrics.scores import PairScores, list_scores

Floats = npt.NDArray[np.float64]
Truth = dict[str, float]

PEOPLE = (10, 30, 100, 300)
ENCODERS = {"ordinary": 2.5, "good": 5.0, "zero-error": 9.0}
KINDS, PHOTOS = ("homogeneous", "wolves"), ("balanced", "Pareto")
MEASURES = ("fmr", "fnmr", "eer", "roc_auc", "tar_at_fmr_1e-2", "tar_at_fmr_1e-3", "accuracy", "cllr")
TARGETS = (0.1, 0.01)
FMR = 0.01
LOWEST, CONFIDENCE, TAIL = 0.92, 0.999, 0.025
_SCALE = 20  # scores in standard deviations become cosines
_TRUTH_PAIRS = 1_000_000
_KEEP_ALL, _MIN_KEPT, _KEPT_PER_EER = 1000, 0.06, 1.5  # as in `visavis.metrics.scores`


def effects(kind: str, people: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return how much each person's scores with others, and with themselves, differ from the average."""
    pull, own = rng.normal(0, 0.25, people), rng.normal(0, 0.3, people)
    if kind == "wolves":
        pull = pull + 3.0 * (rng.random(people) < 0.05)
        own = own - 2.0 * (rng.random(people) < 0.05)
    return pull, own


def sample(
    kind: str, photos: str, shifts: tuple[float, ...], people: int, rng: np.random.Generator, *, floor: float = -np.inf
) -> list[PairScores]:
    """Draw people, and score all pairs of their photos by one encoder for each shift of the mated scores.

    Of more than 1,000 photos, non-mated scores below `floor` are only counted in bins, as `score_all_pairs` does.
    """
    pull, own = effects(kind, people, rng)
    count = np.full(people, 4) if photos == "balanced" else np.minimum(60, np.floor(2 * (1 + rng.pareto(1.2, people)))).astype(int)
    labels = np.repeat(np.arange(people), count)
    first, second = np.triu_indices(len(labels), 1)
    one, other = labels[first], labels[second]
    pairs, same = np.stack([first, second], axis=1), one == other
    mean = np.where(same, own[one], pull[one] + pull[other]).astype(np.float32)
    drawn = []
    for shift in shifts:
        scores = rng.standard_normal(len(pairs), dtype=np.float32)
        scores += mean
        scores[same] += np.float32(shift)
        listed = list_scores(labels, pairs, scores / np.float32(_SCALE))
        drawn.append(counted(listed, floor) if len(labels) > _KEEP_ALL else listed)
    return drawn


def counted(scores: PairScores, floor: float) -> PairScores:
    """Keep non-mated scores from `floor` on, and count all in bins of width 2^-15."""
    bins = np.bincount((scores.nonmated.scores * np.float32(2**15)).astype(np.int32) + 2**15, minlength=2**16 + 1)
    kept = scores.nonmated.where(scores.nonmated.scores >= floor)
    return replace(scores, nonmated=kept, floor=float(floor), bins=bins)


def truth_of(kind: str, shift: float) -> ErrorCurve:
    """Return the curve of the population, of some million independent pairs."""
    rng = np.random.default_rng(0)
    pull, own = effects(kind, _TRUTH_PAIRS, rng)
    nonmated = pull + effects(kind, _TRUTH_PAIRS, rng)[0] + rng.normal(size=_TRUTH_PAIRS)
    mated = shift + own + rng.normal(size=_TRUTH_PAIRS)
    return error_curve((np.concatenate([mated, nonmated]) / _SCALE).astype(np.float32), np.repeat([1, 0], _TRUTH_PAIRS))


class Cell:
    """One cell of the grid: what is counted over its draws.

    Attributes:
        truth: The curve of the population.
        population: Its measures.
        claims: The threshold and the calibration, which are those of the population.
    """

    def __init__(self, truth: ErrorCurve, calibration: Calibration, threshold: float) -> None:
        """Start to count."""
        self.truth, self.claims = truth, Claims(threshold=threshold, calibration=calibration)
        self.population = population_measures(truth, calibration, threshold)
        self.held: dict[str, list[bool]] = {name: [] for name in MEASURES}
        self.widths: dict[str, dict[str, list[float]]] = {}
        self.given: dict[float, list[bool]] = {target: [] for target in TARGETS}
        self.different: list[bool] = []
        self.better_found: list[bool] = []
        self.quality: list[bool] = []
        self.predicted: dict[str, list[bool]] = {"fmr": [], "fnmr": []}
        self._last: Evaluation | None = None

    def add(self, scores: PairScores, seed: int) -> Evaluation:
        """Evaluate one draw."""
        result = evaluate_scores(scores, self.claims, name="a draw")
        values = exact(self.population, scores)
        for name, (low, high) in result.intervals.items():
            if name in self.held and name not in result.extrapolated:
                self.held[name].append(bool(low - 1e-9 <= values[name] <= high + 1e-9))
        for name in self.predicted if self._last is not None else ():
            low, high = self._last.predictions[name]
            self.predicted[name].append(bool(low - 1e-9 <= getattr(result.decisions, name).value <= high + 1e-9))
        self._last = result
        self.add_widths(result, scores, seed)
        for target in TARGETS:
            try:
                point = choose_operating_point([Population("a draw", scores)], target)
            except DataError:
                continue
            self.given[target].append(bool(self.truth.at(point.score).fmr.value > target))
        return result

    def add_widths(self, result: Evaluation, scores: PairScores, seed: int) -> None:
        """Measure how wide each kind of interval is."""
        others = {"Bayesian bootstrap": result.resampled_curves, "plain bootstrap": plain(result, seed)}
        rates = result.rates()
        for name in MEASURES:
            row = self.widths.setdefault(name, {})
            low, high = result.intervals[name]
            row.setdefault("visavis", []).append(high - low)
            for kind, curves in others.items():
                low, high = np.quantile(result.measures[name](curves)[1:], [TAIL, 1 - TAIL])
                row.setdefault(kind, []).append(float(high - low))
            if name in rates:
                low, high = Rate(rates[name].count, rates[name].trials).interval
                row.setdefault("Wilson on pairs", []).append(high - low)

    def summary(self) -> dict[str, Any]:
        """Return shares, with the counts behind them."""
        covered = {name: rate(own) for name, own in self.held.items() if own}
        return {
            "covered": covered,
            "predicted": {name: rate(own) for name, own in self.predicted.items()},
            "widths": {name: {kind: float(np.median(own)) for kind, own in row.items()} for name, row in self.widths.items()},
            "exceeded": {f"{target:g}": rate(own) for target, own in self.given.items()},
            "called_different": rate(self.different),
            "better_found": rate(self.better_found),
            "random_quality_helps": rate(self.quality),
            "failures": [name for name, row in covered.items() if row["upper"] < LOWEST],
        }


def rate(happened: list[bool]) -> dict[str, float]:
    """Return count, trials and the exact upper and lower bounds of the share."""
    count, trials = sum(happened), len(happened)
    if not trials:
        return {"count": 0, "trials": 0, "upper": 1.0, "lower": 0.0}
    upper = 1.0 if count == trials else float(beta.ppf(CONFIDENCE, count + 1, trials - count))
    lower = 0.0 if count == 0 else float(beta.ppf(1 - CONFIDENCE, count, trials - count + 1))
    return {"count": count, "trials": trials, "upper": upper, "lower": lower}


def exact(population: Truth, scores: PairScores) -> Truth:
    """Return the measures of the population; accuracy with as many mated pairs to non-mated ones as in the draw."""
    mated, nonmated = len(scores.mated), scores.curve.nonmated
    errors = population["fmr"] * nonmated + population["fnmr"] * mated
    return {**population, "accuracy": 1 - errors / (mated + nonmated)}


def population_measures(truth: ErrorCurve, calibration: Calibration, threshold: float) -> Truth:
    """Return the measures of the curve of a population."""
    at = truth.at(threshold)
    return {
        "fmr": at.fmr.value,
        "fnmr": at.fnmr.value,
        "eer": equal_error_rate(truth)[0],
        "roc_auc": roc_auc(truth),
        "tar_at_fmr_1e-2": tar_at_fmr(truth, 1e-2).value,
        "tar_at_fmr_1e-3": tar_at_fmr(truth, 1e-3).value,
        "cllr": cllr(truth, calibration),
    }


def plain(result: Evaluation, seed: int) -> CurveRows:
    """Return the curves of the plain bootstrap: whole people drawn with replacement."""
    curves = result.curves
    people = len(curves.mated)
    drawn = np.random.default_rng(seed).multinomial(people, np.full(people, 1 / people), size=300)
    weights = np.concatenate([np.ones((1, people)), drawn])
    mated, nonmated = weights @ curves.mated, weights @ curves.nonmated - curves.nonmated.sum(axis=0) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        fmr = np.maximum.accumulate(np.clip(nonmated / nonmated[:, -1:], 0, 1), axis=1)
        rows = CurveRows(curves.thresholds, np.nan_to_num(fmr, nan=1.0), np.nan_to_num(1 - mated / mated[:, -1:], nan=0.0))
    return rows


def compared(one: Evaluation, other: Evaluation) -> bool:
    """Return whether the equal error rates of two models are called different."""
    people = min(one.effective_people, other.effective_people)
    low, high = paired_limits(one.resampled["eer"], other.resampled["eer"], people)
    return people >= MIN_PEOPLE and not low <= 0 <= high


def synthetic(people: int, photos: str, kind: str, encoder: str, draws: int) -> dict[str, Any]:
    """Fill one cell of the grid."""
    shift = ENCODERS[encoder]
    truth = truth_of(kind, shift)
    threshold = threshold_at_fmr(truth_of("homogeneous", shift), FMR)
    cell = Cell(truth, fit_calibration(truth), threshold)
    floor = min(threshold, threshold_at_fmr(truth, max(_MIN_KEPT, _KEPT_PER_EER * equal_error_rate(truth)[0])))
    rates_only = Claims(threshold=threshold)
    for seed in range(draws):
        rng = np.random.default_rng([people, PHOTOS.index(photos), KINDS.index(kind), seed])
        first, second, better = sample(kind, photos, (shift, shift, shift + 1.0), people, rng, floor=floor)
        result, equal, best = cell.add(first, seed), *(evaluate_scores(each, rates_only, name="") for each in (second, better))
        cell.different.append(compared(result, equal))
        cell.better_found.append(compared(result, best))
        quality = rng.permutation(len(first.people)).astype(float)
        cell.quality.append(bool(evaluate_quality(first, quality, threshold=threshold).helps))
    return cell.summary()


def real(name: str, people: int, draws: int) -> dict[str, Any]:
    """Fill a cell with people of a data set, ten photos each at most: more than half of LFW's mated pairs are of one man."""
    faces, embeddings = embedded("pretrained", load_encoder("pretrained"), name)
    place = np.arange(len(faces)) - np.searchsorted(faces.labels, faces.labels)
    kept = place < 10
    rows, labels = embeddings[kept], faces.labels[kept]
    truth = score_all_pairs(rows, labels).curve
    cell = Cell(truth, fit_calibration(truth), threshold_at_fmr(truth, FMR))
    for seed in range(draws):
        rng = np.random.default_rng([people, seed])
        chosen = np.isin(labels, rng.choice(labels.max() + 1, people, replace=False))
        scores = score_all_pairs(rows[chosen], labels[chosen])
        if len(scores.mated):
            cell.add(scores, seed)
            cell.quality.append(bool(evaluate_quality(scores, rng.random(chosen.sum()), threshold=cell.claims.threshold).helps))
    return cell.summary()


def cells(options: argparse.Namespace) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yield name and computation of every cell, small ones first."""
    for people in options.people:
        for kind in KINDS:
            for photos in PHOTOS:
                for encoder in ENCODERS:
                    name = f"{people} people, {photos}, {kind}, {encoder}"
                    yield name, lambda cell=(people, photos, kind, encoder): synthetic(*cell, options.draws)
        for data in ("lfw", "wild") if options.real else ():
            yield f"{people} people of {data}", lambda cell=(data, people): real(*cell, options.draws)


def failures(figures: dict[str, Any]) -> list[str]:
    """Return every coverage, guarantee and finding that misses its target."""
    found = []
    for name, cell in figures.items():
        found += [f"{name}: {measure} covered {_of(cell['covered'][measure])} times" for measure in cell["failures"]]
        for measure, row in cell["predicted"].items():
            if row["upper"] < LOWEST:
                found.append(f"{name}: predicted {measure} met {_of(row)} times")
        for target, row in cell["exceeded"].items():
            if row["trials"] and row["lower"] > 1 - LOWEST:
                found.append(f"{name}: guaranteed FMR {target} exceeded {_of(row)} times")
        for kind in ("called_different", "random_quality_helps"):
            if cell[kind]["lower"] > 0.05:
                found.append(f"{name}: {kind} {_of(cell[kind])} times")
    return found


def _of(row: dict[str, Any]) -> str:
    return f"{row['count']} of {row['trials']}"


def main() -> None:
    """Fill the grid, write, and print what fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--people", type=lambda text: tuple(map(int, text.split(","))), default=PEOPLE)
    parser.add_argument("--real", action="store_true", help="also people of LFW and in the wild")
    parser.add_argument("--summary", action="store_true", help="only print what fails")
    options = parser.parse_args()
    path = Path(RESULTS) / "coverage.json"
    figures: dict[str, Any] = json.loads(path.read_text())["cells"] if path.exists() else {}
    for name, compute in () if options.summary else cells(options):
        if figures.get(name, {}).get("draws", 0) >= options.draws:
            continue
        start = time.process_time()
        figures[name] = {**compute(), "draws": options.draws, "cpu_seconds": round(time.process_time() - start, 1)}
        lowest = min((row["count"] / row["trials"] for row in figures[name]["covered"].values()), default=1.0)
        print(f"{name}: lowest coverage {lowest:.1%}, {figures[name]['cpu_seconds']} s", flush=True)
        write_result("coverage", {"cells": figures})
    print("\n".join(failures(figures)) or "no cell fails")


if __name__ == "__main__":
    main()
