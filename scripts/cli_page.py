"""Write docs/cli.md from the help of the commands: python scripts/cli_page.py."""

from collections.abc import Iterator
from pathlib import Path

import click

from visavis.cli import group

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
HEAD = """# Command line

Results go to standard output, progress and warnings to standard error. With `--json` the result is one JSON object.

| exit code | meaning |
| --- | --- |
| 0 | success; for `verify` and `gallery verify`: the same person; for `gallery search`: at least one match |
| 1 | different people, or no match |
| 2 | an error, with a message |
| 130 | interrupted |

This page is generated from the commands' `--help` by `python scripts/cli_page.py`.
"""


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """Yield a command and all commands below it, each with its full name."""
    yield name, command
    if isinstance(command, click.Group):
        for child in command.list_commands(click.Context(command)):
            yield from commands(command.commands[child], f"{name} {child}")


def page() -> str:
    """Return the page."""
    parts = [HEAD]
    for name, command in commands(group, "visavis"):
        settings = {**group.context_settings, "max_content_width": 100, "terminal_width": 100}
        context = click.Context(command, info_name=name, **settings)
        parts.append(f"## {name}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
