"""On a Ray cluster: the same rows as from processes of one machine, and a killed worker costs nothing."""

import importlib.util
import os
import signal

import numpy as np
import pytest
from PIL import Image

from visavis.scale import EmbeddingSettings, embed_photos
from visavis.scale.cluster import run_tasks_on_ray

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the extra ray"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Ray's, of its own settings
]


def test_the_same_rows_as_from_processes(tmp_path):
    for number in range(7):
        pixels = np.random.default_rng(number).integers(0, 256, (70, 60, 3), dtype=np.uint8)
        (tmp_path / "photos" / "anna").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "photos" / "anna" / f"{number}.png")
    (tmp_path / "photos" / "anna" / "9.png").write_bytes(b"not an image")
    settings = EmbeddingSettings(aligned=True, photos_per_shard=3)
    results = {
        engine: embed_photos(tmp_path / "photos", tmp_path / engine, settings, engine=engine, workers=2, progress=False)
        for engine in ("processes", "ray")
    }
    assert results["ray"].rows == results["processes"].rows == 7
    files = sorted(path.name for path in (tmp_path / "processes").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "ray").iterdir())
    for name in files:
        assert (tmp_path / "processes" / name).read_bytes() == (tmp_path / "ray" / name).read_bytes()


def test_a_killed_worker_costs_nothing(tmp_path):
    marker = str(tmp_path / "died")

    def die_once(number):  # goes to the workers by value: they do not know this module
        if number == 2 and not os.path.exists(marker):
            open(marker, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    assert sorted(run_tasks_on_ray(die_once, [0, 1, 2, 3], workers=2)) == [0, 1, 2, 3]
    assert os.path.exists(marker)
