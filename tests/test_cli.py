"""The command line's help is complete, and every failure has a message and an exit code."""

import json
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from visavis.cli import group, main
from visavis.cli.groups import SectionedGroup
from visavis.faces import FaceFinder
from visavis.images import Limits


def groups(command, name="visavis"):
    """Yield a group and the groups below it, each with its full name."""
    if isinstance(command, click.Group):
        yield name, command
        for child in command.commands.values():
            yield from groups(child, f"{name} {child.name}")


GROUPS = list(groups(group))


@pytest.mark.parametrize(("name", "command"), GROUPS)
def test_the_help_of_a_group_lists_each_command_once_with_its_whole_summary(name, command):
    assert isinstance(command, SectionedGroup)
    listed = [child for names in command.sections.values() for child in names]
    assert sorted(listed) == sorted(command.commands)
    text = " ".join(command.get_help(click.Context(command, info_name=name, terminal_width=80)).split())
    for child in command.commands.values():
        summary = child.help.split("\n\n")[0].replace("\n", " ").split(". ")[0].removesuffix(".")
        assert f"{child.name} {summary}" in text
        assert "..." not in child.get_short_help_str(limit=1000)


def test_the_help_groups_the_commands():
    assert list(group.sections) == ["Data", "Train and measure", "Use", "Albums", "Gallery and service"]


@pytest.mark.parametrize(("name", "command"), GROUPS)
def test_every_command_has_an_example_and_every_option_a_help_text(name, command):
    for child in command.commands.values():
        if not isinstance(child, click.Group):
            assert child.epilog.startswith("Example: "), child.name
            assert f"{name} {child.name} " in f"{child.epilog} "
        for parameter in child.params:
            assert not isinstance(parameter, click.Option) or parameter.help, f"{name} {child.name} {parameter.name}"


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ValueError("margin must be positive, got -1"), 2, "error: margin must be positive, got -1\n"),
        (FileNotFoundError(2, "No such file or directory", "a.jpg"), 2, "error: a.jpg: No such file or directory\n"),
        (OSError("disk on fire"), 2, "error: disk on fire\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (BrokenPipeError(32, "Broken pipe"), 2, ""),
    ],
)
def test_a_failure_is_a_message_and_an_exit_code(error, code, message, monkeypatch, capsys):
    def fail(*_arguments, **_options):
        raise error

    monkeypatch.setattr(group, "invoke", fail)
    with pytest.raises(SystemExit) as stopped:
        main(["card", "pretrained"])
    assert stopped.value.code == code
    assert capsys.readouterr().err.lstrip() == message  # click puts a line break after ^C


def test_a_mistyped_command_exits_with_2(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["verfy", "a.jpg", "b.jpg"])
    assert stopped.value.code == 2
    assert "No such command 'verfy'" in capsys.readouterr().err


def command_of(path):
    command = group
    for name in path.split():
        command = command.commands[name]
    return command


DETECTING = (
    "verify",
    "compare",
    "explain",
    "prepare",
    "embed",
    "gallery enrol",
    "gallery search",
    "gallery verify",
    "gallery reembed",
)


@pytest.mark.parametrize("words", DETECTING)
def test_a_command_that_detects_faces_takes_the_settings_of_the_detector_and_the_limits(words):
    defaults = {parameter.name: parameter.default for parameter in command_of(words).params}
    finder, limits = FaceFinder(), Limits()
    assert (defaults["min_face"], defaults["detector_size"]) == (finder.min_face, finder.detector_size)
    assert (defaults["max_pixels"], defaults["max_bytes"]) == (limits.max_pixels, limits.max_bytes)


@pytest.fixture(scope="module")
def small_face(generated_photo, tmp_path_factory):
    """A folder of one person with a photo of 2,000 pixels in which the face has about 40."""
    face = FaceFinder().detect(generated_photo)[0]
    side = round(len(generated_photo) * 40 / face.box[2])
    large = np.full((1600, 2000, 3), 128, np.uint8)
    large[700 : 700 + side, 900 : 900 + side] = np.asarray(Image.fromarray(generated_photo).resize((side, side)))
    folder = tmp_path_factory.mktemp("photos") / "anna"
    folder.mkdir()
    Image.fromarray(large).save(folder / "1.png")
    return folder


