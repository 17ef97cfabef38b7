"""Compare photos in files: a pair, or one anchor with many; with pictures of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visavis.errors import ImageError
from visavis.verification import AcquiredPhoto, Verdict, Verifier
from visavis.wording import counted
from visavis.workers.isolated import isolated

if TYPE_CHECKING:
    from visavis.data import PassedOver

__all__ = ["Comparison", "compare_photos", "verify_photos"]

_BATCH = 16  # decoded photos that are in memory at a time


@dataclass(frozen=True)
class Comparison:
    """One anchor against many photos.

    Attributes:
        anchor: The photo that all others were compared with.
        ranked: The photos with their verdicts, best match first.
        failures: Photos that could not be compared, with the reason.
        passed_over: Files in the folders that are no photos, with the reason.
    """

    anchor: Path
    ranked: tuple[tuple[Path, Verdict], ...]
    failures: tuple[tuple[Path, str], ...]
    passed_over: "tuple[PassedOver, ...]" = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Those of all faces, with the name of the photo."""
        faces = [(self.anchor, self.ranked[0][1].faces[0]), *((photo, verdict.faces[1]) for photo, verdict in self.ranked)]
        return tuple(f"{photo}: {text}" for photo, face in faces for text in face.warnings)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "anchor": str(self.anchor),
            "results": [{"photo": str(photo), **verdict.to_json()} for photo, verdict in self.ranked],
            "failures": [{"photo": str(photo), "reason": reason} for photo, reason in self.failures],
            "passed_over": [file._asdict() for file in self.passed_over],
        }


def compare_photos(verifier: Verifier, anchor: Path, photos: Sequence[Path], *, out: Path | None = None) -> Comparison:
    """Compare one anchor with many photos, best match first, and draw it if asked to.

    Photos are decoded in a process of their own, see `workers.isolated`: one that needs too much fails alone.

    Args:
        verifier: Compares them.
        anchor: The photo that all others are compared with.
        photos: The others, and folders of them; those that cannot be read or have no face are listed with the reason.
        out: Where to draw the comparison, a PNG; None: nowhere.

    Raises:
        ImageError: If the anchor cannot be compared, or none of the others.
    """
    from visavis.data.folders import expand_folders  # two photos are verified without data sets, and sooner
    from visavis.data.names import shown_name

    acquisition = verifier.acquisition
    read = isolated(partial(_acquire, verifier.without_encoder()), acquisition.budget, acquisition.warm_up)
    first = read(anchor, shown_name(str(anchor)))
    files, passed_over = expand_folders(photos)
    verdicts, failures = dict[Path, Verdict](), list[tuple[Path, str]]()
    for start in range(0, len(files), _BATCH):
        acquired = {}
        for photo in files[start : start + _BATCH]:
            try:
                acquired[photo] = read(photo, shown_name(str(photo)))
            except ImageError as error:
                failures.append((photo, str(error)))
        if acquired:
            verdicts |= zip(acquired, verifier.match_each(first, list(acquired.values())), strict=True)
    if not verdicts:
        raise ImageError(
            f"none of {counted(len(files), 'photo')} can be compared; {failures[0][1] if failures else 'none was given'}"
        )
    ranked = sorted(verdicts.items(), key=lambda pair: -pair[1].score)
    if out is not None:
        from visavis.evaluation.plots import save_figure
        from visavis.verification.plots import plot_comparison  # Matplotlib takes most of a second

        save_figure(plot_comparison(anchor, ranked, limits=verifier.limits), out)
    return Comparison(anchor, tuple(ranked), tuple(failures), passed_over)


def _acquire(verifier: Verifier, content: Path | bytes, name: str) -> list[AcquiredPhoto]:
    return verifier.acquire_each(content, name=name)


def verify_photos(verifier: Verifier, first: Path, second: Path, *, out: Path | None = None) -> Verdict:
    """Compare two photos, and draw what was compared if asked to.

    Args:
        verifier: Compares them.
        first: A photo.
        second: Another.
        out: Where to draw it, a PNG; None: nowhere.

    Raises:
        ImageError: If a photo cannot be read; as `FaceError` if it has no face, or too many.
    """
    faces = verifier.acquire_each(first), verifier.acquire_each(second)
    verdict = verifier.match(*faces)
    if out is not None:
        from visavis.evaluation.plots import save_figure
        from visavis.verification.plots import plot_verdict

        best = faces[0][verdict.faces[0].number - 1], faces[1][verdict.faces[1].number - 1]
        save_figure(plot_verdict(best, verdict, names=(first.name, second.name)), out)
    return verdict
