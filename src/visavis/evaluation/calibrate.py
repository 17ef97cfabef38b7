"""Decision rules and probabilities for one's own camera and people, without training."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from visavis.data import FaceDataset, IntakeRules
from visavis.encoders import Encoder, OnnxEncoder, embed_faces, load_encoder, load_faces
from visavis.encoders.card import Card, DataSide
from visavis.encoders.card_calibration import calibrated
from visavis.encoders.loading import EXPORTED
from visavis.encoders.onnx import copy_with_card
from visavis.errors import DataError, ModelError

__all__ = ["calibrate_model"]


def calibrate_model(
    model: Path | str,
    data: str | FaceDataset,
    out: Path | str,
    *,
    target_fmrs: Sequence[float] = (),
    method: str = "logistic",
    rules: IntakeRules | None = None,
    progress: bool = False,
) -> Card:
    """Choose thresholds and fit probabilities on people that the model did not learn from; write the model with its new card.

    Args:
        model: What `load_encoder` takes.
        data: What `load_dataset` takes, or faces of the model's input shape; people that it was trained on are left out by name.
        out: The file to write, `.onnx` for an ONNX model and `.keras` for a Keras model; or a run folder.
        target_fmrs: False match rates to keep. By the first one's threshold the model decides from then on; none: it decides for
            the likelier of one person and two.
        method: `"logistic"` or `"isotonic"`, see `calibration.fit_calibration`.
        rules: Which files are photos, and whose, and the limits of one; None: the usual rules.
        progress: Whether to show a bar on standard error.

    Returns:
        The new card.

    Raises:
        DataError: If these people are too few to show such a rate.
        ModelError: If the model cannot be read, or not be written.
        ValueError: If an argument is out of range.
    """
    encoder = load_encoder(model)
    faces = load_faces(encoder.card, data, rules)
    strangers = [person for person in faces.people if not encoder.card.has_seen(person, sides=("train",))]
    if len(strangers) < 2:
        raise DataError(
            f"{len(strangers)} of {len(faces.people)} people in the data are strangers to the model: it learned from the others. "
            "Give other people's photos."
        )
    faces = faces.select_people(strangers)
    embeddings = embed_faces(encoder, faces, progress=progress)
    card = calibrated(encoder.card, embeddings, faces.labels, target_fmrs=target_fmrs, method=method)
    side = DataSide(faces.people, len(faces), faces.digest())
    card = replace(card, sides={**card.sides, "calibration": side})
    _write(encoder, card, Path(out))
    return card


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
        raise ValueError(f"out must be a run folder or end in .keras, as the model is Keras's. Received: out={out}")
    if card.calibration is not None:
        head_of(encoder.siamese).calibrate(card.calibration.offset, card.calibration.slope)
    save_model(out, encoder.siamese, card)