DOORS = {
    "verify": "verify {photo} {photo}",
    "compare": "compare {photo} {photo}",
    "explain": "explain {photo} {photo} --out {new}/why.png",
    "prepare": "prepare {people} --out {new}/faces --workers 1 --quiet",
    "enrol": "gallery enrol {new}/door.gallery {photo} --subject anna",
    "enrol a folder": "gallery enrol {new}/door.gallery {people} --quiet",
    "search": "gallery search {door} {photo}",
    "verify in a gallery": "gallery verify {door} anna {photo}",
}


@pytest.fixture(scope="module")
def run(small_face, tmp_path_factory):
    """Run a command on the photo; return its exit code."""
    door = tmp_path_factory.mktemp("gallery") / "door.gallery"
    names = {"photo": small_face / "1.png", "people": small_face.parent, "door": door}

    def call(command, *options):
        new = tmp_path_factory.mktemp("new")
        arguments = [word.format(new=new, **names) for word in command.split()]
        with pytest.raises(SystemExit) as stop:
            main([*arguments, *options])
        return stop.value.code

    assert call("gallery enrol {door} {photo} --subject anna") == 0
    return call


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--detector-size", "200"), "no face was found"),
        (("--min-face", "400"), "no face was found"),
        (("--max-pixels", "3000000"), "2000 x 1600 pixels are more than the limit of 3,000,000"),
        (("--max-bytes", "1000"), "more than the limit of 1,000 bytes"),
    ],
)
def test_the_settings_reach_detector_and_decoder(run, door, options, reason, capsys, tmp_path):
    assert run(DOORS[door], *options) == 2
    error = capsys.readouterr().err
    if "failures.csv" in error:
        error = Path(error.strip().rpartition("reasons in ")[2]).read_text()
    assert reason in error


@pytest.mark.parametrize("door", DOORS)
def test_the_small_face_is_detected_with_sufficient_settings(run, door):
    assert run(DOORS[door], "--detector-size", "1280", "--max-pixels", "3200000") == 0


@pytest.mark.parametrize(("options", "rows"), [((), 1), (("--detector-size", "200"), 0), (("--max-pixels", "3000000"), 0)])
def test_the_settings_reach_embed(small_face, tmp_path, options, rows, capsys):
    pytest.importorskip("pyarrow", reason="needs the extra parquet")
    arguments = ["embed", small_face.parent, "--out", tmp_path / "out.parquet", "--workers", 1, "--quiet", "--json", *options]
    with pytest.raises(SystemExit) as stop:
        main(list(map(str, arguments)))
    assert stop.value.code == 0
    assert json.loads(capsys.readouterr().out)["rows"] == rows


def test_settings_that_do_not_go_together_are_named(small_face, capsys):
    photo = str(small_face / "1.png")
    with pytest.raises(SystemExit) as stop:
        main(["verify", photo, photo, "--min-face", "300", "--detector-size", "200"])
    assert stop.value.code == 2
    assert "detector_size must be at least min_face (300 pixels), got 200" in capsys.readouterr().err


READING = {
    "train": "train {data} --out {new}/run --init scratch --quiet",
    "evaluate": "evaluate pretrained {data} --out {new} --quiet",
    "calibrate": "calibrate pretrained {data} --out {new}/model.onnx --quiet",
    "inspect": "inspect {data} --quiet",
    "inspect with a model": "inspect {data} --model pretrained --quiet",
}


@pytest.mark.parametrize("door", READING)
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--max-pixels", "1000"), "40 x 30 pixels are more than the limit of 1,000"),
        (("--max-bytes", "80"), "more than the limit of 80 bytes"),
    ],
)
def test_the_limits_reach_commands_on_data_sets(door, options, reason, tmp_path, capsys):
    data = tmp_path / "people"
    for person in ("anna", "ben"):
        (data / person).mkdir(parents=True)
        for number in range(2):
            noise = np.random.default_rng(number).integers(0, 255, (30, 40, 3), dtype=np.uint8)
            Image.fromarray(noise).save(data / person / f"{number}.png")
    with pytest.raises(SystemExit) as stop:
        main([*(word.format(data=data, new=tmp_path / "new") for word in READING[door].split()), *options])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert "none of 4 photos can be read" in error and reason in error


@pytest.mark.parametrize("words", ["train", "evaluate", "calibrate", "inspect"])
def test_a_command_on_data_sets_has_the_limits_of_a_photo(words):
    defaults = {parameter.name: parameter.default for parameter in command_of(words).params}
    assert (defaults["max_pixels"], defaults["max_bytes"]) == (Limits().max_pixels, Limits().max_bytes)
