"""Options that several commands share, and their output."""

import json
import os
import shlex
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from visavis.verification import Verifier

__all__ = [
    "PhotosLocation",
    "acquisition_options",
    "command_line",
    "enrolment_options",
    "estimate_option",
    "fallback_option",
    "json_option",
    "limit_options",
    "matching_options",
    "min_quality_option",
    "model_option",
    "open_verifier",
    "options",
    "people_depth_option",
    "overwrite_option",
    "pad_option",
    "print_json",
    "print_note",
    "print_warnings",
    "provider_option",
    "quiet_option",
    "rules_options",
    "search_options",
    "decision_options",
    "target_fmrs_option",
    "detector_options",
    "face_policy_option",
    "workers_option",
]


def command_line() -> str:
    """Return the command as it was typed."""
    return shlex.join(["visavis", *sys.argv[1:]])


def open_verifier(
    model: str,
    *,
    aligned: bool = False,
    target_fmr: float | None = None,
    prior: float = 0.5,
    pad: Path | None = None,
    **acquisition: Any,
) -> "Verifier":
    """Return the verifier that the options of a command describe."""
    if pad is not None and aligned:
        raise click.UsageError("--pad needs whole photos: leave out --aligned")
    from visavis.faces import AcquisitionSettings
    from visavis.verification import Verifier

    verifier = Verifier(model, acquisition=AcquisitionSettings(**acquisition), aligned=aligned, target_fmr=target_fmr, prior=prior)
    if pad is not None:
        from visavis.pad import load_pad

        verifier.pad = load_pad(pad)
    return verifier


def print_note(text: str, *, quiet: bool) -> None:
    """Print a note on progress to standard error."""
    if not quiet:
        click.echo(text, err=True)


def print_warnings(warnings: Iterable[str]) -> None:
    """Print to standard error what makes an answer less reliable."""
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)


def print_json(values: dict[str, Any]) -> None:
    """Print one JSON object to standard output."""
    click.echo(json.dumps(values, indent=2))


def options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a decorator that adds several options, in the order in which the help shows them."""

    def apply(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return apply


def detector_options(command: Any) -> Any:
    """Add `--min-face` and `--detector-size`, which become the argument `finder`."""

    @wraps(command)
    def with_finder(*arguments: Any, min_face: int, detector_size: int, **settings: Any) -> Any:
        from visavis.faces import FaceFinder

        return command(*arguments, finder=FaceFinder(min_face=min_face, detector_size=detector_size), **settings)

    return options(
        click.option(
            "--min-face",
            type=click.IntRange(min=12),
            default=20,
            show_default=True,
            help="Side in pixels of the smallest face to detect, in the photo as reduced by --detector-size.",
        ),
        click.option(
            "--detector-size",
            type=click.IntRange(min=12),
            default=960,
            show_default=True,
            help="Reduce photos to this longer side in pixels before detection. Larger: finds smaller faces, takes longer.",
        ),
    )(with_finder)


def limit_options(command: Any, *, max_pixels: int = 50_000_000, max_bytes: int = 20_000_000) -> Any:
    """Add `--max-pixels` and `--max-bytes`, which become the argument `limits`."""

    @wraps(command)
    def with_limits(*arguments: Any, max_pixels: int, max_bytes: int, **settings: Any) -> Any:
        from visavis.images import Limits

        return command(*arguments, limits=Limits(max_bytes=max_bytes, max_pixels=max_pixels), **settings)

    positive = click.IntRange(min=1)
    return options(
        click.option("--max-pixels", type=positive, default=max_pixels, show_default=True, help="Refuse photos with more pixels."),
        click.option(
            "--max-bytes", type=positive, default=max_bytes, show_default=True, help="Refuse photo files with more bytes."
        ),
    )(with_limits)


class PhotosLocation(click.ParamType):  # type: ignore[type-arg]
    """A path of photos, or a URI such as `s3://bucket/photos`, which no path can hold."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path | str:
        """Return a URI as it is, and anything else as a path."""
        return value if "://" in str(value) else Path(value)


people_depth_option = click.option(
    "--people-depth",
    type=click.IntRange(min=1),
    default=None,
    metavar="N",
    help="Which folders are the people: 1, those at the top; 2, those below them. Default: the top, below a single wrapper folder.",
)


