"""Comparison scores: cosines, all of them in blocks, and the pairs that they belong to.

Every count of this package comes from `scored_blocks`: products of a fixed size, each by one BLAS thread, so that a score does not
depend on how many threads there are. `PairScores` keeps what error rates need: every mated score, every non-mated score that a
threshold of interest could accept, and the rest in bins.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from visavis.errors import DataError
from visavis.metrics.curves import ErrorCurve, accepted_at, error_curve
from visavis.wording import counted

__all__ = [
    "PairScores",
    "ScoreList",
    "all_pairs_curve",
    "cosine_scores",
    "first_accepting",
    "list_scores",
    "paired_scores",
    "score_all_pairs",
    "score_pairs",
    "scored_blocks",
    "unit_rows",
]

Rows = npt.NDArray[np.float32]
Floats = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]
Result = TypeVar("Result")

_BLOCK = 1024
_WORKERS, _AHEAD = 8, 4  # threads at most, and blocks for each of them at a time
_KEEP_ALL = 1000  # photos: up to half a million pairs are all kept
_BINS = 1 << 15  # in a unit of score: a power of two, so that a float32 score times it is exact
_SAMPLE = 1000  # photos from which the lowest score to keep is estimated
_MIN_KEPT, _KEPT_PER_EER = 0.06, 1.5  # share of the non-mated pairs kept: at least, and as a multiple of the EER


def unit_rows(embeddings: npt.ArrayLike) -> Rows:
    """Return rows `(n, d)` scaled to unit length, float32; a row of zeros stays."""
    rows = np.asarray(embeddings, dtype=np.float32)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), dtype=np.float32)


def cosine_scores(rows: npt.ArrayLike, others: npt.ArrayLike) -> Rows:
    """Return the cosines of rows `(n, d)` with rows `(m, d)`, all of unit length: `(n, m)` float32 in [-1, 1].

    Rounding takes the product of equal rows past 1, where `acos` has no value; scores are clipped.
    """
    scores = np.asarray(rows, dtype=np.float32) @ np.asarray(others, dtype=np.float32).T
    return np.clip(scores, -1, 1, out=scores)


def paired_scores(first: npt.ArrayLike, second: npt.ArrayLike) -> Rows:
    """Return the cosine of each row `(m, d)` with the same row of another array `(m, d)`: `(m,)` float32 in [-1, 1]."""
    one, other = (np.asarray(rows, dtype=np.float32) for rows in (first, second))
    return np.clip(np.einsum("md,md->m", one, other), -1, 1, dtype=np.float32)


class Block(NamedTuple):
    """Scores of some rows with some columns.

    Attributes:
        row: The first row.
        column: The first column.
        scores: `(b, c)` float32.
    """

    row: int
    column: int
    scores: Rows


def scored_blocks(rows: Rows, others: Rows | None = None) -> Iterator[Block]:
    """Score rows `(n, d)` with other rows `(m, d)`, a block of at most 1,024 x 1,024 at a time.

    Args:
        rows: Rows of unit length, float32.
        others: Likewise; None: the rows themselves, each block of pairs once, so blocks at or right of the diagonal.
    """
    yield from map_blocks(lambda block: block, rows, others)


def map_blocks(function: Callable[[Block], Result], rows: Rows, others: Rows | None = None) -> Iterator[Result]:
    """Yield what a function returns of each block of `scored_blocks`, in their order; blocks are shared among the cores.

    Args:
        function: Called in several threads at a time.
        rows: As in `scored_blocks`.
        others: Likewise.
    """
    columns = rows if others is None else others
    starts = range(0, len(rows), _BLOCK)
    corners = [(row, column) for row in starts for column in range(row if others is None else 0, len(columns), _BLOCK)]

    def scored(corner: tuple[int, int]) -> Result:
        row, column = corner
        return function(Block(row, column, cosine_scores(rows[row : row + _BLOCK], columns[column : column + _BLOCK])))

    workers = min(_WORKERS, os.cpu_count() or 1, len(corners))
    with threadpool_limits(1, user_api="blas"):
        if workers < 2:
            yield from map(scored, corners)
            return
        with ThreadPoolExecutor(workers) as pool:
            for first in range(0, len(corners), _AHEAD * workers):  # so that few blocks are in memory at a time
                yield from pool.map(scored, corners[first : first + _AHEAD * workers])


@dataclass(frozen=True, eq=False)
class ScoreList:
    """Scores of single pairs.

    Attributes:
        first: `(m,)` int32, one photo of each pair.
        second: `(m,)` int32, the other.
        scores: `(m,)` float32.
    """

    first: npt.NDArray[np.int32]
    second: npt.NDArray[np.int32]
    scores: Rows

    def __repr__(self) -> str:
        """Show how many pairs there are."""
        return f"ScoreList({counted(len(self), 'pair')})"

    def __len__(self) -> int:
        """Return how many pairs there are."""
        return len(self.scores)

    def where(self, chosen: npt.NDArray[np.bool_]) -> "ScoreList":
        """Return the pairs of a mask `(m,)`."""
        return ScoreList(self.first[chosen], self.second[chosen], self.scores[chosen])


@dataclass(frozen=True, eq=False)
class PairScores:
    """Pairs of photos with their scores; what every error rate is counted from.

    Attributes:
        people: `(n,)`, the person of each photo as a number, 0 .. p - 1.
        mated: All mated pairs.
        nonmated: The non-mated pairs whose score is at least `floor`.
        floor: See there; minus infinity where all are kept.
        bins: `(65,537,)`, how many of all non-mated pairs lie in each bin of width 2^-15; empty where all are kept.
        nonmated_of: `(p,)`, all non-mated pairs of each person, so that each pair counts for both of its people.
    """

    people: Indices
    mated: ScoreList
    nonmated: ScoreList
    floor: float
    bins: Indices
    nonmated_of: Indices

    def __repr__(self) -> str:
        """Show how many people, photos and pairs there are."""
        pairs = f"{len(self.mated):,} mated and {counted(int(self.nonmated_of.sum()) // 2, 'non-mated pair')}"
        return f"PairScores({counted(self.compared, 'person')}, {counted(len(self.people), 'photo')}, {pairs})"

    @cached_property
    def mated_of(self) -> Indices:
        """`(p,)`, the mated pairs of each person."""
        return np.bincount(self.people[self.mated.first], minlength=len(self.nonmated_of))

    @property
    def compared(self) -> int:
        """How many people are in any pair."""
        return int(np.count_nonzero(self.mated_of + self.nonmated_of))

    @property
    def effective_people(self) -> float:
        """How many people with equally many mated pairs would weigh as these do (Kish, 1965): few where few have most of them."""
        pairs = self.mated_of.astype(np.float64)
        return float(pairs.sum() ** 2 / max(1.0, np.square(pairs).sum()))

    def between(self, first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> "PairScores":
        """Return the pairs of one photo here and one photo there, of all pairs of photos.

        Args:
            first: `(n,)`, which photos are here.
            second: `(n,)`, which are there: the same photos, or others.
        """
        people = len(self.nonmated_of)

        def chosen(pairs: ScoreList) -> ScoreList:
            one, other = pairs.first, pairs.second
            return pairs.where((first[one] & second[other]) | (first[other] & second[one]))

        here, there = (np.bincount(self.people[mask], minlength=people) for mask in (first, second))
        count = here * (there.sum() - there)
        if not np.array_equal(first, second):
            count = count + there * (here.sum() - here)
        return PairScores(self.people, chosen(self.mated), chosen(self.nonmated), self.floor, np.zeros(0, dtype=np.int64), count)

    @cached_property
    def curve(self) -> ErrorCurve:
        """The curve of all pairs, see `curve_at`."""
        return self.curve_at()

    def curve_at(self, *thresholds: float) -> ErrorCurve:
        """Count accepted pairs at every score that occurs; of many pairs at the edges of bins of 0.00003.

        The counts are exact at each threshold of the curve.

        Args:
            *thresholds: Further thresholds to have on the curve, not below `floor`.
        """
        if not len(self.bins):
            scores = np.concatenate([self.mated.scores, self.nonmated.scores])
            curve = error_curve(scores, np.repeat([1, 0], [len(self.mated), len(self.nonmated)]))
            return curve if np.isneginf(self.floor) else self._with_all(curve)
        edges, mated = _edges(), np.sort(self.mated.scores)
        counts = self.bins + np.bincount(_bins(mated), minlength=len(edges))
        extra = np.setdiff1d(np.asarray(thresholds, dtype=np.float64), edges)
        limits = np.concatenate([edges[counts > 0], extra])
        nonmated = np.cumsum(self.bins[::-1])[::-1][counts > 0]
        nonmated = np.append(nonmated, [np.count_nonzero(self.nonmated.scores >= limit) for limit in extra]).astype(np.int64)
        falling = np.argsort(-limits)
        return ErrorCurve(limits[falling], accepted_at(mated, limits[falling]), nonmated[falling])

    def _with_all(self, curve: ErrorCurve) -> ErrorCurve:
        """Return a curve down to `floor`, with one more threshold, which accepts every pair."""
        known = curve.thresholds >= self.floor
        every = (-1.0, len(self.mated), int(self.nonmated_of.sum()) // 2)
        parts = (curve.thresholds, curve.accepted_mated, curve.accepted_nonmated)
        return ErrorCurve(*(np.append(part[known], last) for part, last in zip(parts, every, strict=True)))


def score_all_pairs(
    embeddings: npt.NDArray[np.floating], labels: npt.ArrayLike, *, thresholds: npt.ArrayLike = (), keep: bool = True
) -> PairScores:
    """Score all n(n-1)/2 pairs of photos by the cosine of their embeddings.

    Up to 1,000 photos every score is kept. Of more, the non-mated pairs of low scores are only counted, so that memory does not
    grow with their number.

    Args:
        embeddings: `(n, d)`, rows of unit length.
        labels: `(n,)`, equal for photos of one person.
        thresholds: Thresholds of interest: every pair that one of them accepts is kept.
        keep: Whether non-mated pairs of high scores are kept; only the curve and the mated pairs can be had without them.

    Raises:
        DataError: If they differ in length, if there are fewer than two photos, or if an embedding is not finite.
    """
    people = _checked(embeddings, labels)
    rows = np.ascontiguousarray(embeddings, dtype=np.float32)
    order = np.argsort(people, kind="stable")
    sorted_rows, sorted_people = rows[order], people[order]
    floor = -np.inf if len(rows) <= _KEEP_ALL else np.inf
    if floor > 0 and keep:
        floor = _floor(sorted_rows, sorted_people, np.asarray(thresholds, dtype=np.float64))
    bins = np.zeros(2 * _BINS + 1 if floor > -np.inf else 0, dtype=np.int64)
    parts = []
    for *lists, counts in map_blocks(lambda block: _sorted_out(block, sorted_people, np.float32(floor)), sorted_rows):
        parts.append(lists)
        bins += counts
    mated, nonmated = (_joined([part[side] for part in parts], order) for side in (0, 1))
    photos = np.bincount(people)
    return PairScores(people, mated, nonmated, float(floor), bins, photos * (len(people) - photos))


def score_pairs(embeddings: npt.NDArray[np.floating], labels: npt.ArrayLike, pairs: npt.NDArray[np.int64]) -> PairScores:
    """Score a list of pairs `(m, 2)` of photos by the cosine of their embeddings `(n, d)`, rows of unit length."""
    people = _checked(embeddings, labels)
    return list_scores(people, pairs, paired_scores(embeddings[pairs[:, 0]], embeddings[pairs[:, 1]]))


def list_scores(people: Indices, pairs: npt.NDArray[np.int64], scores: npt.ArrayLike) -> PairScores:
    """Return pairs `(m, 2)` of photos whose people are known `(n,)` with scores `(m,)` that something else gave."""
    numbers = np.unique(np.asarray(people), return_inverse=True)[1]
    first, second = (np.asarray(pairs)[:, side].astype(np.int32) for side in (0, 1))
    listed = ScoreList(first, second, np.asarray(scores, dtype=np.float32))
    same = numbers[first] == numbers[second]
    nonmated = listed.where(~same)
    count = np.bincount(numbers[np.concatenate([nonmated.first, nonmated.second])], minlength=int(numbers.max()) + 1)
    return PairScores(numbers, listed.where(same), nonmated, -np.inf, np.zeros(0, dtype=np.int64), count)


def all_pairs_curve(embeddings: npt.NDArray[np.floating], labels: npt.ArrayLike) -> ErrorCurve:
    """Count accepted pairs over all pairs of photos; see `score_all_pairs`.

    Raises:
        DataError: As there.
    """
    return score_all_pairs(embeddings, labels, keep=False).curve


def _checked(embeddings: npt.NDArray[np.floating], labels: npt.ArrayLike) -> Indices:
    """Return the people of photos as numbers from 0 on."""
    people: Indices = np.unique(np.asarray(labels), return_inverse=True)[1]
    if embeddings.ndim != 2 or len(embeddings) != len(people) or len(people) < 2:
        raise DataError(
            f"embeddings must be (n, d) with n labels, n at least 2, got shape {embeddings.shape} and "
            f"{counted(len(people), 'label')}"
        )
    if not np.isfinite(embeddings).all():
        raise DataError(f"embedding {int(np.argmin(np.isfinite(embeddings).all(axis=1)))} is not finite")
    return people


def _floor(rows: Rows, people: Indices, thresholds: Floats) -> float:
    """Return the lowest score to keep: that of a sample's false match rate well above its equal error rate."""
    rng = np.random.default_rng(0)
    order = rng.permutation(int(people.max()) + 1)[people]
    sample = np.argsort(order, kind="stable")[:_SAMPLE]  # whole people, so that mated pairs are among them
    scores, same = cosine_scores(rows[sample], rows[sample]), people[sample][:, None] == people[sample]
    once = np.tri(len(sample), k=-1, dtype=bool)
    nonmated, mated = np.sort(scores[once & ~same]), np.sort(scores[once & same])
    if not len(nonmated) or not len(mated):
        return float(np.min(thresholds, initial=-1.0))
    fmr = accepted_at(nonmated, mated) / len(nonmated)
    eer = float(np.min(np.maximum(fmr, np.arange(len(mated)) / len(mated))))
    kept = min(1.0, max(_MIN_KEPT, _KEPT_PER_EER * eer))
    return float(np.float32(np.min(thresholds, initial=np.quantile(nonmated, 1 - kept))))


