"""Train an embedding network: batches in, a Siamese model with a fitted head out, resumable at any moment."""

import json
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from visavis.data import Split, check_leaks
from visavis.encoders.loading import CHECKPOINT
from visavis.errors import TrainingError
from visavis.files import write_csv
from visavis.metrics import ErrorCurve, all_pairs_curve, equal_error_rate
from visavis.metrics.calibration import Calibration, fit_sigmoid
from visavis.models import DistanceSigmoid, PairLogits, build_embedding, build_siamese, copy_network, embedding_of, head_of
from visavis.training.adaptation import adapt
from visavis.training.batches import Batches
from visavis.training.checkpoints import Checkpoint, check_vacant, load_checkpoint, save_checkpoint
from visavis.training.configuration import LOSSES, TrainingConfig, config_for
from visavis.training.devices import Devices, compiling
from visavis.training.validation import Selection

__all__ = ["Trainer", "TrainingRun", "train"]


class BatchSource(Protocol):
    """The batches of a training run."""

    def __getitem__(self, step: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[Any]]:
        """Return photos `(b, h, w, c)` and what the loss wants to know of them, `(b, ...)`; always the same for one step."""


HISTORY = "history.csv"


@dataclass(frozen=True)
class TrainingRun:
    """What a training run gives.

    Attributes:
        siamese: The model of two inputs, head fitted.
        config: How it was trained.
        history: One row for each look: step, loss, learning_rate, validation_eer.
        best_step: The step that the weights are from: the last (0 where training goes on from a start), unless another look was
            better by a standard error.
        validation: The errors on all pairs of the validation people at that step, as the finished model embeds.
        threshold: The comparison score (cosine) from which the head says "the same person".
        shrinkage: How the start was brought to the training people first, see `adaptation.adapt`; None: it was not.
    """

    siamese: keras.Model
    config: TrainingConfig
    history: list[dict[str, float]]
    best_step: int
    validation: ErrorCurve
    threshold: float
    shrinkage: float | None = None

    @property
    def validation_eer(self) -> float:
        """The equal error rate of the validation people, all pairs."""
        return equal_error_rate(self.validation)[0]


def train(
    split: Split,
    config: TrainingConfig | None = None,
    *,
    start: keras.Model | None = None,
    out: Path | str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    devices: Devices | None = None,
    progress: bool = True,
    watch: Callable[[dict[str, float]], None] | None = None,
) -> TrainingRun:
    """Train an embedding network, look at the validation people as it goes, and fit the head on them.

    Args:
        split: The people to learn from, and those who choose the weights and the threshold; the test people are not looked at.
        config: How to train; what `config_for` chooses if None.
        start: A trained embedding network to go on from, brought to the training people by `adapt` first; it is left as it is, and
            so are its batch statistics. Where no step is better on the validation people by a standard error, that start is what
            comes back. None: random weights.
        out: A folder for the checkpoint and `history.csv`; nothing is written if None.
        resume: Go on from the checkpoint in `out`; the result is that of a run which was never interrupted.
        overwrite: Train anew over the run that `out` holds.
        devices: What `use_devices` gave, where several devices or machines share each batch; the first process writes the files.
        progress: Whether to show a bar on standard error.
        watch: Called with each row of the history when it is made.

    Returns:
        The model and how it came about.

    Raises:
        LeakError: If a photo stands on two sides, or a person (unless the split says that it is by photo).
        DataError: If a side has too few people or photos.
        TrainingError: If the loss is no longer finite, if all embeddings have become alike, or if the checkpoint is of
            another run, or if `out` holds a run and is neither to be resumed nor overwritten.
    """
    if out is not None and not (resume or overwrite):
        check_vacant(out)
    check_leaks(people=split.by == "person", train=split.train, validation=split.validation, test=split.test)
    config = config or config_for(split.train, trained=start is not None)
    devices = devices or Devices()
    shrinkage = None
    if start is not None and config.adapt:
        start, shrinkage = adapt(start, split, flip=config.flip, agreed=devices.agreed)
    with devices.scope():
        network = None if start is None else copy_network(start)
    out = Path(out) if out else None
    trainer = Trainer(split, config, network=network, trained=start is not None, out=out, devices=devices)
    if resume:
        trainer.restore()
    trainer.run(progress=progress and devices.writes, watch=watch)
    return replace(trainer.finish(), shrinkage=shrinkage)


