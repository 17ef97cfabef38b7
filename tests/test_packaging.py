"""Wheel and source archive: built, installed into an empty environment, and used there without a network."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import visavis

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel and the source archive of this tree."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--outdir", out, ROOT], check=True, capture_output=True)
    (wheel,), (archive,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, archive


def test_the_wheel_holds_the_encoder_the_pages_and_the_types(built):
    with zipfile.ZipFile(built[0]) as wheel:
        names = set(wheel.namelist())
    for name in (
        "encoders/browser/index.html",
        "encoders/browser/package.json",
        "encoders/browser/verifier.js",
        "encoders/weights/encoder.onnx",
        "encoders/weights/NOTICE.txt",
        "encoders/weights/LICENSE-Apache-2.0.txt",
        "evaluation/templates/report.html",
        "faces/weights/NOTICE.txt",
        "faces/weights/onet.onnx",
        "faces/weights/pnet.onnx",
        "faces/weights/rnet.onnx",
        "__init__.pyi",
        "py.typed",
    ):
        assert f"visavis/{name}" in names
    assert not [name for name in names if name.split("/")[0] not in ("visavis", f"visavis-{visavis.__version__}.dist-info")]


def test_the_source_archive_holds_what_is_needed_to_test_it(built):
    with tarfile.open(built[1]) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert {"pyproject.toml", "requirements/dev.txt", "Makefile", "tests/conftest.py", "docs/design.md", "LICENSE"} <= names
    assert not [name for name in names if name.startswith(("runs/", ".venv/"))]


def test_two_photos_are_verified_in_an_empty_environment(built, photo_files, tmp_path):
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pinned = ["--require-hashes", "--requirement", ROOT / "requirements" / "core.txt"]
    subprocess.run([*install, *pinned], check=True, capture_output=True)
    subprocess.run([*install, "--no-deps", built[0]], check=True, capture_output=True)
    subprocess.run([python, "-m", "pip", "check"], check=True, capture_output=True)
    photos = [tmp_path / f"{number}.jpg" for number in range(2)]
    for photo, file in zip(photos, photo_files[0], strict=True):
        photo.write_bytes(file)
    offline = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }
    for options in ([], ["--aligned"]):
        command = [python.with_name("visavis"), "verify", *photos, *options, "--json"]
        result = subprocess.run(command, capture_output=True, text=True, env=offline, cwd=tmp_path)
        assert result.returncode in (0, 1), result.stderr
        verdict = json.loads(result.stdout)
        assert verdict["same"] == (result.returncode == 0)
        assert -1 <= verdict["score"] <= 1
    # enough people to be split, so that the missing backend is what stops it
    command = [python.with_name("visavis"), "train", "synthetic", "--init", "scratch", "--out", tmp_path / "run"]
    without_backend = subprocess.run(command, capture_output=True, text=True, env=offline, cwd=tmp_path)
    assert without_backend.returncode == 2
    assert "pip install 'visavis[tensorflow]'" in without_backend.stderr
