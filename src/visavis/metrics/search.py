"""Identification (1:N): FNIR, FPIR, rank 1 and CMC of searches in a gallery of some of the people."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from visavis.errors import DataError, check_option
from visavis.metrics.curves import Rate, equal_error_rate, error_curve, tar_at_fmr
from visavis.metrics.intervals import people_interval
from visavis.metrics.scores import cosine_scores, scored_blocks, unit_rows
from visavis.wording import counted

__all__ = ["Growth", "Reference", "SearchEvaluation", "evaluate_search", "rate_of_any", "reference_scores"]

Reference = Literal["mean", "best"]
_RANKS = 10


@dataclass(frozen=True)
class Growth:
    """False positives with some number of people enrolled.

    Attributes:
        enrolled: How many.
        measured: The FPIR that was measured.
        predicted: The FPIR that the false match rate of single comparisons predicts if they are independent: ``1 - (1 - FMR)^n``.
    """

    enrolled: int
    measured: float
    predicted: float


@dataclass(frozen=True)
class SearchEvaluation:
    """Searches of a gallery (ISO/IEC 19795-1: identification).

    Attributes:
        enrolled: How many people are enrolled.
        photos: With how many photos each.
        reference: How these are compared: the `"mean"` of their embeddings, or the `"best"` score of any.
        not_enrolled: How many people who are not enrolled were searched for.
        threshold: The score that a candidate must reach.
        rank1: Searches for enrolled people that have the right one first, whatever the score.
        cmc: The share that has the right one among the first 1 .. 10.
        fnir: False negative identification rate: searches for enrolled people that do not return the right one first with a score
            that reaches the threshold.
        fpir: False positive identification rate: searches for people who are not enrolled that return a candidate.
        growth: False positives by the number of people enrolled.
        reference_eer: Equal error rate of single comparisons of a photo with a person's references.
        reference_tar: Their true accept rate at a false match rate of 0.001.
    """

    enrolled: int
    photos: int
    reference: Reference
    not_enrolled: int
    threshold: float
    rank1: Rate
    cmc: tuple[float, ...]
    fnir: Rate
    fpir: Rate
    growth: tuple[Growth, ...]
    reference_eer: float
    reference_tar: float

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        rates = {name: getattr(self, name).to_json() for name in ("rank1", "fnir", "fpir")}
        plain = {name: value for name, value in vars(self).items() if name not in rates and name != "growth"}
        return {**plain, **rates, "growth": [vars(step) for step in self.growth]}

    def __str__(self) -> str:
        """Return a one-sentence summary."""
        return (
            f"search among {counted(self.enrolled, 'person')}, {counted(self.photos, 'photo')} each "
            f"({self.reference}): rank 1 {self.rank1}, "
            f"at threshold {self.threshold:.3f} FNIR {self.fnir}, FPIR {self.fpir}, "
            f"predicted from single comparisons {self.growth[-1].predicted:.2%}"
        )


def evaluate_search(
    embeddings: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    *,
    threshold: float,
    photos: int = 1,
    reference: Reference = "mean",
    seed: int = 0,
) -> SearchEvaluation:
    """Enrol half of the people who have photos to spare, and search for their other photos and for those of all other people.

    Args:
        embeddings: `(n, d)`, rows of unit length.
        labels: `(n,)`, equal for photos of one person.
        threshold: The score that a candidate must reach.
        photos: How many photos of each are enrolled.
        reference: How these are compared: `"mean"` or `"best"`.
        seed: Draws who is enrolled, and with which photos.

    Raises:
        DataError: If fewer than two people have more than `photos` photos, or if nobody is left who is not enrolled.
        ValueError: If an argument is out of range.
    """
    check_option("reference", reference, Reference)
    if photos < 1:
        raise ValueError(f"photos must be at least 1, got {photos}")
    rng = np.random.default_rng(seed)
    counts = np.bincount(labels)
    able = rng.permutation(np.flatnonzero(counts > photos))
    enrolled = np.sort(able[: max(2, len(able) // 2)])
    if len(able) < 2 or len(enrolled) == np.count_nonzero(counts):
        raise DataError(
            f"a search needs at least two people with {photos + 1} photos or more, and others who are not enrolled, "
            f"got {len(able)} of {np.count_nonzero(counts)}"
        )
    kept = np.concatenate([rng.choice(np.flatnonzero(labels == person), photos, replace=False) for person in enrolled])
    probes = np.setdiff1d(np.arange(len(labels)), kept)
    scores = reference_scores(embeddings[probes], embeddings[kept].reshape(len(enrolled), photos, -1), reference)
    truth = labels[probes][:, None] == enrolled[None, :]
    known = truth.any(axis=1)
    own = scores[known][truth[known]]
    ranks = np.sum(scores[known] > own[:, None], axis=1)
    top = scores[~known].max(axis=1)
    curve = error_curve(scores.ravel(), truth.ravel())
    fmr = curve.at(threshold).fmr.value
    order = rng.permutation(len(enrolled))
    sizes = np.unique(np.geomspace(1, len(enrolled), 8).astype(int))
    growth = [
        Growth(int(size), float((scores[~known][:, order[:size]].max(axis=1) >= threshold).mean()), float(1 - (1 - fmr) ** size))
        for size in sizes
    ]
    searched = labels[probes]
    return SearchEvaluation(
        enrolled=len(enrolled),
        photos=photos,
        reference=reference,
        not_enrolled=len(np.unique(searched[~known])),
        threshold=threshold,
        rank1=_rate(ranks == 0, searched[known]),
        cmc=tuple(float(np.mean(ranks < rank)) for rank in range(1, _RANKS + 1)),
        fnir=_rate((ranks > 0) | (own < threshold), searched[known]),
        fpir=_rate(top >= threshold, searched[~known]),
        growth=tuple(growth),
        reference_eer=equal_error_rate(curve)[0],
        reference_tar=tar_at_fmr(curve, 1e-3).value,
    )


def reference_scores(
    probes: npt.NDArray[np.float32], enrolled: npt.NDArray[np.float32], reference: Reference = "mean"
) -> npt.NDArray[np.float32]:
    """Compare photos with people who have several photos enrolled.

    Args:
        probes: `(m, d)`, rows of unit length.
        enrolled: `(p, k, d)`, k photos of each person, likewise.
        reference: `"mean"`: the cosine with the mean of the embeddings; `"best"`: the best cosine with any.

    Returns:
        `(m, p)` scores.

    Raises:
        ValueError: If `reference` is another one.
    """
    check_option("reference", reference, Reference)
    if reference == "mean":
        return cosine_scores(probes, unit_rows(enrolled.mean(axis=1)))
    people, photos, _ = enrolled.shape
    best = np.full((len(probes), people), -1, dtype=np.float32)
    for place in range(photos):
        for row, column, scores in scored_blocks(probes, np.ascontiguousarray(enrolled[:, place])):
            block = best[row : row + len(scores), column : column + scores.shape[1]]
            np.maximum(block, scores, out=block)
    return best


def rate_of_any(rate: float, count: int) -> float:
    """Return the probability that at least one of some independent events happens: ``1 - (1 - rate)^count``.

    Args:
        rate: The probability of each, in [0, 1], such as the false match rate of one comparison.
        count: How many.

    Example:
        >>> round(rate_of_any(0.01, 6), 4)
        0.0585
    """
    return -math.expm1(count * math.log1p(-rate)) if rate < 1 else 1.0


def _rate(happened: npt.NDArray[np.bool_], people: npt.NDArray[np.int64]) -> Rate:
    """Return the rate of searches by the person searched for, whose searches depend on each other."""
    _, numbers = np.unique(people, return_inverse=True)
    events, trials = np.bincount(numbers, weights=happened), np.bincount(numbers)
    return Rate(int(happened.sum()), len(happened), people_interval(events, trials))
