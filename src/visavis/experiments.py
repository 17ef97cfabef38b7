"""The main job from end to end: data in; a run folder with model, metrics, pictures and report out."""

import csv
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from visavis.cards import Card
from visavis.checkpoints import replaced
from visavis.datasets import (
    FaceDataset,
    PairProtocol,
    default_crop,
    is_aligned,
    load_dataset,
    read_pairs,
    split_people,
    split_photos,
)
from visavis.encoders import PRETRAINED_FILE, Encoder, embed_faces, load_encoder, load_faces
from visavis.errors import DataError, MissingDependencyError
from visavis.evaluation import METRICS, Evaluation, evaluate_all_pairs, evaluate_protocol, telling_pairs
from visavis.plots import plot_det, plot_history, plot_pairs, plot_reliability, plot_roc, plot_scores, save_figure
from visavis.recalibration import with_rules
from visavis.report import Picture, write_report

__all__ = ["DataSource", "Evaluated", "default_init", "evaluate_model", "train_model"]


@dataclass(frozen=True)
class DataSource:
    """Where faces come from and how they are cut.

    Attributes:
        data: What `load_dataset` takes.
        size: The side of a face in pixels.
        crop: The part of a photo's shorter side that is kept around the centre; None: what suits the data set.
        gray: Whether the colour is taken out.
        seed: Draws generated faces and the split.
    """

    data: str
    size: int = 64
    crop: float | None = None
    gray: bool = False
    seed: int = 0

    def load(self) -> FaceDataset:
        """Read the faces."""
        return load_dataset(self.data, size=(self.size, self.size), crop=self.cut, gray=self.gray, seed=self.seed)

    @property
    def cut(self) -> float | None:
        """The centre crop that is used."""
        return self.crop if self.crop is not None else default_crop(self.data)


@dataclass(frozen=True)
class Evaluated:
    """What `evaluate_model` found and where it wrote it.

    Attributes:
        evaluation: The numbers.
        report: The path of the report.
        left_out: How many people were left out because the model was trained or validated on them.
    """

    evaluation: Evaluation
    report: Path
    left_out: int


