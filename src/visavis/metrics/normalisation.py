"""Score normalisation against a cohort: S-norm and AS-norm."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from visavis.metrics.scores import paired_scores, scored_blocks

__all__ = ["normalised_scores"]


def normalised_scores(
    first: npt.NDArray[np.float32],
    second: npt.NDArray[np.float32],
    cohort: npt.NDArray[np.float32],
    *,
    nearest: int | None = None,
) -> npt.NDArray[np.float64]:
    """Score pairs in standard deviations above what both photos score with other people.

    Symmetric score normalisation (S-norm; Kenny, 2010); with `nearest` its adaptive form (AS-norm; Matejka et al., 2017). The
    result is no cosine: thresholds and calibrations of plain scores do not hold for it.

    Args:
        first: `(m, d)`, rows of unit length.
        second: `(m, d)`, likewise.
        cohort: `(k, d)`, likewise, of people who are in none of the pairs.
        nearest: Compare each photo with so many of the cohort that score highest; None: with all.

    Returns:
        `(m,)`.

    Raises:
        ValueError: If the cohort has fewer than two photos, or `nearest` is not in 2 .. k.
    """
    size = len(cohort) if nearest is None else nearest
    if not 2 <= size <= len(cohort):
        raise ValueError(f"nearest must be in 2 .. {len(cohort)}, the size of the cohort, got {nearest}")
    scores = paired_scores(first, second).astype(np.float64)
    mean_first, spread_first = _against(first, cohort, size)
    mean_second, spread_second = _against(second, cohort, size)
    return np.asarray(((scores - mean_first) / spread_first + (scores - mean_second) / spread_second) / 2)


def _against(
    rows: npt.NDArray[np.float32], cohort: npt.NDArray[np.float32], size: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return mean and standard deviation of the highest scores of each row with the cohort."""
    means, spreads = np.empty(len(rows)), np.empty(len(rows))
    for row, scores in _whole_rows(rows, cohort):
        top = scores if size == len(cohort) else np.partition(scores, -size, axis=1)[:, -size:]
        means[row : row + len(top)] = top.mean(axis=1, dtype=np.float64)
        spreads[row : row + len(top)] = top.std(axis=1, dtype=np.float64)
    return means, np.maximum(spreads, 1e-9)


def _whole_rows(rows: npt.NDArray[np.float32], cohort: npt.NDArray[np.float32]) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """Yield the scores of some rows with the whole cohort: the first row and `(b, k)`."""
    parts: list[npt.NDArray[np.float32]] = []
    for row, column, scores in scored_blocks(rows, cohort):
        parts.append(scores)
        if column + scores.shape[1] == len(cohort):
            yield row, np.concatenate(parts, axis=1)
            parts = []
