"""Training learns, repeats itself, goes on after a kill, and says so when it fails."""

import csv
import math
import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from visavis.data import generate_faces, split_people, split_photos
from visavis.errors import LeakError, TrainingError
from visavis.files import atomic_write
from visavis.models import embed, embedding_of, head_of
from visavis.training.adaptation import adapt
from visavis.training.augmentation import Augmentation
from visavis.training.batches import BatchShape
from visavis.training.cards import make_card
from visavis.training.configuration import LOSSES, TrainingConfig, config_for
from visavis.training.trainer import Trainer, train

LITTLE = {"network": "classic", "embedding_size": 32, "batch": BatchShape(people=6, photos=3), "steps": 8, "validate_every": 4}


@pytest.fixture(scope="module")
def split():
    return split_people(generate_faces(24, 6, size=32, gray=True, seed=11), fractions=(0.7, 0.3, 0))


def weights_of(run):
    return run.siamese.get_weights()


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_trains(split, loss):
    run = train(split, TrainingConfig(**LITTLE, loss=loss), progress=False)
    assert [row["step"] for row in run.history] == [4, 8]
    assert all(math.isfinite(row["loss"]) for row in run.history)
    offset, slope = head_of(run.siamese).calibration()
    assert slope > 0
    assert run.threshold == pytest.approx(1 - max(0, offset / slope) ** 2 / 2)


def test_the_threshold_of_a_negative_offset_accepts_nothing_but_equal_photos(split, monkeypatch):
    monkeypatch.setattr("visavis.training.trainer.fit_sigmoid", lambda _: (-1.0, 2.0))
    run = train(split, TrainingConfig(**LITTLE), progress=False)
    assert run.threshold == make_card(run, split, data="these").calibration.even_score == 1


def test_it_learns():
    split = split_people(generate_faces(80, 8, size=32, seed=11), fractions=(0.8, 0.2, 0))
    settings = {**LITTLE, "batch": BatchShape(people=16, photos=4), "steps": 200, "validate_every": 100}
    run = train(split, TrainingConfig(**settings), progress=False)
    untrained = train(split, TrainingConfig(**{**settings, "steps": 1, "learning_rate": 1e-9}), progress=False)
    assert run.history[-1]["loss"] < run.history[0]["loss"]
    assert run.validation_eer < untrained.validation_eer - 0.05


def test_above_one_half_is_the_threshold(split):
    run = train(split, TrainingConfig(**LITTLE), progress=False)
    faces = split.validation.faces
    embeddings = embed(embedding_of(run.siamese), faces)
    scores = embeddings[:-1] @ embeddings[-1]
    said = run.siamese.predict([faces[:-1], faces[-1:].repeat(len(faces) - 1, axis=0)], verbose=0).ravel() > 0.5
    clear = np.abs(scores - run.threshold) > 1e-3
    assert (said == (scores >= run.threshold))[clear].all()


def test_a_finished_model_does_not_remember_the_loss(split):
    run = train(split, TrainingConfig(**LITTLE), progress=False)
    assert not run.siamese.compiled
    assert not embedding_of(run.siamese).compiled


def test_the_seed_gives_the_same_model_twice(split):
    first, again = (train(split, TrainingConfig(**LITTLE, seed=5), progress=False) for _ in range(2))
    other = train(split, TrainingConfig(**LITTLE, seed=6), progress=False)
    assert all((a == b).all() for a, b in zip(weights_of(first), weights_of(again), strict=True))
    assert any((a != b).any() for a, b in zip(weights_of(first), weights_of(other), strict=True))


def test_history_is_written_as_csv(split, tmp_path):
    run = train(split, TrainingConfig(**LITTLE), out=tmp_path, progress=False)
    with (tmp_path / "history.csv").open() as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert rows == run.history


RUN = """
import sys
sys.path.insert(0, "tests")
from test_training import *
split = split_people(generate_faces(24, 6, size=32, gray=True, seed=11), fractions=(0.7, 0.3, 0))
train(split, TrainingConfig(**{**LITTLE, "steps": 4000}), out=sys.argv[1], progress=False)
"""


def test_a_killed_run_goes_on_as_if_nothing_had_been(split, tmp_path):
    config = TrainingConfig(**{**LITTLE, "steps": 12})
    whole = train(split, config, progress=False)

    class Killed(Exception):
        pass

    def kill(row):
        if row["step"] == 8:
            raise Killed

    with pytest.raises(Killed):
        train(split, config, out=tmp_path, progress=False, watch=kill)
    resumed = train(split, config, out=tmp_path, resume=True, progress=False)
    assert resumed.history == whole.history
    assert all((a == b).all() for a, b in zip(weights_of(resumed), weights_of(whole), strict=True))


@pytest.fixture(scope="module")
def trained(split):
    """A network to go on from."""
    return embedding_of(train(split, TrainingConfig(**LITTLE, seed=1), progress=False).siamese)


def goes_on(**changes):
    return TrainingConfig(**{**LITTLE, "steps": 12, "frozen_steps": 6, "learning_rate": 1e-3, "averaging": 0.0, **changes})


def test_a_trained_network_that_gets_no_better_comes_back(split, trained):
    before = [np.array(value) for value in trained.get_weights()]
    run = train(split, goes_on(learning_rate=1e-12, adapt=False), start=trained, progress=False)
    assert (run.best_step, run.shrinkage) == (0, None)
    assert run.history[0]["step"] == 0
    assert all((a == b).all() for a, b in zip(embedding_of(run.siamese).get_weights(), before, strict=True))


def test_a_trained_network_is_brought_to_the_training_people_first(split, trained):
    before = [np.array(value) for value in trained.get_weights()]
    run = train(split, goes_on(learning_rate=1e-12), start=trained, progress=False)
    adapted, shrinkage = adapt(trained, split, flip=True)
    assert run.shrinkage == shrinkage > 0
    assert all((a == b).all() for a, b in zip(embedding_of(run.siamese).get_weights(), adapted.get_weights(), strict=True))
    assert all((a == b).all() for a, b in zip(trained.get_weights(), before, strict=True))
    assert "brought to the training people, shrinkage" in make_card(run, split, data="these").summary["start"]


def test_first_the_last_layer_learns_then_all_do_but_for_batch_statistics(split, trained):
    before = {variable.path: np.array(variable) for variable in trained.weights}

    def changed(steps):
        copy = keras.models.clone_model(trained)
        copy.set_weights(trained.get_weights())
        trainer = Trainer(split, goes_on(steps=steps), network=copy, trained=True)
        trainer.run(progress=False, watch=None)
        pairs = zip(before, trainer.embedding.weights, strict=True)
        return {path for path, now in pairs if (np.array(now) != before[path]).any()}

    last = next(layer for layer in reversed(trained.layers) if isinstance(layer, keras.layers.Dense))
    assert changed(7) == {last.kernel.path}
    assert changed(12) == {path for path in before if path.endswith("kernel")}
    assert all((np.array(variable) == before[variable.path]).all() for variable in trained.weights)


def test_going_on_can_be_resumed_on_either_side_of_the_thaw(split, trained, tmp_path):
    whole = train(split, goes_on(), start=trained, progress=False)

    class Killed(Exception):
        pass

    for step in (4, 8):
        out = tmp_path / str(step)

        def kill(row, step=step):
            if row["step"] == step:
                raise Killed

        with pytest.raises(Killed):
            train(split, goes_on(), start=trained, out=out, progress=False, watch=kill)
        resumed = train(split, goes_on(), start=trained, out=out, resume=True, progress=False)
        assert resumed.history[1:] == whole.history[1:]
        assert all((a == b).all() for a, b in zip(weights_of(resumed), weights_of(whole), strict=True))


def test_kill_9_leaves_a_checkpoint_that_can_be_resumed(split, tmp_path):
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    process = subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path)], cwd=root, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (tmp_path / "checkpoint.npz").is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / "checkpoint.npz").is_file()
    with np.load(tmp_path / "checkpoint.npz") as checkpoint:
        assert "state" in checkpoint
    with (tmp_path / "history.csv").open() as file:
        step = max(float(row["step"]) for row in csv.DictReader(file))
    config = TrainingConfig(**{**LITTLE, "steps": 4000, "patience": 0})
    with pytest.raises(TrainingError, match="other settings"):
        train(split, config, out=tmp_path, resume=True, progress=False)
    assert step >= 4


@pytest.mark.parametrize("file", ["checkpoint.npz", "model.keras"])
def test_a_run_is_not_trained_over_without_a_word(split, tmp_path, file):
    (tmp_path / file).write_bytes(b"weeks of work")
    with pytest.raises(TrainingError, match=f"{tmp_path.name}: holds a run already .{file}.. Take another folder"):
        train(split, TrainingConfig(**LITTLE), out=tmp_path, progress=False)
    assert (tmp_path / file).read_bytes() == b"weeks of work"
    train(split, TrainingConfig(**LITTLE), out=tmp_path, overwrite=True, progress=False)
    assert np.load(tmp_path / "checkpoint.npz")


