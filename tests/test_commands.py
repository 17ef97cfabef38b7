"""Commands end in a result or in a message, and load nothing before it is needed."""

import json
import subprocess
import sys

import pytest
from commands import call


def test_train_and_evaluate_from_the_command_line(capsys, folder, tmp_path):
    out = tmp_path / "run"
    arguments = ["train", folder, "--out", out, "--init", "scratch", "--size", "32", "--steps", "4", "--loss", "contrastive"]
    code, text, err = call(capsys, *arguments, "--gray", "--tensorboard", "--json")
    assert code == 0, err
    assert json.loads(text)["loss"] == "contrastive"
    assert any((out / "tensorboard").iterdir())
    code, text, _ = call(capsys, "evaluate", out, folder, "--json", "--quiet")
    assert code == 0
    assert {"eer", "accuracy", "recall", "f1", "counts"} <= set(json.loads(text))
    assert call(capsys, "evaluate", out, folder, "--quiet", "--overwrite")[1].startswith("all pairs of 3 unseen people")
    code, _, err = call(capsys, *arguments[:-2], "--resume", "--quiet")
    assert (code, "other hyperparameters" in err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nowhere", "--out", "x"], "nowhere: no such file or folder"),
        (["train", "synthetic", "--out", "x", "--loss", "hinge"], "loss must be 'adaface'"),
        (["train", "synthetic", "--out", "x", "--size", "8"], "size must be in 32"),
        (["evaluate", "nowhere", "synthetic"], "no such model"),
        (["verify", "a", "b", "--model", "nowhere"], "no such model"),
    ],
)
def test_mistakes_end_in_a_message_and_2(capsys, monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = call(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize("command", [[], ["train"], ["evaluate"], ["verify"], ["compare"], ["prepare"], ["demo"]])
def test_every_command_explains_itself(capsys, command):
    code, out, _ = call(capsys, *command, "--help")
    assert code == 0
    assert "visavis " in out
    assert ("Example: visavis" in out) == bool(command)


def test_the_demo_leaves_all_it_promises(capsys, tmp_path):
    code, out, _ = call(capsys, "demo", "--out", tmp_path, "--steps", "4", "--quiet")
    assert code == 0
    assert "visavis train olivetti" in out
    assert "one anchor against five photos, at the threshold for an estimated FMR of 3%" in out
    names = {"model.keras", "metrics.json", "history.csv", "report.html", "pictures/comparison.png", "photos/anchor.png"}
    assert names <= {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}


@pytest.mark.parametrize("command", [("train", "synthetic"), ("demo",)])
def test_a_folder_with_a_run_is_refused_before_anything_is_done(capsys, run, command):
    before = (run / "model.keras").read_bytes()
    code, out, err = call(capsys, *command, "--out", run)
    assert (code, out) == (2, "")
    assert "already holds a run (model.keras)" in err
    assert "--overwrite" in err
    assert (run / "model.keras").read_bytes() == before


def test_data_that_is_not_there_is_missed_before_keras_is_loaded(tmp_path):
    command = f"from visavis.cli import main; main(['train', {str(tmp_path / 'nowhere')!r}, '--out', {str(tmp_path)!r}])"
    check = "import sys, atexit; atexit.register(lambda: print('keras' in sys.modules))"
    result = subprocess.run([sys.executable, "-c", f"{check}\n{command}"], capture_output=True, text=True)
    assert (result.returncode, result.stdout.strip()) == (2, "False")
    assert "nowhere: no such file or folder" in result.stderr


@pytest.mark.parametrize("code", ["import visavis", "from visavis.cli import main; main(['--help'])"])
def test_nothing_heavy_is_loaded_before_it_is_needed(code):
    heavy = ["keras", "tensorflow", "jax", "matplotlib"]
    check = f"import sys, atexit; atexit.register(lambda: print([name for name in {heavy} if name in sys.modules]))"
    result = subprocess.run([sys.executable, "-c", f"{check}\n{code}"], capture_output=True, text=True, check=True)
    assert result.stdout.strip().endswith("[]")


def test_a_backend_that_is_not_installed_is_named(capsys, monkeypatch, tmp_path):
    def missing(*_):
        raise ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow")

    monkeypatch.setattr("visavis.training.devices.use_devices", missing)
    code, _, err = call(capsys, "train", "synthetic", "--out", tmp_path)
    assert (code, "pip install 'visavis[tensorflow]' (tensorflow is missing)" in err) == (2, True)


def test_a_backend_that_is_not_installed_is_named_in_python():
    script = """
import os
os.environ["KERAS_BACKEND"] = "torch"
import sys
sys.modules["torch"] = None
import visavis
try:
    visavis.train
except visavis.MissingDependencyError as error:
    print(error)
"""
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed == "this needs a backend of Keras: pip install 'visavis[tensorflow]' (torch is missing)\n"
