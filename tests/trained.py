"""Shared fixtures: photos of generated people, a model that was trained a little on them, and a detector that stands in."""

import copy
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import visavis
from visavis.faces import CANONICAL_LANDMARKS, Crop, Face, FaceFinder


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Photos of sixteen generated people, as a user has them."""
    root = tmp_path_factory.mktemp("photos")
    faces = visavis.generate_faces(16, 4, size=40, seed=3)
    for face, label, number in zip(faces.faces, faces.labels, np.arange(len(faces)) % 4, strict=True):
        path = root / f"person-{label:02d}" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(face).save(path)
    return root


@pytest.fixture(scope="session")
def run(folder, tmp_path_factory):
    """A run folder of a model that was trained a little on them."""
    from visavis.training.experiments import DataSource, train_model
    from visavis.training.run_options import RunOptions

    out = tmp_path_factory.mktemp("runs") / "small"
    source = DataSource(str(folder), size=32)
    options = RunOptions(progress=False, command="visavis train")
    train_model(source, out, init="scratch", config={"steps": 20, "validate_every": 10}, options=options)
    return out


class FindsOne:
    """Finds one face in the middle of a photo, unless the photo is flat."""

    def detect(self, photo):
        if photo.std(axis=(0, 1)).max() < 1:
            return []
        middle = np.array([photo.shape[1] / 2, photo.shape[0] / 2])
        side = min(photo.shape[:2]) * 0.6
        landmarks = (CANONICAL_LANDMARKS - 56) * side / 112 + middle
        return [Face(np.array([*(middle - side / 2), side, side]), landmarks, 0.97)]

    def score_crop(self, crop):
        return 0.9 if self.detect(crop) else 0.0


def stand_in(monkeypatch, detector):
    """Let a detector do the work of every `FaceFinder`, also in the processes that photos are read in: it is sent there instead."""
    monkeypatch.setattr(FaceFinder, "detect", lambda self, photo: detector.detect(photo))
    if hasattr(detector, "score_crop"):
        monkeypatch.setattr(FaceFinder, "score_crop", lambda self, crop: detector.score_crop(crop))
    monkeypatch.setattr(FaceFinder, "__reduce__", lambda self: (copy.copy, (detector,)))


@pytest.fixture(scope="session")
def aligned_run(folder, tmp_path_factory):
    """A run folder of a model for aligned faces."""
    from visavis.training.experiments import DataSource, train_model

    root = tmp_path_factory.mktemp("aligned")
    faces = replace(visavis.load_dataset(folder, size=(112, 112)), crop=Crop.arcface())
    faces.save(root / "faces")
    train_model(DataSource(str(root / "faces"), size=32), root / "run", init="scratch", config={"steps": 6})
    return root / "run"


@pytest.fixture
def party(folder, tmp_path):
    """Three photos of two or three faces, one of a wall, and a note."""
    photos = tmp_path / "party"
    (photos / "late").mkdir(parents=True)
    for name, people in (("a.png", (0, 1)), ("b.png", (1, 2, 3)), ("late/c.png", (3, 0))):
        photo = Image.new("RGB", (360, 120))
        for place, person in enumerate(people):
            face = Image.open(folder / f"person-{person:02d}" / f"{place}.png").resize((120, 120))
            photo.paste(face, (120 * place, 0))
        photo.save(photos / name)
    Image.new("RGB", (360, 120), (90, 120, 150)).save(photos / "wall.png")
    (photos / "note.txt").write_text("bring cake")
    return photos


@pytest.fixture
def whole_photos(monkeypatch, folder, tmp_path):
    """Two photos with a face in the middle, and one of a wall."""
    stand_in(monkeypatch, FindsOne())
    for index, name in enumerate(("a.jpg", "b.jpg")):
        face = Image.open(folder / f"person-0{index}" / "0.png").resize((120, 120))
        photo = Image.new("RGB", (300, 200), (90, 120, 150))
        photo.paste(face, (90, 40))
        photo.save(tmp_path / name)
    Image.new("RGB", (300, 200), (90, 120, 150)).save(tmp_path / "wall.png")
    return [tmp_path / name for name in ("a.jpg", "b.jpg", "wall.png")]
