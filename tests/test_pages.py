"""The pages are correct: their Python runs, their commands and scripts exist, and generated parts are up to date."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from presentations import write_detector
from videos import write_video

import visavis
from visavis.cli import group

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "recipes" / "README.md", ROOT / "CONTRIBUTING.md"]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
NAMES = ("anna", "berta", "clara", "dora", "emil", "fritz")
WITH_CODE = [page for page in PAGES if BLOCK.search(page.read_text())]


@pytest.fixture
def workplace(photo_files, tmp_path, monkeypatch):
    """A folder with the files that the pages speak of."""
    monkeypatch.chdir(tmp_path)
    for name, files in zip(NAMES, photo_files, strict=True):
        for number, file in enumerate(files, start=1):
            in_folders = [Path(folder, name, f"{number}.jpg") for folder in ("photos", "people")]
            for path in (Path(f"{name}-{number}.jpg"), Path("party", f"{name}-{number}.jpg"), *in_folders):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(file)
    Path("who.jpg").write_bytes(photo_files[0][1])
    write_detector(Path("liveness.onnx"))
    write_video(Path("door.mp4"), [photo_files[0][0]] * 10)


def test_there_are_examples():
    assert len(WITH_CODE) >= 7


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.stem)
def test_the_python_of_a_page_runs(page, workplace, capsys):
    names = {"__name__": "__page__"}
    for number, block in enumerate(BLOCK.findall(page.read_text()), start=1):
        exec(compile(block, f"{page.name}, block {number}", "exec"), names)


def commands_in(path):
    """The `visavis` commands of a page's indented blocks, one by one, without their comments."""
    for line in path.read_text().splitlines():
        if line.startswith("    visavis "):
            for command in line.split("#")[0].split("&&"):
                words = shlex.split(command)
                if words and words[0] == "visavis":
                    yield words[1:]


def find_command(words):
    """The command that some words call, and the arguments that are left."""
    command = group
    while isinstance(command, click.Group):
        command, words = command.commands[words[0]], words[1:]
    return command, words


def test_commands_of_the_pages_exist_with_their_options():
    commands = [words for page in PAGES for words in commands_in(page)]
    assert len(commands) > 40
    for words in commands:
        command, arguments = find_command(words)
        command.make_context(words[0], list(arguments))
    with pytest.raises(click.NoSuchOption):
        group.commands["verify"].make_context("verify", ["a.jpg", "b.jpg", "--hard"])


def test_the_page_of_the_command_line_is_what_the_help_says():
    # in a process of its own: commands that were called before keep the help option that they had then
    script = "import sys; sys.path.insert(0, 'scripts'); import cli_page; print(cli_page.page(), end='')"
    page = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert (ROOT / "docs" / "cli.md").read_text() == page, "docs/cli.md is out of date: python scripts/cli_page.py"


def test_the_page_of_the_public_names_has_them_all():
    listed = re.findall(r"^::: visavis\.[a-z_.]+\.(\w+)$", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(visavis.__all__)


def test_scripts_that_the_pages_name_exist():
    pages = [*PAGES, ROOT / "SECURITY.md", ROOT / "CHANGELOG.md", ROOT / ".github" / "workflows" / "ci.yml"]
    script = re.compile(r"\b(?:benchmarks|examples|recipes|scripts|tests)/\w+\.py")
    named = {name for page in pages for name in script.findall(page.read_text())}
    assert len(named) > 20
    assert not [name for name in named if not (ROOT / name).is_file()]


def test_every_page_is_in_the_site():
    listed = re.findall(r"- ([a-z-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(page.name for page in (ROOT / "docs").glob("*.md"))


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_asks_nobody_else(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    for page in (tmp_path / "site").glob("*.html"):
        fetched = re.findall(r'(?:src|href)="(https?:[^"]+)"[^>]*(?:rel="stylesheet"|></script>)', page.read_text())
        assert not fetched, f"{page.name} fetches {fetched}"
