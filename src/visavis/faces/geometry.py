"""Similarity transforms of the plane: rotation, scale and translation."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Similarity"]

Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Similarity:
    """Map `(x, y)`, as the complex number ``x + i y``, to ``factor * (x + i y) + shift``.

    Attributes:
        factor: Scale and rotation, not 0.
        shift: Translation.
    """

    factor: complex
    shift: complex

    @classmethod
    def between(cls, source: npt.ArrayLike, target: npt.ArrayLike) -> "Similarity":
        """Return the least-squares transform (Umeyama, 1991) from points `(n, 2)` to others.

        Raises:
            ValueError: If all points of `source`, or all of `target`, are the same.
        """
        start, end = (np.asarray(points, dtype=np.float64) @ [1, 1j] for points in (source, target))
        centred = start - start.mean()
        factor = complex(np.vdot(centred, end - end.mean()) / max(np.vdot(centred, centred).real, 1e-12))
        if factor == 0:
            raise ValueError("points must differ from each other, got points that are all the same")
        return cls(factor, complex(end.mean() - factor * start.mean()))

    def apply(self, points: npt.ArrayLike) -> Points:
        """Transform points `(n, 2)`."""
        moved = self.factor * (np.asarray(points, dtype=np.float64) @ [1, 1j]) + self.shift
        return np.stack([moved.real, moved.imag], axis=-1)

    def inverse(self) -> "Similarity":
        """Return the inverse transform."""
        return Similarity(1 / self.factor, -self.shift / self.factor)

    @property
    def scale(self) -> float:
        """Ratio of a length after the transform to the length before."""
        return abs(self.factor)

    @property
    def rotation(self) -> float:
        """Angle of rotation from the x axis to the y axis, degrees in (-180, 180]."""
        return float(np.degrees(np.angle(self.factor)))