def train_model(
    source: DataSource,
    out: Path | str,
    *,
    config: dict[str, Any] | None = None,
    init: str = "scratch",
    by: str = "person",
    target_fmrs: Sequence[float] = (),
    resume: bool = False,
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
        logging: `progress` (a bar on standard error), `tensorboard` (logs in `out`), `command` (for the card).

    Returns:
        The trained model.
    """
    from visavis.configuration import config_for
    from visavis.models import embedding_of
    from visavis.runs import KerasEncoder, load_model, load_pretrained, make_card, save_model
    from visavis.training import train

    logging, chosen = logging or {}, config or {}
    start = None
    if init != "scratch":
        if "network" in chosen:
            raise ValueError(f"network goes with init='scratch' only. Received: network={chosen['network']!r}, init={init!r}")
        trained = load_pretrained() if init == "pretrained" else load_model(init)
        start = embedding_of(trained.siamese)
        chosen |= {name: trained.card.training[name] for name in ("network", "embedding_size")}
        faces = load_faces(trained.card, source.data)
        source = replace(source, crop=trained.card.crop)
    else:
        faces = source.load()
    split = (split_people if by == "person" else split_photos)(faces, seed=source.seed)
    settings = config_for(split.train, trained=start is not None, **chosen)
    run = train(
        split,
        settings,
        start=start,
        out=out,
        resume=resume,
        progress=logging.get("progress", True),
        watch=tensorboard_writer(Path(out)) if logging.get("tensorboard") else None,
    )
    card = make_card(run, split, data=source.data, crop=source.cut, command=logging.get("command", ""))
    trained_model = KerasEncoder(replace(card, training={**card.training, "init": init}), run.siamese)
    save_model(out, run.siamese, trained_model.card)
    if target_fmrs:
        embeddings = trained_model.embed(split.validation.faces)
        card = with_rules(trained_model.card, embeddings, split.validation.labels, target_fmrs, chosen_on="validation people")
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


def evaluate_model(
    model: Path | str | Encoder,
    data: str | FaceDataset,
    *,
    pairs: Path | str | None = None,
    people: str = "unseen",
    target_fmr: float | None = None,
    prior: float = 0.5,
    out: Path | str | None = None,
    command: str = "",
    progress: bool = False,
) -> Evaluated:
    """Measure a model on people that it never saw, and write metrics, pictures and a report.

    Args:
        model: What `load_encoder` takes, or an encoder.
        data: What `load_dataset` takes, or faces of the model's input shape.
        pairs: A protocol file; None: all pairs of the photos.
        people: `"unseen"` leaves out everybody whom the model was trained or validated on, by name; `"all"` keeps them, and the
            report says so.
        target_fmr: Decide by the model's threshold for this false match rate; None: by its usual one.
        prior: The part of mated pairs that the probabilities suppose when they are compared with the truth.
        out: The folder to write to; None: the model's.
        command: The command that was given, for the report.
        progress: Whether to show a bar on standard error.

    Raises:
        DataError: If fewer than two people are left, if the pairs are of people who are left out, or if the faces are not aligned
            as those were that the model learned from.
        ModelError: If the model has no threshold for `target_fmr`.
    """
    encoder = load_encoder(model) if isinstance(model, str | Path) else model
    out = _folder_of(model) if out is None else Path(out)
    faces = load_faces(encoder.card, data)
    chosen, left_out = _unseen(faces, encoder.card) if people == "unseen" else (faces, 0)
    embeddings = embed_faces(encoder, chosen, progress=progress)
    name = f"{len(chosen.people)} {'unseen ' if people == 'unseen' else ''}people"
    rule = encoder.card.rule(target_fmr) if encoder.card.threshold or target_fmr else None
    claims: dict[str, Any] = {} if rule is None else {"threshold": rule.score, "threshold_from": rule.chosen_on}
    claims |= {"rules": encoder.card.rules, "calibration": encoder.card.calibration, "prior": prior}
    protocol = None if pairs is None else read_pairs(pairs, chosen)
    if protocol is None:
        evaluation = evaluate_all_pairs(embeddings, chosen.labels, name=f"all pairs of {name}", **claims)
    else:
        evaluation = evaluate_protocol(embeddings, chosen.labels, protocol, **claims)
    trained_people = people == "all" or encoder.card.split == "photo"
    evaluation = replace(evaluation, trained_people=trained_people, data_digest=_digest(chosen, protocol))
    figures = _figures(evaluation, chosen, embeddings, out / "history.csv")
    report = _write_evaluation(out, encoder.card, evaluation, figures=figures, command=command)
    return Evaluated(evaluation, report, left_out)


def _digest(faces: FaceDataset, protocol: PairProtocol | None) -> str:
    """Of who is in which photo, and of the pairs; not of pixels, which models see at sizes of their own."""
    sha = hashlib.sha256()
    for label, source in zip(faces.labels, faces.sources, strict=True):
        sha.update(f"{faces.people[label]}\n{source}\n".encode())
    if protocol is not None:
        sha.update(np.ascontiguousarray(protocol.pairs).tobytes())
    return sha.hexdigest()


def _folder_of(model: Path | str | Encoder) -> Path:
    """Where the figures of a model go that were not asked for anywhere else."""
    if not isinstance(model, str | Path) or not Path(model).exists():
        raise ValueError("out must be given where the model is not a run folder or a file. Received: out=None")
    return Path(model) if Path(model).is_dir() else Path(model).parent


def _unseen(faces: FaceDataset, card: Card) -> tuple[FaceDataset, int]:
    """Leave out the people that a model was trained or validated on."""
    if card.split == "photo":
        return faces, 0
    unseen = [person for person in faces.people if not card.has_seen(person)]
    if len(unseen) < 2:
        raise DataError(
            f"{len(unseen)} of {len(faces.people)} people in the data are unseen: the model learned from the others. "
            "Give other people's photos, or ask for all people."
        )
    return faces.select_people(unseen), len(faces.people) - len(unseen)


def _write_evaluation(
    out: Path, card: Card, evaluation: Evaluation, *, figures: list[tuple[Figure, str, str]], command: str
) -> Path:
    """Write metrics, pictures and report into a folder; return the report's path."""
    pictures = []
    for figure, name, caption in figures:
        path = save_figure(figure, out / "pictures" / f"{name}.png")
        pictures.append(Picture(path.read_bytes(), caption, broad=name in ("best_and_worst", "comparison")))
    with replaced(out / METRICS) as temporary:
        resampled = {name: values.round(9).tolist() for name, values in evaluation.resampled.items()}
        temporary.write_text(json.dumps({**evaluation.to_json(), "resampled": resampled}), encoding="utf-8")
    return write_report(out / "report.html", evaluation, card, pictures=pictures, command=command)


def _figures(
    evaluation: Evaluation, faces: FaceDataset, embeddings: npt.NDArray[np.float32], history: Path
) -> list[tuple[Figure, str, str]]:
    """Draw what the report shows: figure, file name and caption of each."""
    curve, threshold, people = evaluation.curve, evaluation.threshold, evaluation.replicates
    figures = [
        (_figure_of(plot_scores(curve, threshold)), "scores", "Comparison scores of mated and non-mated pairs"),
        (_figure_of(plot_det(curve, replicates=people)), "det", "Detection error trade-off: both errors at every threshold"),
        (_figure_of(plot_roc(curve, replicates=people)), "roc", "True accept rate at every false match rate"),
    ]
    if evaluation.reliability is not None:
        caption = (
            f"How often pairs are mated, if {evaluation.reliability.prior:g} of all are, by the probability that the model gave"
        )
        figures.append((_figure_of(plot_reliability(evaluation.reliability)), "reliability", caption))
    if history.is_file():
        with history.open(newline="", encoding="utf-8") as file:
            rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
        figures.append((_figure_of(plot_history(rows)), "history", "Training loss and validation EER"))
    pairs, scores, titles = telling_pairs(embeddings, faces.labels)
    shown = np.stack([faces.gather(pairs[:, side]) for side in (0, 1)], axis=1)
    caption = "The mated pairs of the highest and of the lowest scores, and the non-mated pairs of the lowest and of the highest"
    return [*figures, (plot_pairs(shown, scores, titles), "best_and_worst", caption)]


def _figure_of(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure
