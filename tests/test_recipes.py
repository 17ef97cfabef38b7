"""The recipe of the bundled encoder: SFace rewritten, its embeddings the same; a last layer in closed form."""

import sys
from pathlib import Path

import numpy as np
import pytest

from visavis.data import FaceDataset
from visavis.encoders import PRETRAINED_FILE
from visavis.encoders.mobilenet import mobilenet_graph, read_weights

RECIPES = Path(__file__).parents[1] / "recipes"


@pytest.fixture
def recipes(monkeypatch):
    monkeypatch.syspath_prepend(str(RECIPES))
    yield
    for name in ("start", "whiten"):
        sys.modules.pop(name, None)


@pytest.fixture
def sface(recipes):
    from start import sface_path

    try:
        return sface_path()
    except ImportError:
        pytest.skip("needs the extra visavis[recipe]")


def test_sface_rewritten_gives_the_same_embeddings(sface):
    from start import load_start, session_of, sface_graph

    faces = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3)).astype(np.float32)
    theirs = session_of(sface_graph(sface)).run(None, {"data": faces.transpose(0, 3, 1, 2)})[0]
    ours = session_of(mobilenet_graph(load_start(sface), features=True)).run(None, {"photos": faces})[0]
    np.testing.assert_allclose(ours, theirs, atol=2e-5)
    assert np.abs(theirs).max() > 0.5


def test_the_bundled_encoder_is_sface_but_for_the_last_layer(sface):
    import onnx
    from start import load_start

    from visavis.models.mobilenet import LAST

    start, bundled = read_weights(mobilenet_graph(load_start(sface))), read_weights(onnx.load(PRETRAINED_FILE))
    changed = {name for name, values in start.items() if not np.array_equal(values, bundled[name])}
    assert changed == {f"product_{LAST}", f"offset_{LAST}"}


@pytest.fixture
def scattered():
    """Embeddings of 200 people, three photos each, that differ within people along one axis more than along the others."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(200), 3)
    rows = rng.normal(2, 1, (200, 4))[labels] + rng.normal(0, 1, (600, 4)) * [3, 1, 1, 1]
    return rows, labels


def test_without_shrinkage_the_covariance_within_people_becomes_the_identity(recipes, scattered):
    from whiten import closed_form

    rows, labels = scattered
    matrix, offset = closed_form(rows, labels, shrinkage=0.0, centring=1.0)
    made = rows @ matrix + offset
    np.testing.assert_allclose(made.mean(axis=0), 0, atol=1e-9)
    apart = made - np.array([made[labels == label].mean(axis=0) for label in range(200)])[labels]
    np.testing.assert_allclose(apart.T @ apart / 400, np.eye(4), atol=1e-9)


def test_with_all_shrinkage_embeddings_are_only_centred_and_scaled(recipes, scattered):
    from whiten import closed_form

    rows, labels = scattered
    matrix, offset = closed_form(rows, labels, shrinkage=1.0, centring=1.2)
    np.testing.assert_allclose(matrix, matrix[0, 0] * np.eye(4), atol=1e-12)
    np.testing.assert_allclose(offset, -1.2 * matrix[0, 0] * rows.mean(axis=0), atol=1e-9)


def test_a_person_of_many_photos_weighs_as_much_as_one_of_two(recipes, scattered):
    from whiten import closed_form

    rows, labels = scattered
    person = labels == 0
    repeated = np.concatenate([rows, np.tile(rows[person], (50, 1))])
    again = np.concatenate([labels, np.zeros(150, dtype=labels.dtype)])
    once, often = (closed_form(*data, shrinkage=0.5, centring=1.0)[1] for data in ((rows, labels), (repeated, again)))
    np.testing.assert_allclose(once, often, rtol=0.02)


def test_lfw_is_divided_by_person(recipes, tmp_path):
    from whiten import sides_of_lfw

    people = tuple(f"P{number}" for number in range(24))
    labels = np.array([number for number in range(24) for _ in range(1 + number % 2)])
    sources = [f"P{label}/P{label}_{1 + (at and labels[at - 1] == label):04d}.jpg" for at, label in enumerate(labels)]
    faces = FaceDataset(np.zeros((len(labels), 8, 8, 3), np.uint8), labels, people, sources)
    pairs = tmp_path / "pairs.txt"
    folds = ["P1\t1\t2\nP0\t1\tP2\t1", "P3\t1\t2\nP4\t1\tP6\t1", "P5\t1\t2\nP8\t1\tP10\t1"]
    pairs.write_text("3\t1\n" + "\n".join(folds) + "\n")
    sides = sides_of_lfw(faces, pairs)
    assert {people[label] for label in labels[sides.test]} == {"P0", "P1", "P2", "P3", "P4", "P6"}
    assert sorted([*sides.train, *sides.validation, *sides.test]) == list(range(len(labels)))
    assert not set(labels[sides.train]) & set(labels[sides.validation])
    assert len(set(labels[sides.train])) == 9 and min(np.bincount(labels)[labels[sides.train]]) == 2