def rules_options(command: Any) -> Any:
    """Add `--people-depth`, `--max-pixels` and `--max-bytes`, which become the argument `rules`."""

    @wraps(command)
    def with_rules(*arguments: Any, people_depth: int | None, limits: Any, **settings: Any) -> Any:
        from visavis.data import IntakeRules

        return command(*arguments, rules=IntakeRules(people_depth=people_depth, limits=limits), **settings)

    return people_depth_option(limit_options(with_rules))


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object to standard output.")
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace the run that the folder holds.")
quiet_option = click.option("--quiet", is_flag=True, help="Show no progress on standard error.")


def _set_provider(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    """Name the provider for this process and those that it starts: encoder and detector read it."""
    if value is not None:
        os.environ["VISAVIS_PROVIDER"] = value


provider_option = click.option(
    "--provider",
    type=click.Choice(["auto", "cpu", "cuda", "coreml", "openvino", "directml"]),
    envvar="VISAVIS_PROVIDER",
    show_envvar=True,
    expose_value=False,
    callback=_set_provider,
    help="What ONNX Runtime runs on; auto takes an accelerator if it has one.",
)
model_option = options(
    click.option(
        "--model",
        default="pretrained",
        show_default=True,
        envvar="VISAVIS_MODEL",
        show_envvar=True,
        help="A run folder, a model file, or an encoder that visavis encoders list shows.",
    ),
    provider_option,
)


def _face_option(*policies: str, also: str = "") -> Any:
    return click.option(
        "--face",
        "policy",
        type=click.Choice(policies),
        default="largest",
        show_default=True,
        help=f"Which face to take if there are several{also}.",
    )


face_policy_option = _face_option("largest", "centre", "all", "error")
_one_face_option = _face_option("largest", "centre", "error")
_enrolled_face_option = _face_option("largest", "centre", "all", "error", also="; largest and all: the one that agrees with others")
_searched_face_option = _face_option("largest", "centre", "all", "error", also="; with all, each of them counts")
_any_face_option = _face_option("largest", "centre", "all", "error", also="; with all, photos match if any of their faces do")


def min_quality_option(default: str) -> Any:
    """Return the option `--min-quality`, which becomes the argument `min_quality`."""
    return click.option(
        "--min-quality",
        type=click.Choice(["none", "basic", "portrait"]),
        default=default,
        show_default=True,
        help="Refuse to enrol photos below this level: with several faces, or a small, blurred, turned or doubtful one.",
    )


fallback_option = click.option(
    "--fallback",
    type=click.Choice(["centre"]),
    default=None,
    help="What to crop if no face is detected; without it, the photo is a failure.",
)
workers_option = click.option(
    "--workers", type=click.IntRange(min=1), default=None, help="Number of processes; default: one per core."
)
_aligned_option = click.option("--aligned", is_flag=True, help="The photos are face crops already: skip detection.")
acquisition_options = options(_aligned_option, _one_face_option, fallback_option, detector_options, limit_options)
enrolment_options = options(_aligned_option, _enrolled_face_option, fallback_option, detector_options, limit_options)
search_options = options(_aligned_option, _searched_face_option, fallback_option, detector_options, limit_options)
matching_options = options(_aligned_option, _any_face_option, fallback_option, detector_options, limit_options)
target_fmrs_option = click.option(
    "--target-fmr",
    "target_fmrs",
    type=float,
    multiple=True,
    help="Choose a threshold for this false match rate (FMR). Repeat it for more; the first one decides.",
)
estimate_option = click.option(
    "--estimate",
    "chosen_as",
    is_flag=True,
    callback=lambda context, parameter, value: "estimated" if value else "guaranteed",
    help="Accept thresholds whose FMR is about the target instead of guaranteed.",
)
pad_option = click.option(
    "--pad",
    type=click.Path(path_type=Path),
    help="A presentation attack detector, a .onnx file with a .toml beside it: accept nothing that it takes for an attack.",
)
decision_options = options(
    click.option("--target-fmr", type=float, help="Decide by the model's threshold for this false match rate (FMR)."),
    click.option(
        "--prior", type=float, default=0.5, show_default=True, help="Prior probability that the photos show the same person."
    ),
)
