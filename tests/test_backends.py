"""The same code trains on TensorFlow and on JAX."""

import os
import subprocess
import sys

import pytest

RUN = """
import keras
from visavis.training.configuration import TrainingConfig
from visavis.data import generate_faces, split_people
from visavis.training.batches import BatchShape
from visavis.training.trainer import train
split = split_people(generate_faces(24, 6, size=32, gray=True, seed=11), fractions=(0.7, 0.3, 0))
config = TrainingConfig().replace(network="classic", embedding_size=32, batch=BatchShape(6, 3), steps=60, validate_every=30)
config = config.replace(loss="contrastive")
run = train(split, config)
first, last = run.history
assert last["loss"] < first["loss"], run.history
print(keras.backend.backend(), first["loss"], run.validation_eer)
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_a_small_model_trains(backend):
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    result = subprocess.run([sys.executable, "-c", RUN], env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-2000:]
    name, _, eer = result.stdout.split()[-3:]
    assert name == backend
    assert float(eer) < 0.45
