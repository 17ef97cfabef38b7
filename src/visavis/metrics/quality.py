"""What refusing poor photos would bring, and what it would cost."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.errors import DataError
from visavis.metrics import Rate

__all__ = ["RejectCurve", "evaluate_quality"]

_SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
_WORTH = 0.05  # the part of the errors that a gate must save
_BLOCK = 1024


@dataclass(frozen=True)
class RejectCurve:
    """Errors among the photos that are left when the poorest are refused.

    Attributes:
        measure: What the quality is, such as `"sharpness"`; the higher the better.
        threshold: The score from which on a pair was accepted.
        gates: For each share that was to be refused: photos below this quality were.
        refused: The share of photos that was refused in fact.
        fmr: The false match rate of the others.
        fnmr: The false non-match rate.
    """

    measure: str
    threshold: float
    gates: tuple[float, ...]
    refused: tuple[float, ...]
    fmr: tuple[Rate, ...]
    fnmr: tuple[Rate, ...]

    @property
    def finding(self) -> str:
        """What follows from it, in words: the gate that refuses one photo in ten, or nearly."""
        place = int(np.argmin(np.abs(np.array(self.refused) - 0.1)))
        pays = self.fnmr[place].value < (1 - _WORTH) * self.fnmr[0].value
        told = (
            f"{self.measure}: refusing the {self.refused[place]:.0%} of photos below {self.gates[place]:g} takes the false "
            f"non-match rate from {self.fnmr[0].value:.2%} to {self.fnmr[place].value:.2%}"
        )
        return told if pays else f"{told}: it does not pay"

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        rates = {name: [rate.value if rate.trials else None for rate in getattr(self, name)] for name in ("fmr", "fnmr")}
        counts = {name: [[rate.count, rate.trials] for rate in getattr(self, name)] for name in ("fmr", "fnmr")}
        told = {"measure": self.measure, "threshold": self.threshold, "finding": self.finding}
        return {**told, "gates": list(self.gates), "refused": list(self.refused), **rates, "counts": counts}


def evaluate_quality(
    embeddings: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    quality: npt.NDArray[np.float64],
    *,
    threshold: float,
    measure: str = "quality",
) -> RejectCurve:
    """Refuse ever more of the poorest photos, and count the errors among all pairs of the others (Grother and Tabassi, 2007).

    Args:
        embeddings: `(n, d)`, rows of unit length.
        labels: `(n,)`, equal for photos of one person.
        quality: `(n,)`, the higher the better; photos without one (NaN) are refused last.
        threshold: The score from which on a pair is accepted.
        measure: What the quality is.

    Raises:
        DataError: If all photos are of one quality.
    """
    quality = np.where(np.isnan(quality), np.inf, quality)
    gates = np.quantile(quality, _SHARES, method="lower")
    if gates[0] == gates[-1]:
        raise DataError(f"{measure}: half of the photos or more have the lowest quality ({gates[0]:g}), so it refuses all or none")
    gates = np.unique(gates)
    worst_mated, accepted_mated, worst_matched = _worse_of_pairs(embeddings, labels, quality, threshold)
    refused, fmr, fnmr = [], [], []
    for gate in gates:
        kept = quality >= gate
        photos = np.bincount(labels[kept]).astype(np.int64)
        nonmated = int((photos.sum() ** 2 - (photos**2).sum()) // 2)
        mated = worst_mated >= gate
        refused.append(float(1 - kept.mean()))
        fmr.append(Rate(int(np.sum(worst_matched >= gate)), nonmated))
        fnmr.append(Rate(int(np.sum(mated & ~accepted_mated)), int(mated.sum())))
    return RejectCurve(measure, threshold, tuple(map(float, gates)), tuple(refused), tuple(fmr), tuple(fnmr))


def _worse_of_pairs(
    embeddings: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], quality: npt.NDArray[np.float64], threshold: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """The lower quality of the two photos of each mated pair, whether it was accepted, and the same of each false match."""
    found = []
    for start in range(0, len(labels), _BLOCK):
        block = slice(start, start + _BLOCK)
        accepted = embeddings[block] @ embeddings[start:].T >= threshold
        later = np.arange(len(labels) - start)[None, :] > np.arange(len(accepted))[:, None]
        same = (labels[block][:, None] == labels[start:][None, :]) & later
        mated, matched = np.nonzero(same), np.nonzero(accepted & later & ~same)
        worse = [np.minimum(quality[start + rows], quality[start + columns]) for rows, columns in (mated, matched)]
        found.append((worse[0], accepted[mated], worse[1]))
    worst_mated, accepted_mated, worst_matched = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return worst_mated, accepted_mated, worst_matched
