"""Calibrate a model for one's own cameras and people: operating points and probabilities, without training."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from visavis.data import FaceDataset, IntakeRules
from visavis.encoders import Encoder, OnnxEncoder, embed_faces, load_encoder, load_faces
from visavis.encoders.card import Card, DataSide
from visavis.encoders.card_calibration import calibrated_on
from visavis.encoders.loading import EXPORTED
from visavis.encoders.onnx import copy_with_card
from visavis.errors import DataError, ModelError, check_numbers, check_option
from visavis.files import check_path
from visavis.metrics import score_all_pairs
from visavis.metrics.calibration import Method
from visavis.metrics.operating_points import ChosenAs, Population

__all__ = ["CalibrationOptions", "calibrate_model", "usable_people"]

Data = str | FaceDataset


@dataclass(frozen=True)
class CalibrationOptions:
    """How `calibrate_model` chooses operating points and probabilities.

    Attributes:
        target_fmrs: False match rates to keep. The model decides by the threshold for the first one; none: where the likelihood
            ratio is 1.
        chosen_as: `"guaranteed"`: the one-sided 95 % bound of each rate is at most the target. `"estimated"`: the rate itself is.
        method: `"logistic"` or `"isotonic"`, see `fit_calibration`.
        rules: Which files are photos, and whose, and the limits of one; None: the usual rules.
        progress: Whether to show a bar on standard error.
    """

    target_fmrs: Sequence[float] = ()
    chosen_as: ChosenAs = "guaranteed"
    method: Method = "logistic"
    rules: IntakeRules | None = None
    progress: bool = False

    def __post_init__(self) -> None:
        """Check what can be checked before anything is loaded."""
        check_numbers(self)
        check_option("chosen_as", self.chosen_as, ChosenAs)
        check_option("method", self.method, Method)
        for target in self.target_fmrs:
            if not 0 < target < 1:
                raise ValueError(f"target_fmrs must be in (0, 1), got {target}")


def calibrate_model(
    model: Path | str, data: Data | Sequence[Data], out: Path | str, options: CalibrationOptions | None = None
) -> Card:
    """Choose thresholds and fit probabilities on people that the model was not trained on; write the model with its new card.

    Args:
        model: What `load_encoder` takes.
        data: What `load_dataset` takes, or a data set; or several of them, such as one for each camera. Thresholds are then chosen
            on each, and the highest counts. People that the model was trained on are left out by name.
        out: The file to write, `.onnx` for an ONNX model and `.keras` for a Keras model; or a run folder.
        options: How to choose; None: `CalibrationOptions()`.

    Returns:
        The new card.

    Raises:
        DataError: If these people are too few to show such a rate.
        ModelError: If the model cannot be read or written.
        ValueError: If an argument is out of range.
    """
    options = options or CalibrationOptions()
    out = check_path(out)
    encoder = load_encoder(model)
    sources = [data] if isinstance(data, str | FaceDataset) else list(data)
    if not sources:
        raise ValueError("data must be at least one data set, got none")
    datasets = [usable_people(encoder, source, options.rules) for source in sources]
    names = _names(sources)
    populations = [
        Population(name, score_all_pairs(embed_faces(encoder, faces, progress=options.progress), faces.labels))
        for name, faces in zip(names, datasets, strict=True)
    ]
    card = calibrated_on(encoder.card, populations, options.target_fmrs, method=options.method, chosen_as=options.chosen_as)
    if card.threshold is not None and card.threshold.refused_on:  # nothing was measured on these people
        _write(encoder, card, out)
        return card
    sides = {_side_name(number): _side(faces) for number, faces in enumerate(datasets)}
    others = {name: side for name, side in card.sides.items() if not name.startswith("calibration")}
    card = replace(card, sides={**others, **sides})
    _write(encoder, card, out)
    return card


def usable_people(encoder: Encoder, source: Data, rules: IntakeRules | None) -> FaceDataset:
    """Load a data set without the people that the model was trained on."""
    faces = load_faces(encoder.card, source, rules)
    unseen = [person for person in faces.people if not encoder.card.has_seen(person, sides=("train",))]
    if len(unseen) < 2:
        raise DataError(
            f"at least two people in the data must be unseen, got {len(unseen)} of {len(faces.people)}: "
            "the model was trained on the others. Give photos of other people."
        )
    return faces.select_people(unseen)


def _names(sources: Sequence[Data]) -> list[str]:
    """Return what to call the people of each data set: by its file or folder, if there are several."""
    if len(sources) == 1:
        return ["calibration people"]
    names = [Path(source).name if isinstance(source, str) else f"data set {number + 1}" for number, source in enumerate(sources)]
    return [name if names.count(name) == 1 else f"{name} ({number + 1})" for number, name in enumerate(names)]


def _side_name(number: int) -> str:
    return "calibration" if number == 0 else f"calibration {number + 1}"


def _side(faces: FaceDataset) -> DataSide:
    return DataSide(faces.people, len(faces), faces.digest())


def _write(encoder: Encoder, card: Card, out: Path) -> None:
    """Write a copy of the model with another card."""
    if isinstance(encoder, OnnxEncoder):
        copy_with_card(encoder, card, out if out.suffix else out / EXPORTED)
        return
    from visavis.encoders.keras import KerasEncoder, save_model
    from visavis.models import head_of

    if not isinstance(encoder, KerasEncoder):
        raise ModelError("this encoder cannot be written with a card. Calibrate a run folder, a .keras or a .onnx file")
    if out.suffix not in ("", ".keras"):
        raise ValueError(f"out must be a run folder or end in .keras for a Keras model, got {out}")
    if card.calibration is not None:
        head_of(encoder.siamese).calibrate(card.calibration.offset, card.calibration.slope)
    save_model(out, encoder.siamese, card)
