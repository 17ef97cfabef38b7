"""Quantise a model to 8 bits, and refuse what loses too much accuracy."""

import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from visavis.data import FaceDataset, IntakeRules
from visavis.encoders import Encoder, OnnxEncoder, embed_faces, load_encoder, quantization
from visavis.encoders.card import Card
from visavis.encoders.onnx import load_onnx
from visavis.errors import DataError, ModelError
from visavis.evaluation.calibrate import usable_people
from visavis.files import atomic_write, check_path
from visavis.metrics import score_all_pairs
from visavis.metrics.bootstrap import paired_equal_error_rates
from visavis.wording import counted

__all__ = ["Quantization", "QuantizationOptions", "quantize_model"]

_RANGE_FACES = 256  # more change the ranges of activations little
_NOT_MEASURED = "the model in 8 bits"


@dataclass(frozen=True)
class QuantizationOptions:
    """How `quantize_model` works.

    Attributes:
        max_loss: By how much the equal error rate may rise, 0 .. 1.
        rules: Which files are photos, and whose, and the limits of one; None: the usual rules.
        names: Whether the card keeps the names of the people of training, validation and test; False: digests instead.
        progress: Whether to show a bar on standard error.
    """

    max_loss: float = 0.002
    rules: IntakeRules | None = None
    names: bool = True
    progress: bool = False

    def __post_init__(self) -> None:
        """Check the limit."""
        if not 0 <= self.max_loss <= 1:
            raise ValueError(f"max_loss must be in [0, 1], got {self.max_loss}")


@dataclass(frozen=True)
class Quantization:
    """What a model loses in 8 bits, measured on people whose faces did not set the ranges.

    Attributes:
        out: The file.
        size: Its size in bytes.
        people: Number of people measured.
        photos: Their photos.
        eer: Equal error rate of the model, all pairs.
        quantized_eer: That of the model in 8 bits.
        difference: 95 % interval of `quantized_eer - eer`, from a paired bootstrap over people.
    """

    out: Path
    size: int
    people: int
    photos: int
    eer: float
    quantized_eer: float
    difference: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self), "out": str(self.out), "difference": list(self.difference)}

    def __str__(self) -> str:
        """Return a summary of two lines."""
        low, high = (100 * value for value in self.difference)
        return (
            f"{self.out}: {self.size / 1e6:.2f} MB; EER on {counted(self.people, 'person')} {self.eer:.2%} -> "
            f"{self.quantized_eer:.2%}, difference {low:+.2f} to {high:+.2f} percentage points (95 % interval, paired)\n"
            f"The thresholds are those of the model before. Measure them again: visavis calibrate {self.out} DATA --out FILE"
        )


def quantize_model(
    model: Path | str, data: str | FaceDataset, out: Path | str, options: QuantizationOptions | None = None
) -> Quantization:
    """Write a model as an ONNX file that computes in 8 bits, if it stays nearly as accurate.

    Half of the people set the ranges of the activations, the other half shows what is lost. The card keeps the thresholds, and says
    that they were not measured on the model in 8 bits.

    Args:
        model: What `load_encoder` takes.
        data: What `load_dataset` takes, or a data set. People that the model was trained on are left out by name.
        out: The file to write, `.onnx`.
        options: How to do it; None: `QuantizationOptions()`.

    Raises:
        DataError: If there are fewer than four unseen people, or fewer than two in the other half have several photos.
        ModelError: If the model cannot be read or quantised, or if its equal error rate would rise by more than `max_loss`.
        MissingDependencyError: If the converter of Keras models is not installed.
        ValueError: If an argument is out of range.
    """
    options, out = options or QuantizationOptions(), check_path(out)
    if out.suffix != ".onnx":
        raise ValueError(f"out must end in .onnx, got {out}")
    encoder = load_encoder(model)
    ranges, measured = _halves(usable_people(encoder, data, options.rules))
    with tempfile.TemporaryDirectory() as folder, atomic_write(out) as temporary:
        source = _in_onnx(encoder, Path(folder) / "model.onnx", names=options.names)
        whole = Path(folder) / "quantized.onnx"
        quantization.write_quantized(replace(source, card=_marked(source.card)), ranges.faces[:_RANGE_FACES], whole)
        before, after = (
            score_all_pairs(embed_faces(each, measured, progress=options.progress), measured.labels)
            for each in (source, load_onnx(whole))
        )
        rates = paired_equal_error_rates(before, after)
        result = Quantization(out, whole.stat().st_size, before.compared, len(before.people), *rates)
        if result.quantized_eer - result.eer > options.max_loss:
            raise ModelError(
                f"{out}: in 8 bits the EER on {counted(result.people, 'person')} would rise from {result.eer:.2%} to "
                f"{result.quantized_eer:.2%}, more than max_loss {options.max_loss:.2%}; it was not written"
            )
        temporary.write_bytes(whole.read_bytes())
    return result


def _halves(faces: FaceDataset) -> tuple[FaceDataset, FaceDataset]:
    """Divide people at random: those who set ranges, and those who are measured."""
    people = list(np.random.default_rng(0).permutation(len(faces.people)))
    half = len(people) // 2
    chosen = [faces.select_people([faces.people[number] for number in part]) for part in (people[:half], people[half:])]
    several = int(np.count_nonzero(chosen[1].photos_per_person > 1))
    if half < 2 or several < 2:
        raise DataError(
            f"quantising needs at least four unseen people with two photos or more, got {len(people)}; "
            f"{several} of the half to be measured have two or more. Give photos of more people"
        )
    order = np.random.default_rng(0).permutation(len(chosen[0]))
    return chosen[0].select(order), chosen[1]


def _in_onnx(encoder: Encoder, path: Path, *, names: bool) -> OnnxEncoder:
    """Return an encoder as one that ONNX Runtime runs; a Keras model is exported first."""
    if isinstance(encoder, OnnxEncoder):
        return encoder if names else replace(encoder, card=encoder.card.without_names())
    from visavis.encoders.export import export_model
    from visavis.encoders.keras import KerasEncoder

    if not isinstance(encoder, KerasEncoder):
        raise ModelError("this encoder cannot be quantised. Name a run folder, a .keras or a .onnx file")
    return load_onnx(export_model(encoder, path, names=names))


def _marked(card: Card) -> Card:
    """Return a card whose thresholds say that they were not measured on the model in 8 bits."""
    rules = [replace(rule, refused_on=_NOT_MEASURED) for rule in card.rules]
    return replace(card, threshold=rules[0], operating_points=tuple(rules[1:])) if rules else card
