"""What a score rests on: hiding it must matter more than hiding anything else."""

import json

import numpy as np
import pytest
from PIL import Image

import visavis
from visavis.cli import main
from visavis.encoders.card import Card
from visavis.encoders.keras import KerasEncoder
from visavis.faces import Crop
from visavis.metrics.operating_points import OperatingPoint
from visavis.verification.explanation import explain_photos, occlude, occlusion_map


class Corners:
    """An encoder of grey photos that sees nothing but the mean levels of the four quarters."""

    card = Card(Crop((32, 32), "gray"), threshold=OperatingPoint(0.9, "a test"))

    def embed(self, faces):
        quarters = np.asarray(faces, dtype=np.float32).reshape(len(faces), 2, 16, 2, 16).mean(axis=(2, 4)).reshape(len(faces), 4)
        return quarters / np.linalg.norm(quarters, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def trained():
    faces = visavis.generate_faces(60, 5, size=32, seed=4)
    split = visavis.split_people(faces, seed=0)
    run = visavis.train(split, visavis.config_for(split.train, steps=120, validate_every=120))
    return KerasEncoder(visavis.make_card(run, split, data="generated"), run.siamese), split.test


def test_the_place_that_makes_them_alike_is_found():
    face = np.full((32, 32, 1), 20, np.uint8)
    face[2:14, 2:14] = np.random.default_rng(0).integers(150, 255, (12, 12, 1))
    against = Corners().embed(face[None])[0]
    found = occlusion_map(Corners(), face, against)
    assert found.shape == (32, 32)
    row, column = np.unravel_index(np.argmax(found), found.shape)
    assert row < 18 and column < 18 and found.max() > 0
    assert np.abs(found[24:, 24:]).max() < found.max() / 5


def test_hiding_what_counts_changes_the_score_more_than_hiding_as_much_anywhere(trained):
    """The deletion check, on unseen faces: a fifth of the pixels."""
    encoder, test = trained
    rng = np.random.default_rng(0)
    by_map, at_random = [], []
    for person in range(8):
        first, second = (test.faces[index] for index in np.flatnonzero(test.labels == person)[:2])
        one, other = encoder.embed(np.stack([first, second]))
        weights = occlusion_map(encoder, first, other)
        mask = (weights >= np.quantile(weights, 0.8)).astype(float)
        score = one @ other
        by_map.append(score - encoder.embed(occlude(first, mask)[None])[0] @ other)
        shifts = [np.roll(mask, tuple(rng.integers(0, 32, 2)), axis=(0, 1)) for _ in range(10)]
        at_random += [score - embedding @ other for embedding in encoder.embed(np.stack([occlude(first, mask) for mask in shifts]))]
    assert np.mean(by_map) > 1.5 * np.mean(np.abs(at_random))


def test_explained_from_the_command_line(trained, tmp_path, capsys):
    encoder, test = trained
    visavis.save_model(tmp_path / "run", encoder.siamese, encoder.card)
    for number in (0, 1):
        Image.fromarray(test.faces[number]).save(tmp_path / f"{number}.png")
    photos = [str(tmp_path / "0.png"), str(tmp_path / "1.png")]
    arguments = [*photos, "--model", str(tmp_path / "run"), "--out", str(tmp_path / "why.png")]
    with pytest.raises(SystemExit) as stop:
        main(["explain", *arguments, "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert stop.value.code == 0
    assert np.shape(answer["maps"]) == (2, 32, 32)
    with Image.open(tmp_path / "why.png") as picture:
        assert picture.width > 800
    found = explain_photos(visavis.Verifier(tmp_path / "run"), tmp_path / "0.png", tmp_path / "1.png")
    assert found.verdict.score == pytest.approx(answer["score"])
    np.testing.assert_allclose(found.maps, answer["maps"], atol=1e-5)
