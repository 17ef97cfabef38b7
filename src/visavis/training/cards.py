"""The card of a trained model: how it came about and how it decides."""

import platform
from datetime import UTC, datetime

import keras

from visavis import __version__
from visavis.data import FaceDataset, Split
from visavis.encoders.card import Card, DataSide
from visavis.faces import Crop
from visavis.metrics.calibration import Calibration
from visavis.metrics.histograms import score_histogram
from visavis.metrics.operating_points import OperatingPoint
from visavis.models import head_of
from visavis.training.trainer import TrainingRun

__all__ = ["make_card"]


def _crop(faces: FaceDataset, centre: float | None) -> Crop:
    """Return the crop of the faces that a model was trained on."""
    if faces.crop is not None:
        return faces.crop
    height, width, channels = faces.shape
    return Crop((height, width), "gray" if channels == 1 else "rgb", centre=centre)


def make_card(run: TrainingRun, split: Split, *, data: str, crop: float | None = None, command: str = "") -> Card:
    """Write down how a model came about.

    Args:
        run: What `train` gave.
        split: The people it was trained and validated on, and those kept for the test.
        data: The name of the data set.
        crop: The centre crop that the photos went through; None: none.
        command: The command that was given, if any.
    """
    people = len(split.validation.people)
    threshold = OperatingPoint.tried(run.threshold, run.validation, chosen_on="validation people", people=people)
    sides = {"train": split.train, "validation": split.validation, "test": split.test}
    return Card(
        crop=_crop(split.train, crop),
        flip=run.config.flip,
        calibration=Calibration(*head_of(run.siamese).calibration()),
        threshold=threshold,
        histogram=score_histogram(run.validation, chosen_on="validation people"),
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
