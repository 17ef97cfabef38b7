"""One against many: is a person found among those who are enrolled, and are strangers left alone?"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.errors import DataError
from visavis.metrics import Rate, equal_error_rate, error_curve, tar_at_fmr, unit_rows
from visavis.metrics.intervals import RATES, PeopleErrors

__all__ = ["TEMPLATES", "Growth", "SearchEvaluation", "evaluate_search", "template_scores"]

TEMPLATES = ("mean", "best")
_RANKS = 10
_BLOCK = 1024


@dataclass(frozen=True)
class Growth:
    """What becomes of the false positives as more people are enrolled.

    Attributes:
        enrolled: How many.
        measured: The part of strangers' searches that found somebody.
        predicted: The same as the false match rate of single comparisons foretells, were they independent: ``1 - (1 - FMR)^n``.
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
        template: How these become one: `"mean"` of their embeddings, or the `"best"` score of any.
        strangers: How many people who are not enrolled were searched for.
        threshold: The score that a person who is found must reach.
        rank1: Searches for enrolled people that have the right one first, whatever the score.
        cmc: The part that has the right one among the first 1 .. 10.
        fnir: False negative identification rate: searches for enrolled people that do not find the right one first, with a score
            that reaches the threshold.
        fpir: False positive identification rate: searches for strangers that find somebody.
        growth: False positives by the number of people enrolled.
        template_eer: Equal error rate of single comparisons of a photo with a template.
        template_tar: Their true accept rate at a false match rate of 0.001.
    """

    enrolled: int
    photos: int
    template: str
    strangers: int
    threshold: float
    rank1: Rate
    cmc: tuple[float, ...]
    fnir: Rate
    fpir: Rate
    growth: tuple[Growth, ...]
    template_eer: float
    template_tar: float

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        rates = {}
        for name in ("rank1", "fnir", "fpir"):
            rate: Rate = getattr(self, name)
            rates[name] = {**vars(rate), "value": rate.value, "interval": list(rate.interval)}
        plain = {name: value for name, value in vars(self).items() if name not in rates and name != "growth"}
        return {**plain, **rates, "growth": [vars(step) for step in self.growth]}

    def __str__(self) -> str:
        """Tell it in words."""
        whole = self.growth[-1]
        return (
            f"search among {self.enrolled:,} people, {self.photos} photos each ({self.template}): first {self.rank1}, "
            f"missed at threshold {self.threshold:.3f} {self.fnir}, strangers taken for somebody {self.fpir}, "
            f"foretold by single comparisons {whole.predicted:.2%}"
        )


def evaluate_search(
    embeddings: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    *,
    threshold: float,
    photos: int = 1,
    template: str = "mean",
    seed: int = 0,
) -> SearchEvaluation:
    """Enrol half of the people who have photos to spare, and search for their other photos and for all other people's.

    Args:
        embeddings: `(n, d)`, rows of unit length.
        labels: `(n,)`, equal for photos of one person.
        threshold: The score that a person who is found must reach.
        photos: How many photos of each are enrolled.
        template: How these become one: `"mean"` or `"best"`.
        seed: Draws who is enrolled, and with which photos.

    Raises:
        DataError: If fewer than two people have more than `photos` photos, or if no stranger is left.
        ValueError: If an argument is out of range.
    """
    if photos < 1:
        raise ValueError(f"photos must be at least 1. Received: photos={photos}")
    rng = np.random.default_rng(seed)
    counts = np.bincount(labels)
    able = rng.permutation(np.flatnonzero(counts > photos))
    enrolled = np.sort(able[: max(2, len(able) // 2)])
    if len(able) < 2 or len(enrolled) == np.count_nonzero(counts):
        raise DataError(
            f"a search wants two people or more with more than {photos} photos, and strangers beside them. "
            f"Received: {len(able)} such people of {np.count_nonzero(counts)}"
        )
    kept = np.concatenate([rng.choice(np.flatnonzero(labels == person), photos, replace=False) for person in enrolled])
    probes = np.setdiff1d(np.arange(len(labels)), kept)
    scores = template_scores(embeddings[probes], embeddings[kept].reshape(len(enrolled), photos, -1), template)
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
        template=template,
        strangers=len(np.unique(searched[~known])),
        threshold=threshold,
        rank1=_rate(ranks == 0, searched[known]),
        cmc=tuple(float(np.mean(ranks < rank)) for rank in range(1, _RANKS + 1)),
        fnir=_rate((ranks > 0) | (own < threshold), searched[known]),
        fpir=_rate(top >= threshold, searched[~known]),
        growth=tuple(growth),
        template_eer=equal_error_rate(curve)[0],
        template_tar=tar_at_fmr(curve, 1e-3).value,
    )


def template_scores(
    probes: npt.NDArray[np.float32], enrolled: npt.NDArray[np.float32], template: str = "mean"
) -> npt.NDArray[np.float32]:
    """Compare photos with people of whom several photos are known.

    Args:
        probes: `(m, d)`, rows of unit length.
        enrolled: `(p, k, d)`, k photos of each person, likewise.
        template: `"mean"`: the cosine with the mean of the embeddings; `"best"`: the best cosine with any.

    Returns:
        `(m, p)` scores.

    Raises:
        ValueError: If there is no such template.
    """
    if template not in TEMPLATES:
        raise ValueError(f"template must be one of {', '.join(TEMPLATES)}. Received: template={template!r}")
    if template == "mean":
        return np.asarray(probes @ unit_rows(enrolled.mean(axis=1)).T, dtype=np.float32)
    people, photos, size = enrolled.shape
    flat = enrolled.reshape(people * photos, size)
    blocks = [probes[start : start + _BLOCK] @ flat.T for start in range(0, len(probes), _BLOCK)]
    return np.concatenate([block.reshape(len(block), people, photos).max(axis=2) for block in blocks])


def _rate(happened: npt.NDArray[np.bool_], people: npt.NDArray[np.int64]) -> Rate:
    """A rate of searches, with the effective number of them: those for one person depend on each other."""
    _, numbers = np.unique(people, return_inverse=True)
    yes, no = (np.bincount(numbers, weights=side).astype(np.float64) for side in (happened, ~happened))
    none = np.zeros(0)
    errors = PeopleErrors(yes, no, none.astype(np.int64), none.astype(np.int64), none, none)
    effective = errors.effective(*RATES["recall"])
    return Rate(int(happened.sum()), len(happened), float(effective) if np.isfinite(effective) else float(errors.people))
