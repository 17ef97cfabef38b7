"""Score the photos of a folder with bona fide presentations and attacks, and evaluate the detector on them."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from visavis.data import IntakeRules, open_photos
from visavis.errors import DataError, ImageError
from visavis.faces import AcquisitionSettings
from visavis.pad.detector import PadDetector
from visavis.pad.evaluation import BONA_FIDE, PadEvaluation, Presentation, evaluate_pad

__all__ = ["evaluate_pad_photos"]

_BATCH = 32


def evaluate_pad_photos(
    pad: PadDetector,
    photos: Path | str,
    *,
    threshold: float | None = None,
    acquisition: AcquisitionSettings | None = None,
    progress: bool = False,
) -> PadEvaluation:
    """Evaluate a detector of presentation attacks on photos.

    Args:
        pad: The detector.
        photos: A folder (or a `.tar` or `.zip` of it) with a folder `bona-fide` and one for each attack type, such as `print` or
            `screen`. Folders in these are people and attack instruments; a photo that lies in none of them is one of its own.
        threshold: Classify as bona fide from this score on; None: the detector's.
        acquisition: How photos become faces; None: the largest face by `FaceFinder()`.
        progress: Whether to show a bar on standard error.

    Raises:
        DataError: If bona fide photos or attacks are missing, or a photo lies in no folder.
        ModelError: If the detector fails.
    """
    acquisition = acquisition or AcquisitionSettings()
    presentations: list[Presentation] = []
    waiting: list[tuple[str, str, npt.NDArray[np.uint8]]] = []

    def score() -> None:
        if waiting:
            scores = pad.score(np.stack([crop for _, _, crop in waiting]))
            presentations.extend(
                Presentation(kind, source, float(value)) for (kind, source, _), value in zip(waiting, scores, strict=True)
            )
            waiting.clear()

    for kind, source, crop in _crops(pad, Path(photos), acquisition, progress):
        if crop is None:
            presentations.append(Presentation(kind, source, None))
        else:
            waiting.append((kind, source, crop))
        if len(waiting) == _BATCH:
            score()
    score()
    return evaluate_pad(presentations, threshold=pad.threshold if threshold is None else threshold)


def _crops(
    pad: PadDetector, photos: Path, acquisition: AcquisitionSettings, progress: bool
) -> Iterator[tuple[str, str, npt.NDArray[np.uint8] | None]]:
    """Yield kind, source and crop of each photo; None instead of a crop: no face was acquired."""
    with open_photos(photos, IntakeRules(people="ignored", limits=acquisition.limits)) as files:
        for name, _ in tqdm(files.photos, desc="scoring", unit="photo", disable=not progress, delay=1):
            kind, *below = PurePosixPath(name).parts
            if not below:
                raise DataError(f"{photos}/{name}: must lie in a folder {BONA_FIDE} or in one of an attack type")
            source = below[0]  # the folder of a person or instrument, or the photo itself
            try:
                yield kind, source, acquisition.acquire(files.fetch(name), name=f"{photos}/{name}")[0].cut(pad.crop)
            except ImageError:
                yield kind, source, None