def _sorted_out(block: Block, people: Indices, floor: np.float32) -> tuple[ScoreList, ScoreList, Indices | int]:
    """Return the mated pairs of a block of photos sorted by person, the non-mated ones from `floor` on, and all these by bin."""
    row, column, scores = block
    height, width = scores.shape
    mated, kept = _picked(block, None), scores >= floor
    if people[row + height - 1] >= people[column]:  # a person may be in both
        same = people[row : row + height, None] == people[None, column : column + width]
        later = np.arange(column, column + width) > np.arange(row, row + height)[:, None]
        mated = _picked(block, same & later)
        compared = later & ~same
        kept &= compared
        scores = scores[compared]
    counts = np.bincount(_bins(scores.ravel()), minlength=2 * _BINS + 1) if floor > -np.inf else 0
    return mated, _picked(block, kept if floor < np.inf else None), counts


def _picked(block: Block, mask: npt.NDArray[np.bool_] | None) -> ScoreList:
    if mask is None:
        return ScoreList(np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32))
    places = np.flatnonzero(mask)
    cells = places.astype(np.int32)
    rows = cells // np.int32(mask.shape[1])
    columns = cells - rows * np.int32(mask.shape[1])
    return ScoreList(rows + np.int32(block.row), columns + np.int32(block.column), block.scores.ravel()[places])


