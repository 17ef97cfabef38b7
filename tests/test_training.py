"""Training learns, is reproducible, resumes after a kill, and reports failures."""

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from typing import get_args

import keras
import numpy as np
import pytest

from visavis.data import generate_faces, read_arrays, split_people, split_photos
from visavis.errors import DataError, LeakError, TrainingError
from visavis.files import atomic_write
from visavis.models import NETWORKS, NetworkName, copy_network, embed, embedding_of, head_of
from visavis.models.losses import BatchTriplet, ProxyAnchor
from visavis.training.adaptation import adapt
from visavis.training.batches import BatchShape
from visavis.training.cards import make_card
from visavis.training.configuration import LOSSES, LossName, TrainingConfig, config_for
from visavis.training.run_options import RunOptions
from visavis.training.trainer import Trainer, train

LITTLE = {"network": "classic", "embedding_size": 32, "batch": BatchShape(people=6, photos=3), "steps": 8, "validate_every": 4}


def little(**changes):
    """A config for a small network and few steps."""
    return TrainingConfig().replace(**{**LITTLE, **changes})


@pytest.fixture(scope="module")
def split():
    return split_people(generate_faces(24, 6, size=32, gray=True, seed=11), fractions=(0.7, 0.3, 0))


def weights_of(run):
    return run.siamese.get_weights()


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_trains(split, loss):
    run = train(split, little(loss=loss))
    assert [row["step"] for row in run.history] == [4, 8]
    assert all(math.isfinite(row["loss"]) for row in run.history)
    offset, slope = head_of(run.siamese).calibration()
    assert slope > 0
    assert run.threshold == pytest.approx(1 - max(0, offset / slope) ** 2 / 2)


def test_the_threshold_of_a_negative_offset_accepts_nothing_but_equal_photos(split, monkeypatch):
    monkeypatch.setattr("visavis.training.trainer.fit_sigmoid", lambda _: (-1.0, 2.0))
    run = train(split, little())
    assert run.threshold == make_card(run, split, data="these").calibration.even_score == 1