def test_resuming_needs_a_checkpoint_of_the_same_run(split, tmp_path):
    with pytest.raises(TrainingError, match="no checkpoint to resume from"):
        train(split, TrainingConfig(**LITTLE), out=tmp_path, resume=True, progress=False)
    (tmp_path / "checkpoint.npz").write_bytes(b"damaged")
    with pytest.raises(TrainingError, match="not a checkpoint, or a damaged one"):
        train(split, TrainingConfig(**LITTLE), out=tmp_path, resume=True, progress=False)
    with pytest.raises(ValueError, match="resume needs the folder"):
        train(split, TrainingConfig(**LITTLE), resume=True, progress=False)


def test_patience_ends_a_run_that_gets_no_better(split):
    config = TrainingConfig(**{**LITTLE, "steps": 40, "learning_rate": 1e-9, "patience": 2})
    run = train(split, config, progress=False)
    assert run.history[-1]["step"] < 40


def test_collapse_is_said_plainly(split, monkeypatch):
    monkeypatch.setattr(
        "visavis.training.validation.embed", lambda *_, **__: np.tile(np.eye(32, dtype=np.float32)[0], (len(split.validation), 1))
    )
    with pytest.raises(TrainingError, match="collapsed at step 4: the embeddings of all photos are alike"):
        train(split, TrainingConfig(**LITTLE), progress=False)


def test_divergence_is_said_plainly(split, monkeypatch):
    monkeypatch.setattr(keras.Model, "train_on_batch", lambda *_, **__: np.float32("nan"))
    with pytest.raises(TrainingError, match="diverged: the loss of step 1 is nan. Lower the learning rate"):
        train(split, TrainingConfig(**LITTLE), progress=False)


def test_people_on_two_sides_are_refused_unless_asked_for():
    faces = generate_faces(8, 6, size=32, gray=True)
    by_photo = split_photos(faces)
    assert train(by_photo, TrainingConfig(**{**LITTLE, "steps": 1}), progress=False).history
    with pytest.raises(LeakError, match="person synthetic-0"):
        train(type(by_photo)(by_photo.train, by_photo.validation, None), TrainingConfig(**LITTLE), progress=False)


def test_mixed_precision_trains(split):
    run = train(split, TrainingConfig(**{**LITTLE, "steps": 2}, mixed_precision=True), progress=False)
    assert math.isfinite(run.history[-1]["loss"])
    assert all(weight.dtype == np.float32 for weight in weights_of(run))


def test_settings_survive_json():
    config = TrainingConfig(loss="triplet", loss_options={"mining": "semi-hard"}, augmentation=Augmentation(blur=0))
    assert TrainingConfig.from_json(config.to_json()) == config
    with pytest.raises(ValueError, match="unknown training settings: speed"):
        TrainingConfig.from_json({**config.to_json(), "speed": 9})


def test_an_earlier_look_counts_only_where_it_is_surely_better(split):
    trainer = Trainer(split, TrainingConfig(**LITTLE))
    trainer.run(progress=False, watch=None)
    selection = trainer.selection
    last = selection.mean_weights
    selection.best_step, selection.best_weights = 4, [weight * 1.0001 for weight in last]
    run = trainer.finish()
    assert (run.best_step, selection.best_eer) == (8, selection.history[-1]["validation_eer"])
    selection.best_step, selection.best_weights, selection.mean_weights = 4, last, [np.zeros_like(weight) for weight in last]
    assert trainer.finish().best_step == 4
    np.testing.assert_array_equal(trainer.siamese.get_weights()[0], last[0])


@pytest.mark.parametrize("change", [{"loss": "hinge"}, {"steps": 0}, {"learning_rate": -1}, {"warmup": 1}, {"network": "huge"}])
def test_settings_out_of_range_are_named(split, change):
    (name,) = change
    with pytest.raises(ValueError, match=name):
        train(split, TrainingConfig(**{**LITTLE, **change}), progress=False)


def test_settings_suit_the_data(split):
    assert config_for(split.train).network == "classic"
    assert config_for(split.train).batch.composites > config_for(split.train).batch.people
    assert config_for(split.train, flip=False).batch.composites == 0
    assert config_for(split.train, trained=True).batch.composites == 0
    wild = generate_faces(240, 2, size=32, gray=True)
    assert config_for(wild).batch.single_people > 0
    assert config_for(wild).batch.composites == 0
    assert config_for(wild, loss="contrastive").loss_options == {"margin": 1.4}
    assert config_for(wild, loss="contrastive", loss_options={"margin": 1}).loss_options == {"margin": 1}
    assert config_for(wild, steps=7).steps == 7


def test_files_are_replaced_whole_or_not_at_all(tmp_path):
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
