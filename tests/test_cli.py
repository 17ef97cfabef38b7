"""The command line's help is complete, and every failure has a message and an exit code."""

import click
import pytest

from visavis.cli import group, main
from visavis.cli.groups import SectionedGroup


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
    assert list(group.sections) == ["Data", "Train and measure", "Use", "Gallery and service"]


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
