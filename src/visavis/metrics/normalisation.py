"""Scores that are comparable from photo to photo: each against those of strangers."""

import numpy as np
import numpy.typing as npt

__all__ = ["normalised_scores"]

_BLOCK = 1024


def normalised_scores(
    first: npt.NDArray[np.float32],
    second: npt.NDArray[np.float32],
    cohort: npt.NDArray[np.float32],
    *,
    nearest: int | None = None,
) -> npt.NDArray[np.float64]:
    """Score pairs, and express each score in standard deviations above what both photos score with strangers.

    Symmetric score normalisation (S-norm; Kenny, 2010); with `nearest` its adaptive form (AS-norm; Matejka et al., 2017). The
    result is no cosine: thresholds and calibrations of plain scores do not hold for it.

    Args:
        first: `(m, d)`, rows of unit length.
        second: `(m, d)`, likewise.
        cohort: `(k, d)`, likewise, of people who are in none of the pairs.
        nearest: Compare each photo with so many of the cohort that are most like it; None: with all.

    Returns:
        `(m,)`.

    Raises:
        ValueError: If the cohort has fewer than two photos, or `nearest` is not in 2 .. k.
    """
    size = len(cohort) if nearest is None else nearest
    if not 2 <= size <= len(cohort):
        raise ValueError(f"nearest must be in 2 .. {len(cohort)}, the size of the cohort. Received: nearest={nearest}")
    scores = np.einsum("md,md->m", first, second).astype(np.float64)
    mean_first, spread_first = _against(first, cohort, size)
    mean_second, spread_second = _against(second, cohort, size)
    return np.asarray(((scores - mean_first) / spread_first + (scores - mean_second) / spread_second) / 2)


def _against(
    rows: npt.NDArray[np.float32], cohort: npt.NDArray[np.float32], size: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and standard deviation of the highest scores of each row with the cohort."""
    means, spreads = [], []
    for start in range(0, len(rows), _BLOCK):
        scores = rows[start : start + _BLOCK] @ cohort.T
        top = scores if size == len(cohort) else np.partition(scores, -size, axis=1)[:, -size:]
        means.append(top.mean(axis=1, dtype=np.float64))
        spreads.append(top.std(axis=1, dtype=np.float64))
    return np.concatenate(means), np.maximum(np.concatenate(spreads), 1e-9)
