"""The `classic` network and its training step on the backend in `KERAS_BACKEND`; a worker of `training.py`."""

import sys

import numpy as np
from answering import answer

from visavis.backend import keras
from visavis.data import read_arrays
from visavis.models import build_embedding, build_siamese
from visavis.training.configuration import LOSSES, TrainingConfig
from visavis.training.devices import jit_compile
from visavis.training.validation import ValidationMonitor

CONFIG = TrainingConfig().replace(validate_every=10)  # as often as `training.py` asks


class Trainer:
    """Trains on prepared batches."""

    def __init__(self, folder: str) -> None:
        """Open the batches."""
        self.photos, self.labels = np.load(f"{folder}/photos.npy", mmap_mode="r"), np.load(f"{folder}/labels.npy")
        self.validation = np.load(f"{folder}/validation.npy")
        self.begin(0)

    def begin(self, seed: int) -> bool:
        """Start from random weights."""
        fresh = build_embedding("classic", self.photos.shape[2:], seed=seed)
        if not hasattr(self, "model"):
            self.model = fresh
            loss = LOSSES["supervised-contrastive"](temperature=0.1)
            optimizer = keras.optimizers.AdamW(2e-3, weight_decay=0.004)
            self.model.compile(optimizer, loss, jit_compile=jit_compile())  # as `train` has it
            self.model.optimizer.build(self.model.trainable_variables)
        self.model.set_weights(fresh.get_weights())
        self.siamese = build_siamese(self.model)
        people = read_arrays(self.validation, np.arange(len(self.validation)))
        self.monitor = ValidationMonitor(self.siamese, people, CONFIG)  # averages the weights as `train` does
        for variable in self.model.optimizer.variables:
            if variable.path.split("/")[-1] != "learning_rate":
                variable.assign(keras.ops.zeros(variable.shape, variable.dtype))
        self.step = 0
        return True

    def train(self, steps: int) -> bool:
        """Train for some steps."""
        for _ in range(steps):
            batch = self.step % len(self.photos)
            self.model.train_on_batch(np.asarray(self.photos[batch]), self.labels[batch])
            self.step += 1
            self.monitor.update_ema(self.siamese.weights, self.step)
        return True

    def embed(self, path: str, averaged: bool) -> bool:
        """Write the embeddings of the validation people, by the averaged weights or by those of the last step."""
        last = self.siamese.get_weights()
        if averaged:
            self.siamese.set_weights(self.monitor.ema_weights)
        np.save(path, self.model.predict_on_batch(self.validation))
        self.siamese.set_weights(last)
        return True


if __name__ == "__main__":
    trainer = Trainer(sys.argv[1])
    answer({"begin": trainer.begin, "train": trainer.train, "embed": trainer.embed})
