"""The card of a trained model: its data, its hyperparameters, and how it decides."""

import platform
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from visavis import __version__
from visavis.backend import keras
from visavis.data import FaceDataset, Split
from visavis.encoders.card import Card, DataSide
from visavis.encoders.card_calibration import kept_card
from visavis.errors import DataError
from visavis.faces import Crop
from visavis.metrics import ErrorCurve, score_all_pairs, threshold_at_fmr
from visavis.metrics.calibration import Calibration
from visavis.metrics.histograms import score_histogram
from visavis.metrics.operating_points import OperatingPoint, Population, choose_operating_point, threshold_for_fmr
from visavis.models import head_of
from visavis.training.results import TrainingRun

__all__ = ["DEFAULT_TARGET_FMR", "make_card"]

DEFAULT_TARGET_FMR = 0.01
_CHOSEN_ON = "validation people"


def _crop(faces: FaceDataset, centre: float | None) -> Crop:
    """Return the crop of the faces that a model was trained on."""
    if faces.crop is not None:
        return faces.crop
    height, width, channels = faces.shape
    return Crop((height, width), "gray" if channels == 1 else "rgb", centre=centre)


def make_card(
    run: TrainingRun, split: Split, *, data: str, crop: float | None = None, command: str = "", refused_as: Card | None = None
) -> Card:
    """Describe a trained model, and choose its thresholds on the validation people.

    Args:
        run: What `train` returned.
        split: Training, validation and test people.
        data: The name of the data set.
        crop: The centre crop of the photos; None: there was none.
        command: The command that trained it, if any.
        refused_as: The card of the same network before, whose thresholds stay where the validation people are too few; None: none.

    Raises:
        DataError: If the validation people are too few to show a false match rate of the config's `target_fmrs`. The default of
            0.01 is only estimated where they are too few.
    """
    try:
        first, *others = _operating_points(run, split.validation)
    except DataError as refusal:
        if refused_as is None:
            raise
        kept = kept_card(refused_as, run.config.validation.target_fmrs, refused_on=_CHOSEN_ON, reason=refusal)
        first, *others = kept.rules
    sides = {"train": split.train, "validation": split.validation, "test": split.test}
    return Card(
        crop=_crop(split.train, crop),
        flip=run.config.flip,
        calibration=Calibration(*head_of(run.siamese).calibration()),
        threshold=first,
        operating_points=tuple(others),
        histogram=score_histogram(run.validation, chosen_on=_CHOSEN_ON),
        data=data,
        split=split.by,
        sides={name: DataSide(side.people, len(side), side.digest()) for name, side in sides.items() if side is not None},
        training={
            **run.config.to_json(),
            "best_step": run.best_step,
            "validation_eer": run.validation_eer,
            "shrinkage": run.shrinkage,
        },
        versions={
            "visavis": __version__,
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
            "python": platform.python_version(),
        },
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command,
    )


def _operating_points(run: TrainingRun, validation: FaceDataset) -> list[OperatingPoint]:
    targets, chosen_as = run.config.validation.target_fmrs, run.config.validation.chosen_as
    if targets:
        population = Population(_CHOSEN_ON, score_all_pairs(run.embeddings, validation.labels))
        return [choose_operating_point([population], target, chosen_as=chosen_as) for target in targets]
    try:
        return [threshold_for_fmr(run.embeddings, validation.labels, DEFAULT_TARGET_FMR, chosen_on=_CHOSEN_ON)]
    except DataError:
        return [_estimated(run.validation, validation.labels)]


def _estimated(curve: ErrorCurve, labels: npt.NDArray[np.int64]) -> OperatingPoint:
    """The lowest threshold with at most the default rate on these people, who are too few to guarantee it."""
    score = min(threshold_at_fmr(curve, DEFAULT_TARGET_FMR), float(np.nextafter(curve.thresholds[0], np.inf)))
    point = OperatingPoint.tried(score, curve, chosen_on=_CHOSEN_ON, people=len(np.unique(labels)))
    return replace(point, target_fmr=DEFAULT_TARGET_FMR)
