"""The command line: parse, call, print."""

import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from visavis import __version__
from visavis.errors import VisavisError

__all__ = ["main"]

SAME, DIFFERENT, ERROR, INTERRUPTED = 0, 1, 2, 130


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done (or the same person), 1 different people, 2 an error, 130 interrupted."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        code = group.main(arguments, prog_name="visavis", standalone_mode=False) or 0
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.ClickException as error:
        error.show()
        code = ERROR
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        code = INTERRUPTED
    except (VisavisError, ValueError, OSError) as error:
        click.echo(f"error: {error}", err=True)
        code = ERROR
    sys.exit(code)


def _command_line() -> str:
    return shlex.join(["visavis", *sys.argv[1:]])


def _say(text: str, *, quiet: bool) -> None:
    """Tell a person what goes on, on standard error."""
    if not quiet:
        click.echo(text, err=True)


def _print_json(values: dict[str, Any]) -> None:
    click.echo(json.dumps(values, indent=2))


def _options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Put several options on a command, in the order in which its help shows them."""

    def apply(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return apply


_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
_quiet_option = click.option("--quiet", is_flag=True, help="No progress on standard error.")
_model_option = click.option(
    "--model",
    default="pretrained",
    show_default=True,
    envvar="VISAVIS_MODEL",
    show_envvar=True,
    help="A run folder, a model file, pretrained or dlib.",
)


_fallback_option = click.option(
    "--fallback", type=click.Choice(["centre"]), default=None, help="What to take where no face is found."
)
_acquisition_options = _options(
    click.option("--aligned", is_flag=True, help="The photos are cut to the face already: look for none."),
    click.option(
        "--face",
        "policy",
        type=click.Choice(["largest", "centre", "error"]),
        default="largest",
        show_default=True,
        help="Which face, where there are several.",
    ),
    _fallback_option,
)


_targets_option = click.option(
    "--target-fmr",
    "target_fmrs",
    type=float,
    multiple=True,
    help="Choose a threshold that keeps this false match rate; again for more, the first one decides.",
)
_rule_options = _options(
    click.option("--target-fmr", type=float, help="Decide by the model's threshold for this false match rate."),
    click.option("--prior", type=float, default=0.5, show_default=True, help="The part of pairs of one person, for probabilities."),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
def group() -> None:
    r"""Siamese face verification: the same person or not, and how often is that answer wrong?

    \b
    visavis demo                                   a whole run on generated faces, in minutes
    visavis train photos/ --out runs/mine          learn from a folder with one sub-folder per person
    visavis evaluate runs/mine photos/             error rates on the people that it never saw
    visavis verify a.jpg b.jpg --model runs/mine   the same person?
    """


@group.command(epilog="Example: visavis prepare photos/ --out faces/ && visavis train faces/ --out runs/mine")
@click.argument("photos", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The folder to write; a new one, or one begun before.")
@click.option("--face", type=click.Choice(["largest", "centre", "all", "error"]), default="largest", help="Which face of several.")
@_fallback_option
@click.option("--workers", type=click.IntRange(min=1), default=None, help="Processes; default: one for each core.")
@_options(_quiet_option, _json_option)
def prepare(photos: Path, out: Path, *, face: Any, fallback: Any, workers: int | None, quiet: bool, as_json: bool) -> None:
    """Find and align the faces in PHOTOS, a folder with one sub-folder per person or a .tar or .zip of one.

    Writes a data set that train, evaluate and the others take, a table of the faces, and a list of the photos that gave none,
    with the reasons. Run it again after an interruption: it goes on where it stopped.
    """
    from visavis.preparation import prepare_photos

    result = prepare_photos(photos, out, policy=face, fallback=fallback, workers=workers, progress=not quiet)
    _print_json(result.to_json()) if as_json else click.echo(str(result))


@group.command(epilog="Example: visavis inspect faces/ --out inspect.html --fix-list drop.csv")
@click.argument("data")
@click.option("--out", type=click.Path(path_type=Path), help="The page to write, with pictures.")
@click.option("--fix-list", type=click.Path(path_type=Path), help="A CSV of the photos that may be left out.")
@click.option("--model", help="A run folder, a model file or pretrained: finds doubtful names as well.")
@click.option("--against", help="Another data set, such as test people: no photo may be in both.")
@_options(_quiet_option, _json_option)
def inspect(data: str, *, out: Path | None, quiet: bool, as_json: bool, **settings: Any) -> None:
    """Look through DATA: near-duplicates, blurred and small faces, photos without a face, doubtful names, leaks."""
    from visavis.inspection import inspect_data

    audit = inspect_data(data, out=out, progress=not quiet, **settings)
    if out is not None:
        _say(f"page: {out}", quiet=quiet)
    _print_json(audit.to_json()) if as_json else click.echo(str(audit))


@group.command(epilog="Example: visavis train olivetti --out runs/olivetti --loss contrastive")
@click.argument("data")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The run folder to write.")
@click.option("--init", help="Where weights start: pretrained (the default for prepared faces), scratch, or another run.")
@click.option("--loss", default=None, help="contrastive, binary-crossentropy, triplet, supervised-contrastive, ...")
@click.option("--network", default=None, help="compact, deep or classic.")
@click.option("--size", type=int, default=None, help="Side of a face, pixels; 64 from scratch.")
@click.option("--crop", type=float, default=None, help="Keep this part of the photo's shorter side, around the centre.")
@click.option("--gray", is_flag=True, help="Take the colour out.")
@click.option("--steps", type=int, default=None, help="Batches to train on.")
@click.option("--seed", type=int, default=0, show_default=True, help="Draws split, weights and batches.")
@click.option("--split", type=click.Choice(["person", "photo"]), default="person", show_default=True, help="What is split.")
@_options(_targets_option)
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in the run folder.")
@click.option("--tensorboard", is_flag=True, help="Also write TensorBoard logs into the run folder.")
@_options(_quiet_option, _json_option)
def train(data: str, out: Path, quiet: bool, as_json: bool, **settings: Any) -> None:
    """Train a model on the people in DATA, some of whom are kept for validation and test.

    DATA is `synthetic`, `olivetti` or `lfw`, a folder with one sub-folder per person (or a .tar or .zip of one), a .npz file with
    face_images and face_labels, or two files as images.npy,labels.npy.
    """
    from visavis.experiments import DataSource, default_init, train_model

    own_input = settings["network"] or settings["size"] or settings["crop"] or settings["gray"]
    chosen = {name: settings[name] for name in ("loss", "network", "steps", "seed") if settings[name] is not None}
    encoder = train_model(
        DataSource(data, size=settings["size"] or 64, crop=settings["crop"], gray=settings["gray"], seed=settings["seed"]),
        out,
        init=settings["init"] or ("scratch" if own_input else default_init(data)),
        by=settings["split"],
        target_fmrs=settings["target_fmrs"],
        config=chosen,
        logging={"tensorboard": settings["tensorboard"], "progress": not quiet, "command": _command_line()},
        resume=settings["resume"],
    )
    card = encoder.card
    _say(f"\nmodel written to {out}\nnext: visavis evaluate {out} {data}", quiet=quiet)
    summary = {"run": str(out), **card.training, "threshold": card.threshold and card.threshold.score}
    _print_json(summary) if as_json else click.echo(f"validation EER {card.training['validation_eer']:.2%}")


@group.command(epilog="Example: visavis evaluate runs/olivetti olivetti --json")
@click.argument("model", metavar="RUN")
@click.argument("data")
@click.option("--pairs", type=click.Path(path_type=Path), help="Score these pairs: LFW's pairs.txt, or a CSV.")
@click.option("--people", type=click.Choice(["unseen", "all"]), default="unseen", show_default=True, help="Whom to score.")
@click.option("--enrol", type=click.IntRange(min=1), help="Also search a gallery of half of the people, so many photos of each.")
@click.option(
    "--template", type=click.Choice(["mean", "best"]), default="mean", show_default=True, help="How several photos become one."
)
@click.option("--attributes", type=click.Path(path_type=Path), help="A CSV of groups and qualities, by person or photo.")
@click.option("--out", type=click.Path(path_type=Path), help="Where metrics and report go; default: the run folder.")
@_options(_rule_options, _quiet_option, _json_option)
def evaluate(model: str, data: str, *, quiet: bool, as_json: bool, **settings: Any) -> None:
    """Measure a model on the people in DATA that it never saw, and write metrics, pictures and a report.

    RUN is a run folder, a model file, `pretrained` for the encoder that comes with visavis, or `dlib`.
    """
    from visavis.assessment import evaluate_model

    result = evaluate_model(model, data, command=_command_line(), progress=not quiet, **settings)
    _say(f"report: {result.report}", quiet=quiet)
    _print_json(result.evaluation.to_json()) if as_json else click.echo(str(result.evaluation))


@group.command(epilog="Example: visavis report runs/a/metrics.json runs/b/metrics.json")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@_options(_json_option)
def report(first: Path, second: Path, *, as_json: bool) -> None:
    """Tell whether one model is really better than another, by what evaluate wrote of both on the same data.

    FIRST and SECOND are metrics.json files, or the folders that they are in.
    """
    from visavis.evaluation import compare_reports

    found = compare_reports(first, second)
    _print_json(found.to_json()) if as_json else click.echo(str(found))


@group.command(epilog="Example: visavis calibrate runs/mine door/ --target-fmr 1e-3 --target-fmr 1e-4 --out runs/door")
@click.argument("model")
@click.argument("data")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="The model to write: a file of the same kind, or a folder."
)
@_options(_targets_option)
@click.option("--method", type=click.Choice(["logistic", "isotonic"]), default="logistic", show_default=True)
@_options(_quiet_option, _json_option)
def calibrate(model: str, data: str, *, out: Path, quiet: bool, as_json: bool, **settings: Any) -> None:
    """Choose MODEL's thresholds, and make its probabilities, for the camera and the people of DATA, without training.

    None of these people may be among those that the model is tested on later: evaluate leaves them out.
    """
    from visavis.recalibration import calibrate_model

    found = calibrate_model(model, data, out, progress=not quiet, **settings)
    _print_json(found.to_json()) if as_json else click.echo(str(found))


@group.command(epilog="Example: visavis export runs/mine --out mine.onnx && visavis card mine.onnx")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The file to write, .onnx or .tflite.")
@click.option("--without-names", is_flag=True, help="Put digests in the place of people's names in the card.")
def export(run: Path, out: Path, *, without_names: bool) -> None:
    """Write the embedding network of RUN with its card into one file that runs without Keras."""
    from visavis.export import export_model

    click.echo(export_model(run, out, names=not without_names))


@group.command(epilog="Example: visavis card mine.onnx --json")
@click.argument("model")
@_options(_json_option)
def card(model: str, *, as_json: bool) -> None:
    """Print what MODEL takes, how it decides and what it learned from."""
    from visavis.encoders import load_encoder

    found = load_encoder(model).card
    _print_json(found.to_json()) if as_json else click.echo(str(found))


@group.command(epilog="Example: visavis verify a.jpg b.jpg --model runs/mine && echo same")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--draw", type=click.Path(path_type=Path), help="Draw both photos, the faces and the score into this PNG.")
@_options(_model_option, _rule_options, _acquisition_options, _json_option)
@click.pass_context
def verify(
    context: click.Context, /, first: Path, second: Path, *, model: str, draw: Path | None, as_json: bool, **verifier: Any
) -> None:
    """Tell whether two photos show the same person. Exits with 0 if so, 1 if not, 2 on an error."""
    from visavis.comparisons import verify_photos
    from visavis.verification import Verifier

    verdict = verify_photos(Verifier(model, **verifier), first, second, out=draw)
    if as_json:
        _print_json({"first": str(first), "second": str(second), **verdict.to_json()})
    else:
        click.echo(f"{verdict.answer} ({verdict.figures})")
        for warning in verdict.warnings:
            click.echo(f"warning: {warning}", err=True)
    context.exit(SAME if verdict.same else DIFFERENT)


@group.command(epilog="Example: visavis explain a.jpg b.jpg --out why.png")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The PNG to draw.")
@_options(_model_option, _rule_options, _acquisition_options, _json_option)
def explain(first: Path, second: Path, *, out: Path, model: str, as_json: bool, **verifier: Any) -> None:
    """Draw what on two faces raised the score of their comparison, and what lowered it."""
    from visavis.explanation import explain_photos
    from visavis.verification import Verifier

    found = explain_photos(Verifier(model, **verifier), first, second, out=out)
    if as_json:
        maps = [weights.round(6).tolist() for weights in found.maps]
        _print_json({"first": str(first), "second": str(second), **found.verdict.to_json(), "maps": maps})
    else:
        click.echo(f"{found.verdict.answer} ({found.verdict.figures})\npicture: {out}")


@group.command(epilog="Example: visavis compare anchor.jpg photos/*.jpg --model runs/mine --out compared.png")
@click.argument("anchor", type=click.Path(path_type=Path))
@click.argument("photos", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Draw the comparison into this PNG.")
@_options(_model_option, _rule_options, _acquisition_options, _quiet_option, _json_option)
def compare(
    anchor: Path,
    photos: tuple[Path, ...],
    *,
    model: str,
    out: Path | None,
    quiet: bool,
    as_json: bool,
    **verifier: Any,
) -> None:
    """Compare one anchor with many photos, the most alike first."""
    from visavis.comparisons import compare_photos
    from visavis.verification import Verifier

    compared = compare_photos(Verifier(model, **verifier), anchor, photos, out=out)
    if out is not None:
        _say(f"picture: {out}", quiet=quiet)
    if as_json:
        _print_json({"anchor": str(anchor), **compared.to_json()})
        return
    for photo, verdict in compared.ranked:
        click.echo(f"{photo}: {verdict.answer} ({verdict.figures})")
    for _, reason in compared.failures:
        click.echo(f"not compared: {reason}", err=True)


@group.command(epilog="Example: visavis demo --out runs/demo")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/demo"), show_default=True, help="The run folder.")
@click.option("--steps", type=int, default=None, help="Batches to train on, for a shorter or longer demo.")
@_options(_quiet_option, _json_option)
def demo(out: Path, steps: int | None, quiet: bool, as_json: bool) -> None:
    """Train, evaluate and verify on generated faces, from nothing to a report, in under three minutes."""
    from visavis.demo import run_demo

    result = run_demo(out, steps=steps, progress=not quiet)
    if as_json:
        _print_json(result.to_json())
    else:
        click.echo(str(result))
