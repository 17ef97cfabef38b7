"""A model trained from data: faces in, a run folder with the model and its card out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visavis.data import FaceDataset, IntakeRules, default_crop, is_aligned, load_dataset, split_people, split_photos
from visavis.encoders import PRETRAINED_FILE, Encoder, load_faces
from visavis.encoders.card_calibration import with_rules
from visavis.errors import MissingDependencyError
from visavis.training.checkpoints import check_vacant

if TYPE_CHECKING:
    from visavis.training.devices import Devices

__all__ = ["DataSource", "default_init", "train_model"]


@dataclass(frozen=True)
class DataSource:
    """Where faces come from and how they are cut.

    Attributes:
        data: What `load_dataset` takes.
        size: The side of a face in pixels.
        crop: The part of a photo's shorter side that is kept around the centre; None: what suits the data set.
        gray: Whether the colour is taken out.
        seed: Draws generated faces and the split.
        rules: Which files are photos, and whose, and the limits of one; None: the usual rules.
    """

    data: str
    size: int = 64
    crop: float | None = None
    gray: bool = False
    seed: int = 0
    rules: IntakeRules | None = None

    def load(self) -> FaceDataset:
        """Read the faces."""
        return load_dataset(self.data, size=(self.size, self.size), crop=self.cut, gray=self.gray, seed=self.seed, rules=self.rules)

    @property
    def cut(self) -> float | None:
        """The centre crop that is used."""
        return self.crop if self.crop is not None else default_crop(self.data)


def train_model(
    source: DataSource,
    out: Path | str,
    *,
    config: dict[str, Any] | None = None,
    init: str = "scratch",
    by: str = "person",
    target_fmrs: Sequence[float] = (),
    resume: bool = False,
    overwrite: bool = False,
    devices: "Devices | None" = None,
    logging: dict[str, Any] | None = None,
) -> Encoder:
    """Load faces, split them, train, and write the model with its card.

    Args:
        source: The faces.
        out: The run folder.
        config: Fields of `TrainingConfig` that differ from what `config_for` chooses.
        init: Where the weights start: `"scratch"`, `"pretrained"`, or a run folder or `.keras` file; a trained network brings its
            own architecture and the size and colour of its faces.
        by: `"person"`, or `"photo"` to have the same people in training and test, which the card and every report then say.
        target_fmrs: False match rates to choose thresholds for on the validation people; the model decides by the first one's.
        resume: Go on from the checkpoint in `out`.
        overwrite: Train anew over the run that `out` holds.
        devices: What `use_devices` gave; None: one device.
        logging: `progress` (a bar on standard error), `tensorboard` (logs in `out`), `command` (for the card).

    Returns:
        The trained model.

    Raises:
        TrainingError: If `out` holds a run and is neither to be resumed nor overwritten; and as in `train`.
    """
    if not (resume or overwrite):
        check_vacant(out)
    faces = source.load() if init == "scratch" else None  # before Keras, which takes seconds to load

    from visavis.encoders.keras import KerasEncoder, load_model, load_pretrained, save_model
    from visavis.models import embedding_of
    from visavis.training.cards import make_card
    from visavis.training.configuration import config_for
    from visavis.training.trainer import train

    logging, chosen = logging or {}, config or {}
    start = None
    if faces is None:
        if "network" in chosen:
            raise ValueError(f"network goes with init='scratch' only. Received: network={chosen['network']!r}, init={init!r}")
        trained = load_pretrained() if init == "pretrained" else load_model(init)
        start = embedding_of(trained.siamese)
        chosen |= {name: trained.card.training[name] for name in ("network", "embedding_size")}
        faces = load_faces(trained.card, source.data, source.rules)
        source = replace(source, crop=trained.card.crop.centre)
    split = (split_people if by == "person" else split_photos)(faces, seed=source.seed)
    settings = config_for(split.train, trained=start is not None, **chosen)
    writes = devices is None or devices.writes
    run = train(
        split,
        settings,
        start=start,
        out=out,
        resume=resume,
        overwrite=overwrite,
        devices=devices,
        progress=logging.get("progress", True),
        watch=tensorboard_writer(Path(out)) if writes and logging.get("tensorboard") else None,
    )
    card = make_card(run, split, data=source.data, crop=source.cut, command=logging.get("command", ""))
    trained_model = KerasEncoder(replace(card, training={**card.training, "init": init}), run.siamese)
    if writes:
        save_model(out, run.siamese, trained_model.card)
    if target_fmrs:
        embeddings = trained_model.embed(split.validation.faces)
        card = with_rules(trained_model.card, embeddings, split.validation.labels, target_fmrs, chosen_on="validation people")
        if writes:
            save_model(out, run.siamese, card)
        trained_model = KerasEncoder(card, run.siamese)
    return trained_model


def default_init(data: str) -> str:
    """Return where weights start if nobody says: from the encoder that comes with visavis where the faces are aligned."""
    return "pretrained" if PRETRAINED_FILE.is_file() and is_aligned(data) else "scratch"


def tensorboard_writer(out: Path) -> Callable[[dict[str, float]], None]:
    """Return what writes each row of the history as TensorBoard scalars into `out/tensorboard`.

    Raises:
        MissingDependencyError: If TensorBoard is not installed.
    """
    try:
        from tensorboard.summary import Writer
    except ImportError as error:
        raise MissingDependencyError("TensorBoard logs need: pip install 'visavis[tensorboard]'") from error
    writer = Writer(str(out / "tensorboard"))

    def write(row: dict[str, float]) -> None:
        for name in row.keys() - {"step"}:
            writer.add_scalar(name, row[name], int(row["step"]))
        writer.flush()

    return write
