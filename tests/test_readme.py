"""The README's Python runs as it stands there, and the commands of all pages are ones that exist."""

import re
import shlex
from pathlib import Path

import click
import pytest

from visavis.cli import group

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_there_are_examples():
    assert len(BLOCKS) == 2


@pytest.mark.parametrize("block", BLOCKS)
def test_examples_run(block, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out


def commands_in(path):
    """The `visavis` commands of a page's indented blocks, one by one, without their comments."""
    for line in path.read_text().splitlines():
        if line.startswith("    visavis "):
            for command in line.split("#")[0].split("&&"):
                words = shlex.split(command)
                if words and words[0] == "visavis":
                    yield words[1:]


def test_commands_of_the_pages_exist_with_their_options():
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "recipes" / "README.md"]
    commands = [words for page in pages for words in commands_in(page)]
    assert len(commands) > 20
    for words in commands:
        command, arguments = group, words
        while isinstance(command, click.Group):
            command, arguments = command.commands[arguments[0]], arguments[1:]
        command.make_context(command.name, arguments)
    with pytest.raises(click.NoSuchOption):
        group.commands["verify"].make_context("verify", ["a.jpg", "b.jpg", "--hard"])
