"""Two devices, and two processes, that share each batch give the losses of one device with the same batch."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from visavis.training.devices import Devices, jit_compile, use_devices

pytest.importorskip("jax", reason="needs the extra jax")

RUN = """
import json, sys
from visavis.training.devices import use_devices
devices = use_devices(sys.argv[1] if sys.argv[1] == "all" else int(sys.argv[1]))
from visavis.training.run_options import RunOptions
from visavis.data import generate_faces, split_people
from visavis.training.batches import BatchShape
from visavis.training.trainer import train
split = split_people(generate_faces(14, 5, size=32, gray=True, seed=3), fractions=(0.6, 0.4, 0))
result = {"distributed": devices.distributed, "processes": devices.processes, "primary": devices.primary}
from visavis.backend import keras
keras.utils.set_random_seed(0)
layers = keras.layers  # a small network, which is compiled in a second
network = keras.Sequential([keras.Input((32, 32, 1)), layers.AveragePooling2D(2), layers.Conv2D(4, 3, strides=2, use_bias=False)])
for layer in (layers.BatchNormalization(), layers.ReLU(), layers.Flatten(), layers.Dense(16), layers.BatchNormalization()):
    network.add(layer)
little = dict(network=network, batch=BatchShape(6, 2), steps=5, validate_every=1)
options = {"supervised-contrastive": {}, "binary-crossentropy": {}, "arcface": {"sampled_classes": 7}, "triplet": {"memory": 20}}
for loss, own in options.items():
    changes = {**little, **own, "loss": loss}
    run = train(split, out=sys.argv[2] + loss, options=RunOptions(devices=devices), **changes)
    assert run.siamese.predict_on_batch([split.validation.faces[:3]] * 2).shape == (3, 1)
    result[loss] = {"losses": [row["loss"] for row in run.history], "eer": [row["validation_eer"] for row in run.history]}
    result[loss]["threshold"] = float(run.threshold)
print(json.dumps(result))
"""


def start(devices, out, **environment):
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    command = [sys.executable, "-c", RUN, str(devices), str(out)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def result_of(process):
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-3000:]
    return json.loads(output.splitlines()[-1])


def assert_same_training(result, expected):
    for loss in ("supervised-contrastive", "binary-crossentropy", "arcface", "triplet"):
        found, wanted = result[loss], expected[loss]
        np.testing.assert_allclose(found["losses"], wanted["losses"], atol=1e-4, rtol=1e-5)
        np.testing.assert_allclose(found["eer"], wanted["eer"], atol=0.02)  # of few pairs: one that changes its place is seen
        assert found["threshold"] == pytest.approx(wanted["threshold"], abs=1e-3)


def test_several_devices_and_processes_train_as_one(tmp_path):
    expected = result_of(start(1, tmp_path / "one"))
    assert not expected["distributed"] and len(set(expected["binary-crossentropy"]["losses"])) == 5

    two = result_of(start("all", tmp_path / "devices", XLA_FLAGS="--xla_force_host_platform_device_count=2"))
    assert two["distributed"] and two["processes"] == 1
    assert_same_training(two, expected)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    job = {
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": address,
        "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
        "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo",
    }
    processes = [start("all", tmp_path / f"of-{number}-", KERAS_DISTRIBUTION_PROCESS_ID=str(number), **job) for number in (0, 1)]
    first, second = map(result_of, processes)
    assert (first["processes"], first["primary"], second["primary"]) == (2, True, False)
    assert_same_training(first, expected)
    assert_same_training(second, first)
    assert (tmp_path / "of-0-binary-crossentropy" / "checkpoint.npz").is_file()
    assert not (tmp_path / "of-1-binary-crossentropy").exists()


def test_one_device_changes_nothing():
    devices = use_devices(1)
    batch = np.arange(7)
    assert devices == Devices() and devices.primary and not devices.distributed
    assert devices.shard(batch) is batch
    with devices.scope():
        assert devices.broadcast(0.25) == 0.25


class FourReplicas:
    num_model_replicas = 4


def test_a_process_has_its_rows():
    rows = [Devices(FourReplicas(), process, 2).shard(np.arange(8)).tolist() for process in (0, 1)]
    assert rows == [[0, 1, 2, 3], [4, 5, 6, 7]]
    with pytest.raises(ValueError, match="the batch size must be a multiple of the 4 devices, got 6 photos"):
        Devices(FourReplicas(), 0, 2).shard(np.arange(6))


def test_more_devices_need_jax(monkeypatch):
    monkeypatch.setattr("keras.backend.backend", lambda: "tensorflow")
    with pytest.raises(ValueError, match="needs the JAX backend: .*KERAS_BACKEND=jax"):
        use_devices("all")


@pytest.mark.parametrize(
    ("backend", "gpus", "expected"), [("tensorflow", [], False), ("tensorflow", ["GPU:0"], "auto"), ("jax", [], "auto")]
)
def test_xla_is_used_where_it_pays(monkeypatch, backend, gpus, expected):
    tensorflow = pytest.importorskip("tensorflow")
    monkeypatch.setattr("keras.backend.backend", lambda: backend)
    monkeypatch.setattr(tensorflow.config, "list_physical_devices", lambda kind: gpus)
    assert jit_compile() == expected