def _joined(parts: list[ScoreList], order: Indices) -> ScoreList:
    photos = order.astype(np.int32)
    first, second = (photos[np.concatenate([getattr(part, side) for part in parts])] for side in ("first", "second"))
    return ScoreList(first, second, np.concatenate([part.scores for part in parts]))


def _bins(scores: Rows) -> Indices:
    """Return the bin of each score, 0 .. 65,536; multiplying by a power of two and cutting off are exact."""
    places = (scores * np.float32(_BINS)).astype(np.int64)
    places += _BINS
    return places


def first_accepting(scores: Rows, thresholds: npt.NDArray[np.float64]) -> Indices:
    """Return the place of the first of the falling thresholds `(k,)` that accepts each score; k where none does."""
    if len(scores) <= 2 * _BINS:
        return np.searchsorted(-thresholds, -scores.astype(np.float64), side="left")
    edges = _edges()
    lowest = np.searchsorted(-thresholds, -edges, side="left")
    highest = np.append(
        np.searchsorted(-thresholds, -np.nextafter(edges[1:].astype(np.float32), np.float32(-2)).astype(np.float64)), 0
    )
    bins = _bins(scores)
    places = lowest[bins]
    unclear = np.flatnonzero((lowest != highest)[bins])  # where a threshold lies inside a bin
    places[unclear] = np.searchsorted(-thresholds, -scores[unclear].astype(np.float64), side="left")
    return places


def _edges() -> Floats:
    """Return the lowest float32 score of each bin, float64. What is cut off of a negative score raises it to the next bin."""
    whole = np.arange(-_BINS, _BINS + 1, dtype=np.float32)
    lowest = np.where(whole > 0, whole / _BINS, np.nextafter((whole - 1) / _BINS, np.float32(2)))
    lowest[0] = -1
    return lowest.astype(np.float64)
