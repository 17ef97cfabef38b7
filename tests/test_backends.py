"""The same code trains on TensorFlow, JAX and PyTorch; the last is skipped where it is not installed."""

import os
import subprocess
import sys
from importlib.util import find_spec

import keras
import numpy as np
import pytest

from visavis.models import embed, embedding_of

BACKENDS = [
    pytest.param(name, marks=pytest.mark.skipif(find_spec(name) is None, reason=f"needs {name}"))
    for name in ("tensorflow", "jax", "torch")
]
RUN = """
import keras, numpy as np
from visavis.training.configuration import TrainingConfig
from visavis.data import generate_faces, split_people
from visavis.training.batches import BatchShape
from visavis.training.trainer import train
from visavis.training.run_options import RunOptions
from visavis.models import embed, embedding_of
split = split_people(generate_faces(24, 6, size=32, gray=True, seed=11), fractions=(0.7, 0.3, 0))
config = TrainingConfig().replace(network="classic", embedding_size=32, batch=BatchShape(6, 3), steps=60, validate_every=30)
run = train(split, config.replace(loss="contrastive"))
first, last = run.history
assert last["loss"] < first["loss"], run.history
run.siamese.save("model.keras")
np.save("faces.npy", split.validation.faces)
np.save("embeddings.npy", embed(embedding_of(run.siamese), split.validation.faces))
print(keras.backend.backend(), first["loss"], run.validation_eer)
"""
LOSSES = (
    RUN[: RUN.index("run = train")].replace("steps=60, validate_every=30", "steps=6, validate_every=3")
    + """
layers = keras.layers  # a small network, which is compiled in a second
network = keras.Sequential([keras.Input((32, 32, 1)), layers.AveragePooling2D(4), layers.Flatten(), layers.Dense(16)])
config = config.replace(network=network)

class Stop(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if logs["step"] == 6:
            raise KeyboardInterrupt

for index, changes in enumerate([
    {"loss": "arcface", "sampled_classes": 8}, {"loss": "adaface"},
    {"loss": "triplet", "loss_options": {"mining": "distance-weighted"}, "memory": 30},
    {"loss": "binary-crossentropy", "memory": 30},
]):
    whole = train(split, config.replace(**changes))
    try:
        train(split, config.replace(**changes), out=f"run{index}", options=RunOptions(callbacks=[Stop()]))
    except KeyboardInterrupt:
        pass
    resumed = train(split, config.replace(**changes), out=f"run{index}", options=RunOptions(resume=True))
    assert all((a == b).all() for a, b in zip(whole.siamese.get_weights(), resumed.siamese.get_weights()))
    print(keras.backend.backend(), changes["loss"], whole.history[-1]["loss"])
"""
)


def run(program, backend, folder):
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=400)
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout.split()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_small_model_trains_and_runs_on_another_backend(backend, tmp_path):
    name, _, eer = run(RUN, backend, tmp_path)[-3:]
    assert name == backend
    assert float(eer) < 0.45
    model = keras.models.load_model(tmp_path / "model.keras")
    embeddings = embed(embedding_of(model), np.load(tmp_path / "faces.npy"))
    np.testing.assert_allclose(embeddings, np.load(tmp_path / "embeddings.npy"), atol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_losses_that_learn_or_remember_are_resumed_to_the_same_result(backend, tmp_path):
    assert run(LOSSES, backend, tmp_path).count(backend) == 4
