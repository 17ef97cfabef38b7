"""What several commands share: options, and how they speak."""

import json
import shlex
import sys
from collections.abc import Callable, Iterable
from typing import Any

import click

__all__ = [
    "acquisition_options",
    "command_line",
    "fallback_option",
    "json_option",
    "model_option",
    "options",
    "overwrite_option",
    "print_json",
    "quiet_option",
    "rule_options",
    "say",
    "targets_option",
    "wanted_face_option",
    "warn",
    "workers_option",
]


def command_line() -> str:
    """Return the command that was given."""
    return shlex.join(["visavis", *sys.argv[1:]])


def say(text: str, *, quiet: bool) -> None:
    """Tell a person what goes on, on standard error."""
    if not quiet:
        click.echo(text, err=True)


def warn(warnings: Iterable[str]) -> None:
    """Tell, on standard error, what makes an answer less reliable."""
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)


def print_json(values: dict[str, Any]) -> None:
    """Print one JSON object on standard output."""
    click.echo(json.dumps(values, indent=2))


def options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Put several options on a command, in the order in which its help shows them."""

    def apply(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return apply


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
overwrite_option = click.option("--overwrite", is_flag=True, help="Train anew over the run that the run folder holds.")
quiet_option = click.option("--quiet", is_flag=True, help="No progress on standard error.")
model_option = click.option(
    "--model",
    default="pretrained",
    show_default=True,
    envvar="VISAVIS_MODEL",
    show_envvar=True,
    help="A run folder, a model file, pretrained or dlib.",
)
fallback_option = click.option(
    "--fallback", type=click.Choice(["centre"]), default=None, help="What to take where no face is found."
)
wanted_face_option = click.option(
    "--face", "policy", type=click.Choice(["largest", "centre", "all", "error"]), default="largest", help="Which face of several."
)
workers_option = click.option("--workers", type=click.IntRange(min=1), default=None, help="Processes; default: one for each core.")
acquisition_options = options(
    click.option("--aligned", is_flag=True, help="The photos are cut to the face already: look for none."),
    click.option(
        "--face",
        "policy",
        type=click.Choice(["largest", "centre", "error"]),
        default="largest",
        show_default=True,
        help="Which face, where there are several.",
    ),
    fallback_option,
)
targets_option = click.option(
    "--target-fmr",
    "target_fmrs",
    type=float,
    multiple=True,
    help="Choose a threshold that keeps this false match rate; again for more, the first one decides.",
)
rule_options = options(
    click.option("--target-fmr", type=float, help="Decide by the model's threshold for this false match rate."),
    click.option("--prior", type=float, default=0.5, show_default=True, help="The part of pairs of one person, for probabilities."),
)