class Trainer:
    """One training run: its model, its step, its best weights and its history. `train` is what drives it.

    Attributes:
        siamese: The model, with the weights of the present step.
        step: How many batches it was trained on.
        selection: The looks at the validation people, and the weights that are kept.
    """

    def __init__(
        self,
        split: Split,
        config: TrainingConfig,
        *,
        network: keras.Model | None = None,
        trained: bool = False,
        out: Path | None = None,
        batches: BatchSource | None = None,
        loss: keras.losses.Loss | None = None,
        devices: Devices | None = None,
    ) -> None:
        """Begin at step 0.

        Args:
            split: As in `train`.
            config: How to train.
            network: The embedding network to train, in place; None: a new one.
            trained: Whether it was trained before, so that its batch statistics stay as they are.
            out: A folder for the checkpoint and `history.csv`, or None.
            batches: What to learn from in the place of the training people's labels: photos and what the loss wants to know of
                them, for each step; None: batches of the training people.
            loss: What goes with `batches`; None: the config's.
            devices: As in `train`; a `network` must have been made in their scope.

        Raises:
            DataError: If the training side has too few people or photos.
        """
        training, validation = split.train, split.validation
        self.config, self.out = config, out
        changes = config.augmentation if config.flip else replace(config.augmentation, flip=0.0)
        self.batches = batches or Batches(training, config.batch, changes, seed=config.seed)
        self.loss = loss or LOSSES[config.loss](**config.loss_options)
        self.identity = json.dumps([config.to_json(), training.digest(), validation.digest()], sort_keys=True)
        self.trained, self.devices = trained, devices or Devices()
        with self.devices.scope():
            self.embedding = network or _fresh(config, training.shape)
            self.head = DistanceSigmoid(dtype="float32", name="head")
            self.siamese = build_siamese(self.embedding, self.head)
        # What is looked at and handed over: where devices share the training, a copy that is on one device alone.
        shown = build_siamese(copy_network(self.embedding)) if self.devices.shared else self.siamese
        self.selection = Selection(shown, validation, config, trained=trained, agreed=self.devices.agreed)
        self.step = 0
        self.model = self._compiled()

    def _compiled(self) -> keras.Model:
        """The model that is trained at this step: photos in, and out what the loss looks at."""
        config = self.config
        frozen = self.step < config.frozen_steps
        steps = config.frozen_steps if frozen else config.steps - config.frozen_steps
        rate = config.learning_rate * (config.thawed_rate if config.frozen_steps and not frozen else 1)
        if self.trained:
            for layer in self.embedding.layers:
                statistics = isinstance(layer, keras.layers.BatchNormalization)
                layer.trainable = not statistics and (not frozen or isinstance(layer, keras.layers.Dense))
        with self.devices.scope():
            # The embedding network itself is never compiled: a loss that it remembered would travel into every file of it.
            model = keras.Model(self.embedding.input, self.embedding.output)
            if self.config.loss == "binary-crossentropy":
                logits = PairLogits(self.head, dtype="float32")(self.embedding.output)
                model = keras.Model(self.embedding.input, logits)
            optimizer = keras.optimizers.AdamW(_schedule(rate, steps, config), weight_decay=config.weight_decay)
            model.compile(optimizer, loss=self.loss, jit_compile=compiling(steps))
            optimizer.build(model.trainable_variables)
        return model

    def run(self, *, progress: bool, watch: Callable[[dict[str, float]], None] | None) -> None:
        """Train from the present step to the last, or until patience ends."""
        config = self.config
        losses: list[float] = []
        if self.trained and self.step == 0:
            self.selection.average(self.siamese.weights, self.step)
            self._look(math.nan)
        with tqdm(total=config.steps, initial=self.step, desc="training", unit="batch", disable=not progress) as bar:
            for photos, labels in self._prefetched():
                if self.step and self.step == config.frozen_steps:
                    self.model = self._compiled()
                loss = self._train_on(photos, labels)
                self.step += 1
                if not math.isfinite(loss):
                    raise TrainingError(self._explain_divergence(loss))
                self.selection.average(self.siamese.weights, self.step)
                losses.append(loss)
                bar.update()
                if self.step % config.validate_every == 0 or self.step == config.steps:
                    self._look(float(np.mean(losses)))
                    losses.clear()
                    if watch:
                        watch(self.selection.history[-1])
                    bar.set_postfix_str(self._postfix(loss))
                    if self.selection.out_of_patience():
                        break
                elif self.step % 10 == 0:
                    bar.set_postfix_str(self._postfix(loss))

    def _train_on(self, photos: npt.NDArray[np.uint8], labels: npt.NDArray[Any]) -> float:
        """Take one step, and return the loss of the whole batch."""
        own = [self.devices.part(part) for part in (photos, labels)]
        with self.devices.scope():
            self.model.reset_metrics()  # Keras would report the mean of all batches so far
            return float(self.model.train_on_batch(*own))

    def _prefetched(self) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[Any]]]:
        """The batches from the present step on, the next ones made while one is trained on."""
        ahead = 3
        with ThreadPoolExecutor(max_workers=1) as pool:
            steps = range(self.step, self.config.steps)
            waiting = [pool.submit(self.batches.__getitem__, step) for step in steps[:ahead]]
            for step in steps:
                if step + ahead < self.config.steps:
                    waiting.append(pool.submit(self.batches.__getitem__, step + ahead))
                yield waiting.pop(0).result()

    def _look(self, loss: float) -> None:
        """Look at the validation people, and write history and checkpoint."""
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        self.selection.look(self.step, loss=loss, rate=rate)
        if self.out is not None and self.devices.writes:
            self._write(self.out)

    def _postfix(self, loss: float) -> str:
        history = self.selection.history
        seen = f", validation EER {100 * history[-1]['validation_eer']:.2f} %" if history else ""
        return f"loss {loss:.4f}{seen}"

    def _explain_divergence(self, loss: float) -> str:
        history = self.selection.history
        kept = f" The checkpoint of step {int(history[-1]['step'])} is kept." if self.out and history else ""
        return (
            f"training diverged: the loss of step {self.step} is {loss}. "
            f"Lower the learning rate ({self.config.learning_rate}).{kept}"
        )

    def finish(self) -> TrainingRun:
        """Choose the weights, fit the head on the validation people, and hand the model over."""
        selection = self.selection
        head = head_of(selection.shown)
        embedding_of(selection.shown).trainable = True
        curve = all_pairs_curve(selection.choose(), selection.validation.labels)
        if self.config.loss != "binary-crossentropy":
            head.calibrate(*fit_sigmoid(curve))
        return TrainingRun(
            siamese=selection.shown,
            config=self.config,
            history=selection.history,
            best_step=selection.best_step,
            validation=curve,
            threshold=Calibration(*head.calibration()).even_score,
        )

    def _write(self, out: Path) -> None:
        """Write history and checkpoint."""
        selection = self.selection
        write_csv(out / HISTORY, selection.history[0], [row.values() for row in selection.history])
        state = {"identity": self.identity, "step": self.step, **selection.state()}
        weights = [keras.ops.convert_to_numpy(variable) for variable in self._variables()]
        save_checkpoint(out / CHECKPOINT, Checkpoint(state, weights, selection.mean_weights, selection.best_weights))

    def restore(self) -> None:
        """Go back to where the checkpoint was written.

        Raises:
            TrainingError: If there is none, or if it was written with other settings or other people.
            ValueError: If the run has no folder.
        """
        if self.out is None:
            raise ValueError("resume needs the folder that the run was written to. Received: out=None")
        checkpoint = load_checkpoint(self.out / CHECKPOINT)
        if checkpoint.state["identity"] != self.identity:
            raise TrainingError(
                f"{self.out / CHECKPOINT}: written with other settings or other photos. "
                "Resume with the same ones, or train into another folder."
            )
        self.step = checkpoint.state["step"]
        self.selection.restore(checkpoint)
        if self.config.frozen_steps and self.step > self.config.frozen_steps:
            self.model = self._compiled()
        with self.devices.scope():
            for variable, value in zip(self._variables(), checkpoint.weights, strict=True):
                variable.assign(value)

    def _variables(self) -> list[keras.Variable]:
        return [*self.siamese.variables, *self.model.optimizer.variables]


def _fresh(config: TrainingConfig, shape: tuple[int, int, int]) -> keras.Model:
    return build_embedding(
        config.network,
        shape,
        embedding_size=config.embedding_size,
        seed=config.seed,
        dtype="mixed_bfloat16" if config.mixed_precision else "float32",
    )


def _schedule(rate: float, steps: int, config: TrainingConfig) -> keras.optimizers.schedules.LearningRateSchedule:
    """A linear rise to the rate, then half a cosine down to zero."""
    warmup = max(1, round(config.warmup * steps))
    return keras.optimizers.schedules.CosineDecay(0.0, max(1, steps - warmup), warmup_target=rate, warmup_steps=warmup)
