"""Every example runs, and the notebook is its script."""

import json
import re
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

import visavis
from visavis.faces import Crop

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def example(monkeypatch, tmp_path, capsys):
    """What runs an example in a new folder and returns what it prints."""
    monkeypatch.chdir(tmp_path)

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        plt.close("all")
        return capsys.readouterr().out

    return run


def test_the_brief(example, tmp_path):
    output = example("brief.py", "--epochs", 1)
    assert re.search(r"held-out people: accuracy 0\.\d{3}, recall \d\.\d{3}, F1 \d\.\d{3}", output)
    assert (tmp_path / "pairs.png").stat().st_size > 5000


def test_own_folder(example, tmp_path):
    faces = visavis.generate_faces(4, 3, size=112, seed=9)
    for face, source, label in zip(faces.faces, range(len(faces)), faces.labels, strict=True):
        path = tmp_path / "photos" / faces.people[label] / f"{source}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(face).save(path)
    output = example("own_folder.py", tmp_path / "photos", "--out", tmp_path / "figures", "--aligned")
    assert output.count(" and synthetic-9-") == 5


def test_lfw_protocol(example, tmp_path):
    faces = visavis.generate_faces(6, 3, size=112, seed=9)
    people = tuple(f"Invented_{letter}" for letter in "ABCDEF")
    sources = [f"{people[label]}/{people[label]}_{1 + number % 3:04d}.jpg" for number, label in enumerate(faces.labels)]
    replace(faces, people=people, sources=sources, crop=Crop.arcface(faces.shape[0])).save(tmp_path / "faces")
    lines = ["2\t1", "Invented_A\t1\t2", "Invented_A\t1\tInvented_B\t1", "Invented_C\t1\t3", "Invented_D\t1\tInvented_E\t2"]
    (tmp_path / "pairs.txt").write_text("\n".join(lines))
    output = example("lfw_protocol.py", tmp_path / "faces", tmp_path / "pairs.txt")
    assert re.search(r"accuracy [\d.]+% \+- [\d.]+% \(2 folds, 4 pairs\)", output)


@pytest.mark.parametrize(("name", "arguments"), [("digits.py", ()), ("signatures.py", ("--signers", 20))])
def test_other_things_than_faces(example, name, arguments):
    output = example(name, "--steps", 2, *arguments)
    assert re.search(r"embeddings: [\d.]+% equal error rate on", output)


def test_signatures_of_one_signer_are_more_alike_than_those_of_two():
    drawn = runpy.run_path(str(EXAMPLES / "signatures.py"))["signatures"](12, 4)
    rows = drawn.faces.reshape(len(drawn), -1).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert 0.02 < visavis.evaluate_all_pairs(rows, drawn.labels).eer < 0.35


@pytest.mark.parametrize("arguments", [(), ("--optuna", "--trials", 2)], ids=["grid", "optuna"])
def test_hyperparameters_are_searched_over(example, arguments):
    if arguments:
        pytest.importorskip("optuna", reason="needs optuna")
    output = example("search_hyperparameters.py", "--steps", 2, "--folds", 2, "--loss", "arcface", *arguments)
    assert re.search(r"best: {.*'loss': 'arcface'.*}, equal error rate \d+\.\d% on held-out people", output)
    assert re.search(r"'embedding_size': \d+", output)


def test_the_notebook_is_its_script():
    script = (EXAMPLES / "notebook.py").read_text()
    cells = [cell.split("\n", 1) for cell in script.split("# %%")[1:]]
    notebook = json.loads((EXAMPLES / "notebook.ipynb").read_text())
    assert len(cells) == len(notebook["cells"])
    for (kind, text), cell in zip(cells, notebook["cells"], strict=True):
        source = "".join(cell["source"]).strip()
        if kind.strip() == "[markdown]":
            text = "\n".join(line.removeprefix("#").removeprefix(" ") for line in text.strip().splitlines())
        assert source == text.strip()
    pictures = [out for cell in notebook["cells"] for out in cell.get("outputs", ()) if "image/png" in out.get("data", {})]
    assert len(pictures) >= 3
    assert not [
        out
        for cell in notebook["cells"]
        for out in cell.get("outputs", ())
        if out["output_type"] in ("error", "stream") and out.get("name") == "stderr"
    ]


def test_the_script_of_the_notebook_runs(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    script = (EXAMPLES / "notebook.py").read_text().replace("steps=120, validate_every=40", "steps=2, validate_every=2")
    exec(compile(script, "notebook.py", "exec"), {"__name__": "__notebook__"})
    plt.close("all")
    assert "actually" in capsys.readouterr().out