def test_a_model_that_has_learnt_nothing_has_probabilities_of_one_half(caplog):
    rng = np.random.default_rng(0)
    backgrounds = np.tile(rng.integers(0, 248, (5, 32, 32, 1)), (12, 1, 1, 1))  # no two photos of a person have the same one
    photos = (backgrounds + rng.integers(0, 8, backgrounds.shape)).astype(np.uint8)
    split = split_people(read_arrays(photos, np.arange(60) // 5, name="backgrounds"))
    run = train(split, little(steps=1, learning_rate=1e-9))
    assert "mated pairs do not score higher than non-mated pairs" in caplog.text
    assert "all probabilities are 0.5. Train for more steps, or on more people" in caplog.text
    first, second = split.test.faces[:2][:, None]
    assert run.siamese.predict([first, second], verbose=0)[0, 0] == pytest.approx(0.5, abs=1e-3)
    assert make_card(run, split, data="these").calibration.probability(0.9) == pytest.approx(0.5, abs=1e-3)


def test_the_model_decides_by_a_threshold_for_a_false_match_rate_not_by_the_equal_error_rate(split):
    run = train(split, little())
    threshold = make_card(run, split, data="these").threshold
    assert threshold.target_fmr == 0.01
    assert threshold.false_matches / threshold.nonmated <= 0.01 < run.validation_eer
    assert threshold.score > run.threshold
    with pytest.raises(DataError, match="false match rate of 0.0001 cannot be"):
        make_card(train(split, little(steps=1, target_fmrs=(1e-4,))), split, data="these")


def test_a_threshold_that_few_people_cannot_guarantee_is_estimated_if_allowed(split):
    with pytest.raises(DataError, match="false match rate of 0.1 cannot be guaranteed"):
        make_card(train(split, little(steps=1, target_fmrs=(0.1,))), split, data="these")
    config = little(steps=1, target_fmrs=(0.1, 0.2), chosen_as="estimated")
    card = make_card(train(split, config), split, data="these")
    assert [(rule.target_fmr, rule.chosen_as) for rule in card.rules] == [(0.1, "estimated"), (0.2, "estimated")]
    assert all(rule.false_matches / rule.nonmated <= rule.target_fmr for rule in card.rules)


def test_it_learns():
    split = split_people(generate_faces(80, 8, size=32, seed=11), fractions=(0.8, 0.2, 0))
    settings = {**LITTLE, "batch": BatchShape(people=16, photos=4), "steps": 200, "validate_every": 100}
    run = train(split, little(**settings))
    untrained = train(split, little(**{**settings, "steps": 1, "learning_rate": 1e-9}))
    assert run.history[-1]["loss"] < run.history[0]["loss"]
    assert run.validation_eer < untrained.validation_eer - 0.05


def test_above_one_half_is_the_threshold(split):
    run = train(split, little())
    faces = split.validation.faces
    embeddings = embed(embedding_of(run.siamese), faces)
    scores = embeddings[:-1] @ embeddings[-1]
    said = run.siamese.predict([faces[:-1], faces[-1:].repeat(len(faces) - 1, axis=0)], verbose=0).ravel() > 0.5
    clear = np.abs(scores - run.threshold) > 1e-3
    assert (said == (scores >= run.threshold))[clear].all()


def test_a_finished_model_does_not_remember_the_loss(split):
    run = train(split, little())
    assert not run.siamese.compiled
    assert not embedding_of(run.siamese).compiled


def test_the_seed_gives_the_same_model_twice(split):
    first, again = (train(split, little(seed=5)) for _ in range(2))
    other = train(split, little(seed=6))
    assert all((a == b).all() for a, b in zip(weights_of(first), weights_of(again), strict=True))
    assert any((a != b).any() for a, b in zip(weights_of(first), weights_of(other), strict=True))


def test_history_is_written_as_csv(split, tmp_path):
    run = train(split, little(), out=tmp_path)
    with (tmp_path / "history.csv").open() as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert rows == run.history


class Killed(Exception):
    pass


class KillAt(keras.callbacks.Callback):
    """Raise at a validation step."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_epoch_end(self, epoch, logs=None):
        if logs["step"] == self.step:
            raise Killed


def killed_then_resumed(split, config, out, step, **arguments):
    with pytest.raises(Killed):
        train(split, config, out=out, options=RunOptions(callbacks=[KillAt(step)]), **arguments)
    return train(split, config, out=out, options=RunOptions(resume=True), **arguments)


def assert_same_run(first, second):
    np.testing.assert_equal(first.history, second.history)
    assert first.best_step == second.best_step
    assert all((a == b).all() for a, b in zip(weights_of(first), weights_of(second), strict=True))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss": "adaface"},
        {"loss": "arcface", "sampled_classes": 8},
        {"loss": "triplet", "memory": 30},
        {"loss": "binary-crossentropy", "memory": 30},
    ],
    ids=["function", "centres", "sampled", "memory", "memory-and-head"],
)
def test_a_killed_run_is_resumed_to_the_same_result(split, tmp_path, changes):
    config = little(steps=12, **changes)
    # The callback raises before the checkpoint of its own step is written, so training resumes one validation step earlier.
    assert_same_run(killed_then_resumed(split, config, tmp_path, 8), train(split, config))


@pytest.mark.parametrize("changes", [{"loss": "arcface"}, {"memory": 30}], ids=["centres", "memory"])
def test_what_a_loss_learns_or_remembers_is_no_part_of_the_model(split, changes, tmp_path):
    run, plain = train(split, little(**changes), out=tmp_path), train(split, little())
    assert [value.shape for value in weights_of(run)] == [value.shape for value in weights_of(plain)]
    assert any((a != b).any() for a, b in zip(weights_of(run), weights_of(plain), strict=True))
    with np.load(tmp_path / "checkpoint.npz") as checkpoint:
        assert sum(name.startswith("ema") for name in checkpoint) == len(weights_of(run))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "arcface", "memory": 9}, "memory needs a loss over pairs, got 9 with margin_softmax_loss"),
        ({"loss": "triplet", "sampled_classes": 9}, "sampled_classes needs a loss over classes, got 9 with triplet_loss"),
        ({"loss": lambda labels, embeddings: 0.0, "memory": 9}, "memory needs a loss over pairs"),
    ],
)
def test_a_loss_that_cannot_use_a_memory_or_samples_is_named(split, changes, message):
    with pytest.raises(ValueError, match=message):
        train(split, little(**changes))


def test_resuming_a_run_that_stopped_early_trains_no_further(split, tmp_path):
    config = little(steps=40, learning_rate=1e-9, patience=2)
    first = train(split, config, out=tmp_path)
    assert first.history[-1]["step"] < 40
    for _ in range(2):
        assert_same_run(train(split, config, out=tmp_path, options=RunOptions(resume=True)), first)


def test_a_callback_stops_training_for_good(split, tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    first = train(split, little(), out=tmp_path, options=RunOptions(callbacks=[Stop()]))
    assert [row["step"] for row in first.history] == [4]
    assert_same_run(train(split, little(), out=tmp_path, options=RunOptions(resume=True)), first)


def test_callbacks_of_keras_see_batches_and_validation_steps(split):
    seen = []
    recorder = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: seen.append("begin"),
        on_train_batch_end=lambda batch, logs: seen.append(batch),
        on_epoch_end=lambda epoch, logs: seen.append((epoch, logs["step"], set(logs))),
        on_train_end=lambda logs: seen.append("end"),
    )
    train(split, little(), options=RunOptions(callbacks=[recorder]))
    names = {"step", "loss", "learning_rate", "validation_eer"}
    assert seen == ["begin", 0, 1, 2, 3, (0, 4, names), 4, 5, 6, 7, (1, 8, names), "end"]


def test_early_stopping_of_keras_works(split):
    stopping = keras.callbacks.EarlyStopping("validation_eer", patience=1, mode="min")
    run = train(split, little(steps=40, learning_rate=1e-9), options=RunOptions(callbacks=[stopping]))
    assert run.history[-1]["step"] < 40


@pytest.fixture(scope="module")
def trained(split):
    """A network to start from."""
    return embedding_of(train(split, little(seed=1)).siamese)


def fine_tuning(**changes):
    return little(**{"steps": 12, "head_warmup_steps": 6, "learning_rate": 1e-3, "ema_decay": 0.0, **changes})


def test_a_trained_network_that_gets_no_better_comes_back(split, trained):
    before = [np.array(value) for value in trained.get_weights()]
    run = train(split, fine_tuning(learning_rate=1e-12, whitening=False), start=trained)
    assert (run.best_step, run.shrinkage) == (0, None)
    assert run.history[0]["step"] == 0
    assert all((a == b).all() for a, b in zip(embedding_of(run.siamese).get_weights(), before, strict=True))


def test_training_ends_where_no_step_could_replace_the_start(split, trained, tmp_path, monkeypatch):
    monkeypatch.setattr("visavis.training.validation.equal_error_rate", lambda curve: (0.0, 1.0))
    run = train(split, fine_tuning(), start=trained, out=tmp_path)
    assert (run.best_step, [row["step"] for row in run.history]) == (0, [0])
    resumed = train(split, fine_tuning(), start=trained, out=tmp_path, options=RunOptions(resume=True))
    assert_same_run(resumed, run)
    assert train(split, little()).history[-1]["step"] > 0  # from random weights, the last step counts


def test_a_trained_network_is_adapted_to_the_training_people_first(split, trained):
    before = [np.array(value) for value in trained.get_weights()]
    run = train(split, fine_tuning(learning_rate=1e-12), start=trained)
    adapted, shrinkage = adapt(trained, split, flip=True)
    assert run.shrinkage == shrinkage > 0
    assert all((a == b).all() for a, b in zip(embedding_of(run.siamese).get_weights(), adapted.get_weights(), strict=True))
    assert all((a == b).all() for a, b in zip(trained.get_weights(), before, strict=True))
    assert "adapted to the training people, shrinkage" in make_card(run, split, data="these").summary["start"]


def test_the_last_layer_is_trained_first_then_all_are_but_for_batch_statistics(split, trained):
    before = {variable.path: np.array(variable) for variable in trained.weights}

    def changed(steps):
        copy = keras.models.clone_model(trained)
        copy.set_weights(trained.get_weights())
        trainer = Trainer(split, fine_tuning(steps=steps), start=copy)
        trainer.run()
        pairs = zip(before, trainer.embedding.weights, strict=True)
        return {path for path, now in pairs if (np.array(now) != before[path]).any()}

    last = next(layer for layer in reversed(trained.layers) if isinstance(layer, keras.layers.Dense))
    assert changed(7) == {last.kernel.path}
    assert changed(12) == {path for path in before if path.endswith("kernel")}
    assert all((np.array(variable) == before[variable.path]).all() for variable in trained.weights)


def test_head_warmup_outside_of_the_training_step_gives_the_same_weights(split, trained, monkeypatch):
    def trained_head(**changes):
        copy = keras.models.clone_model(trained)
        copy.set_weights(trained.get_weights())
        trainer = Trainer(split, fine_tuning(**changes, steps=7), start=copy)
        assert (trainer.trunk is not None) == fast
        trainer.run()
        return trainer.embedding.get_weights()

    fast = True
    for changes in ({}, {"loss": "binary-crossentropy"}):
        expected = trained_head(**changes)
        with monkeypatch.context() as patched:
            fast = False
            patched.setattr("visavis.training.trainer.can_be_cut", lambda _: False)
            slow = trained_head(**changes)
        fast = True
        for one, other in zip(expected, slow, strict=True):
            np.testing.assert_allclose(one, other, atol=2e-3)


@pytest.mark.parametrize("loss", ["supervised-contrastive", "adaface"])
@pytest.mark.parametrize("step", [8, 12])
def test_fine_tuning_is_resumed_before_and_after_unfreezing(split, trained, tmp_path, step, loss):
    whole = train(split, fine_tuning(loss=loss), start=trained)
    assert_same_run(killed_then_resumed(split, fine_tuning(loss=loss), tmp_path, step, start=trained), whole)


def test_class_centres_start_at_the_embeddings_of_a_trained_network(split, trained):
    first = {}
    for start in (trained, None):
        network = None if start is None else copy_network(start)
        trainer = Trainer(split, fine_tuning(loss="cosface", steps=1, head_warmup_steps=1), start=network)
        trainer.run()
        first[start is None] = trainer.monitor.history[-1]["loss"]
    assert first[False] < 0.7 * first[True]


@pytest.mark.parametrize("steps", [1, 2, 40])
def test_any_number_of_steps_is_fine_tuned(split, trained, steps):
    config = config_for(split.train, trained=True, steps=steps, embedding_size=32)
    assert config.fine_tuning.head_warmup_steps == steps // 3
    run = train(split, config.replace(batch=BatchShape(people=6, photos=3), whitening=False), start=trained)
    assert run.history[-1]["step"] == steps


RUN = """
import sys
sys.path.insert(0, "tests")
from test_training import *
split = split_people(generate_faces(24, 6, size=32, gray=True, seed=11), fractions=(0.7, 0.3, 0))
train(split, little(steps=120), out=sys.argv[1])
"""


def test_kill_9_leaves_a_checkpoint_that_can_be_resumed(split, tmp_path):
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    process = subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path)], cwd=root, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (tmp_path / "checkpoint.npz").is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it was killed"
    step = json.loads(str(np.load(tmp_path / "checkpoint.npz")["state"]))["step"]
    assert 4 <= step < 120
    with pytest.raises(TrainingError, match="other hyperparameters"):
        train(split, little(steps=120, patience=3), out=tmp_path, options=RunOptions(resume=True))
    resumed = train(split, little(steps=120), out=tmp_path, options=RunOptions(resume=True))
    assert_same_run(resumed, train(split, little(steps=120)))


@pytest.mark.parametrize("file", ["checkpoint.npz", "model.keras"])
def test_a_run_is_not_overwritten_by_default(split, tmp_path, file):
    (tmp_path / file).write_bytes(b"weeks of work")
    with pytest.raises(TrainingError, match=f"{tmp_path.name}: already holds a run .{file}.. Use another folder"):
        train(split, little(), out=tmp_path)
    assert (tmp_path / file).read_bytes() == b"weeks of work"
    train(split, little(), out=tmp_path, options=RunOptions(overwrite=True))
    assert np.load(tmp_path / "checkpoint.npz")


def test_resuming_needs_a_checkpoint_of_the_same_run(split, tmp_path):
    with pytest.raises(TrainingError, match="no checkpoint to resume from"):
        train(split, little(), out=tmp_path, options=RunOptions(resume=True))
    for state in (None, "[" * 100_000):
        (tmp_path / "checkpoint.npz").write_bytes(b"damaged")
        if state is not None:
            np.savez(tmp_path / "checkpoint.npz", state=state)
        with pytest.raises(TrainingError, match="not a checkpoint, or a damaged one"):
            train(split, little(), out=tmp_path, options=RunOptions(resume=True))
    with pytest.raises(ValueError, match="out must be the folder of the run to resume, got None"):
        train(split, little(), options=RunOptions(resume=True))
    with pytest.raises(ValueError, match="resume and overwrite exclude each other"):
        RunOptions(resume=True, overwrite=True)


def test_collapse_is_reported(split, monkeypatch):
    monkeypatch.setattr(
        "visavis.training.validation.embed", lambda *_, **__: np.tile(np.eye(32, dtype=np.float32)[0], (len(split.validation), 1))
    )
    with pytest.raises(TrainingError, match="collapsed at step 4: the embeddings of all photos are alike"):
        train(split, little())


def test_divergence_is_reported(split, monkeypatch):
    monkeypatch.setattr(keras.Model, "train_on_batch", lambda *_, **__: np.float32("nan"))
    with pytest.raises(TrainingError, match="diverged: the loss of step 1 is nan. Lower the learning rate"):
        train(split, little())


def test_people_on_two_sides_are_refused_unless_asked_for():
    faces = generate_faces(8, 6, size=32, gray=True)
    by_photo = split_photos(faces)
    assert train(by_photo, little(steps=1)).history
    with pytest.raises(LeakError, match="person synthetic-0"):
        train(type(by_photo)(by_photo.train, by_photo.validation, None), little())


def test_mixed_precision_trains(split):
    run = train(split, little(steps=2, mixed_precision=True))
    assert math.isfinite(run.history[-1]["loss"])
    assert all(weight.dtype == np.float32 for weight in weights_of(run))


def test_hyperparameters_are_recorded_by_name():
    config = TrainingConfig().replace(loss="triplet", loss_options={"mining": "semi-hard"}, steps=np.int64(7), seed=np.uint8(3))
    values = json.loads(json.dumps(config.to_json()))
    assert (values["loss"], values["loss_options"], values["steps"], values["seed"]) == ("triplet", {"mining": "semi-hard"}, 7, 3)
    assert values["batch"] == {"people": 16, "photos": 4, "single_people": 0, "composites": 0}
    with pytest.raises(ValueError, match="unknown hyperparameter: speed"):
        config.replace(speed=9)


def test_weights_are_averaged_every_fourth_step_and_before_each_validation_step(split):
    monitor = Trainer(split, little(steps=150, validate_every=6, ema_decay=0.9)).monitor
    variable, each_step, updated = keras.Variable(0.0), 0.0, []
    for step in range(1, 151):
        variable.assign(step / 100)
        decay = min(0.9, (1 + step) / (10 + step))
        each_step = decay * each_step + (1 - decay) * step / 100
        monitor.update_ema([variable], step)
        if monitor.ema_step == step:
            updated.append(step)
    assert updated[:7] == [4, 6, 8, 12, 16, 18, 20]
    assert monitor.ema_weights[0] == pytest.approx(each_step, abs=0.02)


def test_an_earlier_validation_step_replaces_the_last_only_if_it_is_better_by_a_standard_error(split):
    trainer = Trainer(split, little())
    trainer.run()
    monitor = trainer.monitor
    last = monitor.ema_weights
    monitor.best_step, monitor.best_weights = 4, [weight * 1.0001 for weight in last]
    run = trainer.finish()
    assert (run.best_step, monitor.best_eer) == (8, monitor.history[-1]["validation_eer"])
    monitor.best_step, monitor.best_weights, monitor.ema_weights = 4, last, [np.zeros_like(weight) for weight in last]
    assert trainer.finish().best_step == 4
    np.testing.assert_array_equal(trainer.siamese.get_weights()[0], last[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": "hinge"}, "loss must be 'adaface', .* or 'triplet', got 'hinge'"),
        ({"loss": BatchTriplet}, "loss must be a name, a keras.losses.Loss or a function, got <class"),
        ({"loss": BatchTriplet(), "loss_options": {"margin": 1}}, "loss_options must be empty where loss is an object"),
        ({"network": "huge"}, "network must be 'classic', 'compact', 'deep' or 'deeper', got 'huge'"),
        ({"embedding_size": 0}, "embedding_size must be positive, got 0"),
        ({"steps": "8"}, "steps must be a whole number, got '8'"),
        ({"steps": 8.0}, "steps must be a whole number, got 8.0"),
        ({"steps": True}, "steps must be a whole number, got True"),
        ({"learning_rate": "1e-3"}, "learning_rate must be a finite number, got '1e-3'"),
        ({"learning_rate": np.nan}, "learning_rate must be a finite number, got nan"),
        ({"patience": 2.5}, "patience must be a whole number or None, got 2.5"),
        ({"flip": "no"}, "flip must be True or False, got 'no'"),
        ({"seed": None}, "seed must be a whole number, got None"),
        ({"network": keras.Sequential([keras.layers.Dense(8)], name="mine")}, "network must have an input.*got 'mine' without"),
        ({"memory": -1}, "memory must be at least 0, got -1"),
        ({"sampled_classes": 5}, r"sampled_classes must be at least the people of a batch \(6\), got 5"),
        ({"steps": 0}, "steps must be positive, got 0"),
        ({"learning_rate": -1}, "learning_rate must be positive, got -1"),
        ({"warmup": 1}, r"warmup must be in \[0, 1\), got 1"),
        ({"ema_decay": 1}, r"ema_decay must be in \[0, 1\), got 1"),
        ({"weight_decay": -1}, "weight_decay must be at least 0, got -1"),
        ({"patience": 0}, "patience must be at least 1, or None, got 0"),
        ({"target_fmrs": (2,)}, r"target_fmrs must be in \(0, 1\), got 2"),
        ({"chosen_as": "estimate"}, "chosen_as must be 'guaranteed' or 'estimated', got 'estimate'"),
        ({"head_warmup_steps": 9}, r"head_warmup_steps must be at most steps \(8\), got 9"),
        ({"head_warmup_steps": -1}, "head_warmup_steps must be at least 0, got -1"),
        ({"learning_rate_multiplier": 0}, "learning_rate_multiplier must be positive, got 0"),
    ],
)
def test_hyperparameters_out_of_range_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        little(**change)


def test_the_names_are_those_of_the_tables():
    assert set(get_args(LossName)) == set(LOSSES)
    assert set(get_args(NetworkName)) == set(NETWORKS)
    for table in (LOSSES, NETWORKS):
        with pytest.raises(TypeError):
            table["mine"] = None


def test_cosface_is_the_margin_softmax_with_other_margins():
    assert LOSSES["cosface"]().parameters["margins"] == (1.0, 0.0, 0.35)
    assert LOSSES["cosface"](margins=(1.0, 0.0, 0.1)).parameters["margins"] == (1.0, 0.0, 0.1)
    assert LOSSES["arcface"]().parameters["margins"] == (1.0, 0.5, 0.0)


def test_hyperparameters_suit_the_data(split):
    assert config_for(split.train).network == "classic"
    assert config_for(split.train).batch.composites > config_for(split.train).batch.people
    assert config_for(split.train, flip=False).batch.composites == 0
    for loss in ("arcface", "cosface", "adaface", "proxy-anchor", ProxyAnchor()):
        assert config_for(split.train, loss=loss).batch.composites == 0, "which have no centre"
    assert config_for(split.train, loss="arcface").loss_options == {"margins": (1.0, 0.2, 0.0), "scale": 10.0}
    assert config_for(split.train, loss="arcface", loss_options={"scale": 64.0}).loss_options == {"scale": 64.0}
    assert config_for(split.train, loss="arcface", trained=True).loss_options == {}
    photos = read_arrays(np.zeros((100_000, 4, 4, 1), np.uint8), np.arange(100_000) // 2, name="many")
    assert config_for(photos, loss="arcface").loss_options == {}, "those of the paper"
    assert config_for(photos.select(np.arange(1000)), loss="cosface").loss_options == {"margins": (1.0, 0.0, 0.1), "scale": 10.0}
    assert config_for(split.train, trained=True).batch.composites == 0
    wild = generate_faces(240, 2, size=32, gray=True)
    assert config_for(wild).batch.single_people > 0
    assert config_for(wild).batch.composites == 0
    assert config_for(wild, loss="contrastive").loss_options == {"margin": 1.4}
    assert config_for(wild, loss="contrastive", loss_options={"margin": 1}).loss_options == {"margin": 1}
    assert config_for(wild, steps=7).optimization.steps == 7


def test_files_are_replaced_atomically(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_without_room_is_named_and_the_old_one_stays(tmp_path, no_room):
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="file.bin"), no_room(), atomic_write(path) as temporary:
        temporary.write_bytes(bytes(20_000))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
