"""How probable it is that two groups of faces are of one person, from the scores that the encoder's card records.

The card counts mated and non-mated scores of its population. The share of mated pairs is estimated from the album, by expectation
maximisation on the mixture of both (Saerens et al., 2002); in turns with it, the non-mated scores are shifted and scaled so that
their quartiles are those of the album's non-mated pairs. Together they give the probability of "two people" at each score.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from visavis.albums.clustering import Merge, Tree
from visavis.encoders.card import Card
from visavis.errors import ModelError

__all__ = ["Cut", "MergeModel", "choose_cut", "wrong_merge_interval"]

Floats = npt.NDArray[np.float64]

_SAMPLED = 2000  # faces whose pairs show the distribution of scores
_FEW = 20  # faces below which the card's own distribution is taken
_STEPS, _ROUNDS = 100, 4
_FINE = 2000  # bins of the album's scores
_QUARTILES = (0.25, 0.5, 0.75)
_MOST_SCALED = 1.25
_SMOOTHING = 2.0, 1.0  # bins, of mated and of non-mated scores
_LEAST_PAIRS = 0.02  # taken for a bin without a non-mated pair
_POPULATION = (
    0.5  # standard deviation of the logarithm of true to expected wrong merges among populations (wild-dev below 05000, LFW)
)
_DRAWS = 20_000


@dataclass(frozen=True, eq=False)
class MergeModel:
    """The probability that a merge is wrong.

    Attributes:
        centres: `(k,)`, scores.
        mated: `(k,)`, logarithm of the density of mated scores there.
        nonmated: Likewise of non-mated scores of the album.
        share: The share of mated pairs among all pairs of the album.
    """

    centres: Floats
    mated: Floats
    nonmated: Floats
    share: float

    @classmethod
    def fit(cls, card: Card, embeddings: npt.NDArray[np.float32], *, seed: int = 0) -> "MergeModel":
        """Fit the model to an album.

        Args:
            card: The card of the encoder, with a histogram.
            embeddings: `(n, d)` of the album, rows of unit length.
            seed: Draws the faces whose pairs are compared, of many.

        Raises:
            ModelError: If the card has no histogram.
        """
        histogram = card.histogram
        if histogram is None or not sum(histogram.mated) or not sum(histogram.nonmated):
            raise ModelError("the model records no distribution of scores. Measure one: visavis calibrate MODEL DATA --out NEW")
        edges = np.linspace(histogram.low, histogram.high, len(histogram.nonmated) + 1)
        centres, width = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
        counts = np.array(histogram.nonmated, dtype=np.float64)
        mated = gaussian_filter1d(np.array(histogram.mated, dtype=np.float64), _SMOOTHING[0])
        nonmated = gaussian_filter1d(counts, _SMOOTHING[1])
        mated_density = np.log((mated + 1e-5 * mated.sum()) / mated.sum() / width)
        nonmated_density = np.log(np.maximum(nonmated / nonmated.sum(), _LEAST_PAIRS / counts.sum()) / width)
        scores, pairs = _sampled_scores(embeddings, seed)
        model = cls(centres, mated_density, nonmated_density, 0.01)._with_share(scores, pairs)
        for _ in range(_ROUNDS if len(embeddings) >= _FEW else 0):
            shares = np.append(0, np.cumsum(counts)) / counts.sum()
            known = np.interp(_QUARTILES, shares, edges)
            found = _weighted_quantiles(scores, pairs * model.wrong(scores), _QUARTILES)
            scale = float(np.clip((found[2] - found[0]) / (known[2] - known[0]), 1 / _MOST_SCALED, _MOST_SCALED))
            moved = known[1] + (centres - found[1]) / scale
            adapted = np.interp(moved, centres, nonmated_density) - np.log(scale)
            model = cls(centres, mated_density, adapted, model.share)._with_share(scores, pairs)
        return model

    def _with_share(self, scores: Floats, pairs: Floats) -> "MergeModel":
        """Estimate the share of mated pairs from scores, each of a number of pairs."""
        ratios, share = np.exp(self._ratios(scores)), self.share
        for _ in range(_STEPS if pairs.any() else 0):
            odds = ratios * share / (1 - share)
            share = float(np.clip(np.average(odds / (1 + odds), weights=pairs), 1e-7, 0.999))
        return MergeModel(self.centres, self.mated, self.nonmated, share)

    def _ratios(self, scores: npt.ArrayLike) -> Floats:
        """Return log-likelihood ratios, mated to non-mated.

        Where there are few pairs of either kind, above the score with the highest ratio, it stays: faces that are more alike are no
        less probably of one person.
        """
        ratios = self.mated - self.nonmated
        peak = int(ratios.argmax())
        ratios[peak:] = ratios[peak]
        return np.asarray(np.interp(np.asarray(scores, dtype=np.float64), self.centres, ratios))

    def wrong(self, scores: npt.ArrayLike) -> Floats:
        """Return the probability that pairs with some scores are of two people."""
        odds = np.exp(self._ratios(scores)) * self.share / (1 - self.share)
        return np.asarray(1 / (1 + odds))

    def wrong_merges(self, tree: Tree) -> Floats:
        """Return the probability that each merge joins two people, `(m,)`."""
        return self.wrong([_score(merge) for merge in tree.merges])


def _score(merge: Merge) -> float:
    """Return the score of one pair of faces that tells as much as a merge.

    The mean similarity of two groups has less chance in it than a single score, so that as a single score it is too cautious where
    one of the groups is a single face, and the cosine of the means not cautious enough (measured as `_POPULATION` was).
    """
    if min(merge.sizes) == 1 < max(merge.sizes):
        return (merge.similarity + merge.cosine) / 2
    return merge.similarity


def _weighted_quantiles(values: Floats, weights: Floats, levels: tuple[float, ...]) -> Floats:
    """Return quantiles of rising values with weights."""
    shares = np.cumsum(weights) - weights / 2
    return np.asarray(np.interp(levels, shares / max(1e-12, float(weights.sum())), values))


def _sampled_scores(embeddings: npt.NDArray[np.float32], seed: int) -> tuple[Floats, Floats]:
    """Return rising scores, and how many pairs of some of the faces have about each."""
    chosen = embeddings
    if len(embeddings) > _SAMPLED:
        chosen = embeddings[np.random.default_rng(seed).choice(len(embeddings), _SAMPLED, replace=False)]
    edges = np.linspace(-1, 1, _FINE + 1)
    places = np.triu_indices(len(chosen), 1)
    counts, _ = np.histogram(np.clip((chosen @ chosen.T)[places], -1, 1), edges)
    return (edges[1:] + edges[:-1]) / 2, counts.astype(np.float64)


@dataclass(frozen=True)
class Cut:
    """Where the tree of merges is cut.

    Attributes:
        similarity: The merges of at least this mean similarity are made.
        precision: The expected share of pairs of faces of one group that are of one person; 1 without a pair.
        wrong_merges: The expected number of merges that join two people.
        interval: The 95 % interval of that number.
    """

    similarity: float
    precision: float
    wrong_merges: float
    interval: tuple[float, float]


def choose_cut(tree: Tree, wrong: Floats, *, precision: float) -> Cut:
    """Cut a tree as low as an expected pairwise precision allows.

    Args:
        tree: The merges.
        wrong: The probability that each joins two people, `(m,)`.
        precision: The share of pairs within groups that is to be of one person, in (0, 1).

    Raises:
        ValueError: If `precision` is out of range.
    """
    if not 0 < precision < 1:
        raise ValueError(f"precision must be in (0, 1), got {precision}")
    pairs, right = _expected_pairs(tree, wrong)
    similarities = np.array([merge.similarity for merge in tree.merges])
    order = np.argsort(-similarities, kind="stable")
    expected = np.cumsum(right[order]) / np.maximum(1, np.cumsum(pairs[order]))
    able = np.flatnonzero(expected >= precision)
    if not len(able):
        return Cut(1.0 + 1e-6, 1.0, 0.0, wrong_merge_interval(0.0))
    lowest = float(similarities[order[able[-1]]])
    number = float(wrong[similarities >= lowest].sum())
    return Cut(lowest, float(expected[able[-1]]), number, wrong_merge_interval(number))


def _expected_pairs(tree: Tree, wrong: Floats) -> tuple[Floats, Floats]:
    """Return the pairs that each merge adds within a group, and how many of them are expected to be of one person."""
    sizes, right = np.ones(tree.faces + len(tree.merges)), np.zeros(tree.faces + len(tree.merges))

    def purity(group: int) -> float:
        pairs = sizes[group] * (sizes[group] - 1) / 2
        return 1.0 if pairs == 0 else float(right[group] / pairs)

    added, added_right = np.zeros(len(tree.merges)), np.zeros(len(tree.merges))
    for number, merge in enumerate(tree.merges):
        first, second, group = merge.first, merge.second, tree.faces + number
        added[number] = sizes[first] * sizes[second]
        added_right[number] = added[number] * (1 - wrong[number]) * purity(first) * purity(second)
        sizes[group] = sizes[first] + sizes[second]
        right[group] = right[first] + right[second] + added_right[number]
    return added, added_right


def wrong_merge_interval(expected: float, *, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of a number of wrong merges: of chance, and of how far populations are from the card's.

    Example:
        >>> wrong_merge_interval(0.0)
        (0.0, 0.0)
    """
    rng = np.random.default_rng(seed)
    drawn = rng.poisson(expected * np.exp(rng.normal(0, _POPULATION, _DRAWS)))
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)
