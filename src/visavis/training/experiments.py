"""Train a model from data: faces in, a run folder with the model and its card out."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from visavis.data import FaceDataset, IntakeRules, Split, default_crop, is_aligned, load_dataset, split_people, split_photos
from visavis.data.dataset import FACES
from visavis.encoders import PRETRAINED_FILE, Encoder, load_faces
from visavis.encoders.loading import EXPORTED
from visavis.errors import DataError, check_numbers, check_option
from visavis.files import check_path
from visavis.training.checkpoints import check_vacant
from visavis.training.run_options import RunOptions

if TYPE_CHECKING:
    from visavis.encoders.keras import KerasEncoder
    from visavis.training.results import TrainingRun

__all__ = ["DataSource", "default_init", "train_model"]

SplitBy = Literal["person", "photo"]


@dataclass(frozen=True)
class DataSource:
    """Where faces come from and how they are cropped.

    Attributes:
        data: What `load_dataset` takes, or a data set, which is used as it is: size, crop and gray are its own.
        size: Side of a face in pixels.
        crop: Centre crop: fraction of a photo's shorter side that is kept; None: what suits the data set.
        gray: Whether photos are converted to gray.
        seed: Seed of generated faces and of the split.
        rules: Which files are photos, and whose, and the limits of one; None: the usual rules.
    """

    data: str | Path | FaceDataset
    size: int = 64
    crop: float | None = None
    gray: bool = False
    seed: int = 0
    rules: IntakeRules | None = None

    def __post_init__(self) -> None:
        """Check that a data set is to be used as it is.

        Raises:
            ValueError: If another size, crop or colour is given.
        """
        check_numbers(self)
        if isinstance(self.data, FaceDataset):
            for option in fields(self):
                if option.name in ("size", "crop", "gray") and getattr(self, option.name) != option.default:
                    raise ValueError(f"{option.name} is that of the data set, got {getattr(self, option.name)!r}")

    def load(self) -> FaceDataset:
        """Read the faces."""
        if isinstance(self.data, FaceDataset):
            return self.data
        return load_dataset(self.data, size=(self.size, self.size), crop=self.cut, gray=self.gray, seed=self.seed, rules=self.rules)

    @property
    def cut(self) -> float | None:
        """The centre crop that is used."""
        return self.crop if self.crop is not None or isinstance(self.data, FaceDataset) else default_crop(self.data)

    @property
    def name(self) -> str:
        """What the card says of the faces."""
        return repr(self.data) if isinstance(self.data, FaceDataset) else str(self.data)


def train_model(
    source: DataSource | FaceDataset | Path | str,
    out: Path | str,
    *,
    config: Mapping[str, Any] | None = None,
    init: str | None = None,
    by: SplitBy = "person",
    options: RunOptions | None = None,
) -> Encoder:
    """Load faces, split them, train, and write the model with its card; also as ONNX where the extra `export` is installed.

    Args:
        source: The faces: what `load_dataset` takes, a data set, or a `DataSource` with their size and crop.
        out: The run folder.
        config: Hyperparameters that differ from what `config_for` chooses, as in `TrainingConfig.replace`.
        init: Initial weights: `"scratch"`, `"pretrained"`, or a run folder or `.keras` file. A trained network brings its own
            architecture and the size and colour of its faces. None: what `default_init` returns.
        by: What is split: `"person"`; or `"photo"`, with the same people in training and test, which the card and every report
            then state.
        options: Resume, overwrite, callbacks, devices, progress, command.

    Returns:
        The trained model. Where training started from a trained network, its card's `training["start"]` compares the two.

    Raises:
        TrainingError: If `out` holds a run that is neither to be resumed nor overwritten; and as in `train`.
        DataError: If the data cannot be used.
        ValueError: If an argument is out of range.
    """
    check_option("by", by, SplitBy)
    source = source if isinstance(source, DataSource) else DataSource(source)
    out, options = check_path(out), options or RunOptions()
    if not (options.resume or options.overwrite):
        check_vacant(out)
    init = init or default_init(source.data)
    if init != "scratch":
        return _fine_tune(source, out, init, dict(config or {}), by, options)
    faces = source.load()  # before Keras, which takes seconds to load
    split = _split(faces, by, source.seed)

    from visavis.encoders.keras import KerasEncoder
    from visavis.training.cards import make_card
    from visavis.training.trainer import train

    run = train(split, None, out=out, options=options, **dict(config or {}))
    card = make_card(run, split, data=source.name, crop=source.cut, command=options.command)
    encoder = KerasEncoder(replace(card, training={**card.training, "init": init}), run.siamese)
    return _written(encoder, out, options)


def _fine_tune(source: DataSource, out: Path, init: str, config: dict[str, Any], by: SplitBy, options: RunOptions) -> Encoder:
    """Train from a trained network, and compare the result with it."""
    if "network" in config:
        raise ValueError(f"network must not be given where init is a trained network, got {config['network']!r} and init={init!r}")

    from visavis.encoders.keras import KerasEncoder, load_model, load_pretrained
    from visavis.models import embedding_of
    from visavis.training.cards import make_card
    from visavis.training.start_comparison import compare_with_start
    from visavis.training.trainer import train

    start = load_pretrained() if init == "pretrained" else load_model(init)
    split = _split(load_faces(start.card, source.data, source.rules), by, source.seed)
    network = embedding_of(start.siamese)
    run = train(split, None, start=network, out=out, options=options, network=network, **config)
    kept = run.best_step == 0 and run.shrinkage is None
    card = make_card(
        run,
        split,
        data=source.name,
        crop=start.card.crop.centre,
        command=options.command,
        refused_as=start.card if kept else None,
    )
    described: dict[str, Any] = {
        name: start.card.training[name] for name in ("network", "embedding_size") if name in start.card.training
    }
    card = replace(card, training={**card.training, **described, "init": init})
    if kept and not run.config.validation.target_fmrs:
        card = _with_decisions_of(start, card)
        _calibrate_head(run, card)
    encoder = KerasEncoder(card, run.siamese)
    name = "the bundled encoder" if init == "pretrained" else init
    comparison = compare_with_start(start, encoder, split.validation, name=name, kept=kept)
    card = replace(card, training={**card.training, "start": {**comparison.to_json(), "summary": str(comparison)}})
    return _written(KerasEncoder(card, run.siamese), out, options)


def _with_decisions_of(start: "KerasEncoder", card: Any) -> Any:
    """Return a card that decides as the start does, which more people chose than the validation people, if the start decides."""
    if start.card.threshold is None:
        return card
    names = ("flip", "calibration", "histogram")
    first, *others = (replace(point, refused_on="validation people") for point in start.card.rules)
    return replace(card, threshold=first, operating_points=tuple(others), **{name: getattr(start.card, name) for name in names})


def _calibrate_head(run: "TrainingRun", card: Any) -> None:
    from visavis.models import head_of

    if card.calibration is not None:
        head_of(run.siamese).calibrate(card.calibration.offset, card.calibration.slope)


def _split(faces: FaceDataset, by: SplitBy, seed: int) -> Split:
    return split_people(faces, seed=seed) if by == "person" else split_photos(faces, seed=seed)


def _written(encoder: "KerasEncoder", out: Path, options: RunOptions) -> "KerasEncoder":
    """Write the model, and its ONNX file where the converter is installed."""
    from visavis.backend import keras
    from visavis.encoders.keras import save_model

    if options.devices is None or options.devices.primary:
        (out / EXPORTED).unlink(missing_ok=True)  # never beside another model
        save_model(out, encoder.siamese, encoder.card)
        if find_spec("tf2onnx") and keras.backend.backend() == "tensorflow":
            _export(encoder, out / EXPORTED)
    return encoder


def _export(encoder: "KerasEncoder", path: Path) -> None:
    """Write the ONNX file; of a network that cannot be converted, a warning says so, and `model.keras` is the result."""
    from visavis.encoders.export import export_model

    try:
        export_model(encoder, path)
    except Exception as error:  # the converter raises whatever its parts raise, and must not cost a finished training
        warnings.warn(f"{path} was not written: {error}", stacklevel=2)


def default_init(data: str | Path | FaceDataset) -> str:
    """Return the initial weights that suit a data set: `"pretrained"` for aligned faces, else `"scratch"`.

    Raises:
        DataError: If the data are photos in a folder or archive, which may show whole scenes: faces are prepared first.
    """
    if data.aligned if isinstance(data, FaceDataset) else is_aligned(data):
        return "pretrained" if PRETRAINED_FILE.is_file() else "scratch"
    if isinstance(data, FaceDataset):
        return "scratch"
    path = Path(data)
    photos = path.is_dir() and not (path / FACES).is_file()  # not faces that `FaceDataset.save` wrote
    if default_crop(data) is None and (photos or path.suffix in (".tar", ".tgz", ".gz", ".zip")):
        raise DataError(
            f"{data}: these photos are not aligned faces. Prepare them first: visavis prepare {data} --out FACES, then train on "
            "FACES. To train on photos as they are, of other objects or already cropped: --init scratch"
        )
    return "scratch"
