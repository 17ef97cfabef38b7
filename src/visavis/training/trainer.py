"""Train an embedding network: batches in, a Siamese model with a calibrated head out; resumable at every validation step."""

import json
import logging
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from visavis.backend import keras
from visavis.data import Split, check_leaks
from visavis.encoders.loading import CHECKPOINT
from visavis.errors import DataError, TrainingError
from visavis.files import write_csv
from visavis.metrics import all_pairs_curve
from visavis.metrics.calibration import fit_sigmoid
from visavis.models import (
    DistanceSigmoid,
    as_embedding,
    build_embedding,
    build_siamese,
    copy_network,
    embedding_of,
    head_of,
)
from visavis.models.losses import BatchBinaryCrossentropy
from visavis.models.mobilenet import is_mobilenet
from visavis.training.adaptation import adapt
from visavis.training.batches import Batches
from visavis.training.checkpoints import Checkpoint, check_vacant, load_checkpoint, save_checkpoint
from visavis.training.configuration import TrainingConfig, build_loss, config_for
from visavis.training.devices import Devices, jit_compile
from visavis.training.frozen import FrozenTrunk, can_be_cut, freeze
from visavis.training.optimizers import build_optimizer
from visavis.training.results import TrainingRun
from visavis.training.run_options import RunOptions
from visavis.training.training_model import build_loss_layer, build_training_model, start_centres
from visavis.training.validation import ValidationMonitor

__all__ = ["Trainer", "train"]


class BatchSource(Protocol):
    """The batches of a training run."""

    def __getitem__(self, step: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[Any]]:
        """Return photos `(b, h, w, c)` and the loss's targets `(b, ...)` of a step; always the same for one step."""


HISTORY = "history.csv"
_PREFETCH = 3  # batches
_FLAT = 1e-4  # offset and slope of a head whose probabilities are 0.5
_logger = logging.getLogger("visavis")


def train(
    split: Split,
    config: TrainingConfig | None = None,
    *,
    start: keras.Model | None = None,
    out: Path | str | None = None,
    options: RunOptions | None = None,
    **changes: Any,
) -> TrainingRun:
    """Train an embedding network on the training people, and select weights and calibrate the head on the validation people.

    Args:
        split: Training and validation people; the test people are not used.
        config: The hyperparameters; None: those that `config_for` chooses.
        start: A trained network to start from: an embedding network from photos `(n, h, w, c)` to embeddings `(n, d)`, or a
            Siamese model. It is adapted to the training people by `adapt` first. The model that is passed in does not change; its
            batch statistics are kept. If no validation step is better by a standard error, the start is the result. None: random
            weights.
        out: A folder for the checkpoint and `history.csv`; None: nothing is written.
        options: Resume, callbacks, devices, progress.
        **changes: Hyperparameters that differ from `config`, as in `TrainingConfig.replace`: `loss=MyLoss()`, `steps=40`.

    Returns:
        The trained model and its history.

    Raises:
        LeakError: If a photo is on two sides, or a person (unless the split is by photo).
        DataError: If a side has too few people or photos.
        TrainingError: If the loss is not finite, if all embeddings have become alike, if the checkpoint is of another run, or if
            `out` holds a run that is neither to be resumed nor overwritten.
        ValueError: If an argument is out of range.

    Example:
        >>> faces = visavis.generate_faces(people=20, photos=4, size=32)  # doctest: +SKIP
        >>> run = visavis.train(visavis.split_people(faces), loss="contrastive", steps=40)  # doctest: +SKIP
    """
    options = options or RunOptions()
    if out is not None and not (options.resume or options.overwrite):
        check_vacant(out)
    check_leaks(people=split.by == "person", train=split.train, validation=split.validation, test=split.test)
    if start is not None:
        start = as_embedding(start, split.train.shape)
    config = _suited_config(split, start, changes) if config is None else config.replace(**changes)
    devices = options.devices or Devices()
    shrinkage = None
    if start is not None and config.fine_tuning.whitening:
        start, shrinkage = adapt(start, split, flip=config.flip, broadcast=devices.broadcast)
    with devices.scope():
        network = None if start is None else copy_network(start)
    trainer = Trainer(split, config, start=network, out=out, options=options)
    if options.resume:
        trainer.restore()
    trainer.run()
    return replace(trainer.finish(), shrinkage=shrinkage)


def _suited_config(split: Split, start: keras.Model | None, changes: dict[str, Any]) -> TrainingConfig:
    """Return the config for a data set. Of the bundled encoder's network, which is large, only the last layer is trained."""
    frozen = start is not None and is_mobilenet(start)
    return config_for(split.train, trained=start is not None, frozen=frozen, **changes)


