"""A click group whose help lists the commands under headings."""

from typing import Any

import click

__all__ = ["SectionedGroup"]


class SectionedGroup(click.Group):
    """A group that shows its commands in sections, in the order in which they were added, with whole summaries.

    Click sorts commands by name and cuts their summaries off at the width of the terminal; here they wrap.

    Attributes:
        sections: The names of the commands below each heading.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Start without sections; the arguments are click's."""
        super().__init__(*args, **kwargs)
        self.sections: dict[str, list[str]] = {}

    def add_section(self, heading: str, *commands: click.Command) -> None:
        """Add `commands` below `heading`."""
        for command in commands:
            self.add_command(command)
        self.sections[heading] = [str(command.name) for command in commands]

    def list_commands(self, context: click.Context) -> list[str]:
        """List the commands in the order of their sections."""
        return [name for names in self.sections.values() for name in names]

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each section as a definition list."""
        width = max(map(len, self.commands))
        for heading, names in self.sections.items():
            rows = [(f"{name:<{width}}", self.commands[name].get_short_help_str(limit=1000)) for name in names]
            with formatter.section(heading):
                formatter.write_dl(rows)
