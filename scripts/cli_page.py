"""Write docs/cli.md from the commands' own help: python scripts/cli_page.py."""

from collections.abc import Iterator
from pathlib import Path

import click

from visavis.cli import group

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
HEAD = """# Command line

Made from `visavis COMMAND --help` by `python scripts/cli_page.py`. Progress goes to standard error, results to standard output;
`--json` prints one object. Exit codes: 0 done (`verify`: the same person), 1 different people, 2 an error, 130 interrupted.
"""


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """A command and all below it, with their whole names."""
    yield name, command
    if isinstance(command, click.Group):
        for below in sorted(command.commands):
            yield from commands(command.commands[below], f"{name} {below}")


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