class Trainer:
    """A training run: model, step, history and best weights. Use `train`, unless the batches are your own.

    Attributes:
        siamese: The model with the weights of the present step.
        step: Number of batches it was trained on.
        monitor: Validation steps and the weights that are kept.
    """

    def __init__(
        self,
        split: Split,
        config: TrainingConfig,
        *,
        start: keras.Model | None = None,
        batches: BatchSource | None = None,
        out: Path | str | None = None,
        options: RunOptions | None = None,
    ) -> None:
        """Start at step 0.

        Args:
            split: As in `train`.
            config: The hyperparameters.
            start: A trained embedding network, whose batch statistics are kept. It is trained in place, and must be created in
                the scope of the options' devices. None: a new network.
            batches: Photos and targets of each step; None: batches of the training people with their labels.
            out: A folder for the checkpoint and `history.csv`, or None.
            options: As in `train`.

        Raises:
            DataError: If the training side has too few people or photos.
            ValueError: If the run is to be resumed and has no folder.
        """
        self.options = options or RunOptions()
        self.config, self.out, self.devices = config, Path(out) if out else None, self.options.devices or Devices()
        if self.options.resume and self.out is None:
            raise ValueError("out must be the folder of the run to resume, got None")
        training, validation = split.train, split.validation
        augmentation = config.augmentation if config.flip else replace(config.augmentation, flip=0.0)
        self.batches = batches or Batches(training, config.batch, augmentation, seed=config.seed)
        self.loss = build_loss(config)
        self.identity = json.dumps([config.to_json(), training.digest(), validation.digest()], sort_keys=True)
        self.trained = start is not None
        with self.devices.scope():
            self.embedding = start or _new_network(config, training.shape)
            self.head = DistanceSigmoid(dtype="float32", name="head")
            self.siamese = build_siamese(self.embedding, self.head)
            self.loss_layer = build_loss_layer(config, self.loss, classes=len(training.people), head=self.head)
        # With several devices, the model for validation and export is a copy that lives on one device.
        exported = build_siamese(copy_network(self.embedding)) if self.devices.distributed else self.siamese
        self.monitor = ValidationMonitor(exported, validation, config, trained=self.trained, broadcast=self.devices.broadcast)
        self.step, self.stopped = 0, False
        self.model = self._compile()
        if self.trained and not self.options.resume:
            start_centres(self.loss_layer, embedding_of(exported), training)

    @property
    def head_warmup_steps(self) -> int:
        """Number of first steps in which all layers but the last are frozen; 0 without a trained network."""
        return self.config.fine_tuning.head_warmup_steps if self.trained else 0

    def _compile(self) -> keras.Model:
        """Return the model to train at this step: photos in, the loss's predictions out."""
        config, frozen = self.config, self.step < self.head_warmup_steps
        steps = self.head_warmup_steps if frozen else config.optimization.steps - self.head_warmup_steps
        multiplier = config.fine_tuning.learning_rate_multiplier if self.trained and not frozen else 1.0
        if self.trained:
            freeze(self.embedding, but_the_last=frozen)
        # While the trunk is frozen it runs outside of the training step, without gradients; the bundled encoder's in ONNX Runtime.
        fast = frozen and can_be_cut(self.embedding) and not self.devices.distributed
        self.trunk = self.monitor.trunk = FrozenTrunk(self.embedding) if fast else None
        with self.devices.scope():
            model, loss = build_training_model(self.embedding, self.loss, self.loss_layer, trunk=self.trunk, head=self.head)
            optimizer = build_optimizer(config.optimization, steps=steps, multiplier=multiplier)
            model.compile(optimizer, loss=loss, jit_compile=jit_compile())
            optimizer.build(model.trainable_variables)
        return model

    def run(self) -> None:
        """Train from the present step to the last, or until it stops early; a run that has stopped early stays as it is."""
        if self.stopped:
            return
        callbacks = keras.callbacks.CallbackList(list(self.options.callbacks), model=self.model)
        callbacks.on_train_begin()
        if self.trained and self.step == 0:
            self.monitor.update_ema(self.siamese.weights, self.step)
            self._validate(math.nan)
        steps = self.config.optimization.steps
        hidden = {None: None, True: False, False: True}[self.options.progress if self.devices.primary else False]
        if not self.stopped:
            with tqdm(total=steps, initial=self.step, desc="training", unit="batch", disable=hidden) as bar:
                self._run_steps(callbacks, bar)
        callbacks.on_train_end()

    def _run_steps(self, callbacks: keras.callbacks.CallbackList, bar: tqdm) -> None:
        losses: list[float] = []
        for photos, targets in self._prefetched():
            if self.step and self.step == self.head_warmup_steps:
                self.model = self._compile()
                callbacks.set_model(self.model)
            if not losses:
                callbacks.on_epoch_begin(len(self.monitor.history))
            callbacks.on_train_batch_begin(self.step)
            losses.append(self._train_step(photos, targets))
            callbacks.on_train_batch_end(self.step - 1, {"loss": losses[-1]})
            bar.update()
            if self.monitor.is_due(self.step):
                self._validate(float(np.mean(losses)), callbacks)
                losses.clear()
                bar.set_postfix_str(self._progress_text())
                if self.stopped:
                    break

    def _train_step(self, photos: npt.NDArray[np.uint8], targets: npt.NDArray[Any]) -> float:
        """Train on one batch, and return its loss.

        Raises:
            TrainingError: If it is not finite.
        """
        inputs = self.trunk.features(photos) if self.trunk else photos
        inputs, targets = self.devices.shard(inputs), self.devices.shard(targets)
        with self.devices.scope():
            self.model.reset_metrics()  # else Keras reports the mean of all batches so far
            loss = float(self.model.train_on_batch([inputs, targets] if self.loss_layer else inputs, targets))
        self.step += 1
        if not math.isfinite(loss):
            raise TrainingError(self._divergence(loss))
        self.monitor.update_ema(self.siamese.weights, self.step)
        return loss

    def _prefetched(self) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[Any]]]:
        """Yield the batches from the present step on, while a thread makes the next ones."""
        last = self.config.optimization.steps
        with ThreadPoolExecutor(max_workers=1) as pool:
            steps = range(self.step, last)
            pending = [pool.submit(self.batches.__getitem__, step) for step in steps[:_PREFETCH]]
            for step in steps:
                if step + _PREFETCH < last:
                    pending.append(pool.submit(self.batches.__getitem__, step + _PREFETCH))
                yield pending.pop(0).result()

    def _validate(self, loss: float, callbacks: keras.callbacks.CallbackList | None = None) -> None:
        """Validate, report to the callbacks, and write history and checkpoint."""
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        self.monitor.validate(self.step, loss=loss, learning_rate=rate)
        self.stopped = self.monitor.should_stop
        if callbacks is not None:
            self.model.stop_training = False
            callbacks.on_epoch_end(len(self.monitor.history) - 1, dict(self.monitor.history[-1]))
            self.stopped = self.stopped or self.model.stop_training
        if self.out is not None and self.devices.primary:
            self._write(self.out)

    def _progress_text(self) -> str:
        row = self.monitor.history[-1]
        return f"loss {row['loss']:.4f}, validation EER {100 * row['validation_eer']:.2f} %"

    def _divergence(self, loss: float) -> str:
        history = self.monitor.history
        kept = f" The checkpoint of step {int(history[-1]['step'])} is kept." if self.out and history else ""
        return (
            f"training diverged: the loss of step {self.step} is {loss}. "
            f"Lower the learning rate ({self.config.optimization.learning_rate}).{kept}"
        )

    def finish(self) -> TrainingRun:
        """Select the weights, calibrate the head on the validation people, and return the model.

        Where mated pairs of these people do not score higher than non-mated ones, all probabilities become one half, and a warning
        is logged.
        """
        monitor = self.monitor
        head = head_of(monitor.siamese)
        embedding_of(monitor.siamese).trainable = True
        embeddings = monitor.select_weights()
        curve = all_pairs_curve(embeddings, monitor.validation.labels)
        if not isinstance(self.loss, BatchBinaryCrossentropy):
            try:
                head.calibrate(*fit_sigmoid(curve))
            except DataError as error:
                head.calibrate(_FLAT, _FLAT)
                _logger.warning("%s; all probabilities are 0.5. Train for more steps, or on more people", error)
        return TrainingRun(monitor.siamese, self.config, monitor.history, monitor.best_step, embeddings, curve)

    def _write(self, out: Path) -> None:
        """Write history and checkpoint."""
        monitor = self.monitor
        write_csv(out / HISTORY, monitor.history[0], [row.values() for row in monitor.history])
        state = {"identity": self.identity, "step": self.step, "stopped": self.stopped, **monitor.state()}
        weights = [keras.ops.convert_to_numpy(variable) for variable in self._variables()]
        save_checkpoint(out / CHECKPOINT, Checkpoint(state, weights, monitor.ema_weights, monitor.best_weights))

    def restore(self) -> None:
        """Return to the state of the checkpoint in the run folder.

        Raises:
            TrainingError: If there is none, or if it is of other hyperparameters or other people.
        """
        if self.out is None:
            raise ValueError("out must be the folder of the run to resume, got None")
        checkpoint = load_checkpoint(self.out / CHECKPOINT)
        if checkpoint.state["identity"] != self.identity:
            raise TrainingError(
                f"{self.out / CHECKPOINT}: written with other hyperparameters or other photos. "
                "Resume with the same ones, or use another folder."
            )
        self.step, self.stopped = checkpoint.state["step"], checkpoint.state["stopped"]
        self.monitor.restore(checkpoint)
        if self.step > self.head_warmup_steps > 0:
            self.model = self._compile()
        with self.devices.scope():
            for variable, value in zip(self._variables(), checkpoint.weights, strict=True):
                variable.assign(value)

    def _variables(self) -> list[keras.Variable]:
        remembered = self.loss_layer.variables if self.loss_layer else []
        return [*self.siamese.variables, *remembered, *self.model.optimizer.variables]


def _new_network(config: TrainingConfig, shape: tuple[int, int, int]) -> keras.Model:
    """Return the config's network with random weights, or a copy of the model that it holds."""
    if isinstance(config.network, keras.Model):
        return copy_network(as_embedding(config.network, shape))
    return build_embedding(
        config.network,
        shape,
        embedding_size=config.embedding_size,
        seed=config.seed,
        dtype="mixed_bfloat16" if config.mixed_precision else "float32",
    )
