"""Commands that make and measure models: train, evaluate, report, calibrate, export, card, demo."""

from pathlib import Path
from typing import Any

import click

from visavis.cli.options import (
    command_line,
    json_option,
    options,
    overwrite_option,
    print_json,
    quiet_option,
    rule_options,
    say,
    targets_option,
)

__all__ = ["calibrate", "card", "demo", "evaluate", "export", "report", "train"]


def number_or_all(value: str) -> int | str:
    """Read what `use_devices` takes."""
    return value if value == "all" else int(value)


@click.command(epilog="Example: visavis train olivetti --out runs/olivetti --loss contrastive")
@click.argument("data")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The run folder to write.")
@click.option("--init", help="Where weights start: pretrained (the default for prepared faces), scratch, or another run.")
@click.option("--loss", default=None, help="contrastive, binary-crossentropy, triplet, supervised-contrastive, ...")
@click.option("--network", default=None, help="compact, deep, deeper or classic.")
@click.option("--size", type=int, default=None, help="Side of a face, pixels; 64 from scratch.")
@click.option("--crop", type=float, default=None, help="Keep this part of the photo's shorter side, around the centre.")
@click.option("--gray", is_flag=True, help="Take the colour out.")
@click.option("--mirror/--no-mirror", default=True, help="Whether a mirrored picture shows the same; of writing it does not.")
@click.option("--steps", type=int, default=None, help="Batches to train on.")
@click.option("--seed", type=int, default=0, show_default=True, help="Draws split, weights and batches.")
@click.option("--split", type=click.Choice(["person", "photo"]), default="person", show_default=True, help="What is split.")
@options(targets_option)
@click.option("--devices", type=number_or_all, default=1, show_default=True, help="How many share each batch, or all (needs JAX).")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in the run folder.")
@options(overwrite_option)
@click.option("--tensorboard", is_flag=True, help="Also write TensorBoard logs into the run folder.")
@options(quiet_option, json_option)
def train(data: str, out: Path, quiet: bool, as_json: bool, **settings: Any) -> None:
    """Train a model on the people in DATA, some of whom are kept for validation and test.

    DATA is `synthetic`, `olivetti` or `lfw`, a folder with one sub-folder per person (or a .tar or .zip of one), a .npz file with
    face_images and face_labels, or two files as images.npy,labels.npy.
    """
    from visavis.training.devices import use_devices
    from visavis.training.experiments import DataSource, default_init, train_model

    devices = use_devices(settings["devices"])
    quiet = quiet or not devices.writes
    own_input = settings["network"] or settings["size"] or settings["crop"] or settings["gray"]
    chosen = {name: settings[name] for name in ("loss", "network", "steps", "seed") if settings[name] is not None}
    if not settings["mirror"]:
        chosen["flip"] = False
    encoder = train_model(
        DataSource(data, size=settings["size"] or 64, crop=settings["crop"], gray=settings["gray"], seed=settings["seed"]),
        out,
        init=settings["init"] or ("scratch" if own_input else default_init(data)),
        by=settings["split"],
        target_fmrs=settings["target_fmrs"],
        config=chosen,
        logging={"tensorboard": settings["tensorboard"], "progress": not quiet, "command": command_line()},
        resume=settings["resume"],
        overwrite=settings["overwrite"],
        devices=devices,
    )
    card = encoder.card
    say(f"\nmodel written to {out}\nnext: visavis evaluate {out} {data}", quiet=quiet)
    if not devices.writes:
        return
    summary = {"run": str(out), **card.training, "threshold": card.threshold and card.threshold.score}
    print_json(summary) if as_json else click.echo(f"validation EER {card.training['validation_eer']:.2%}")


@click.command(epilog="Example: visavis evaluate runs/olivetti olivetti --json")
@click.argument("model", metavar="RUN")
@click.argument("data")
@click.option("--pairs", type=click.Path(path_type=Path), help="Score these pairs: LFW's pairs.txt, or a CSV.")
@click.option("--sample", type=click.IntRange(min=1), help="Draw so many pairs of each kind, in the place of all pairs.")
@click.option("--people", type=click.Choice(["unseen", "all"]), default="unseen", show_default=True, help="Whom to score.")
@click.option("--enrol", type=click.IntRange(min=1), help="Also search a gallery of half of the people, so many photos of each.")
@click.option(
    "--template", type=click.Choice(["mean", "best"]), default="mean", show_default=True, help="How several photos become one."
)
@click.option("--attributes", type=click.Path(path_type=Path), help="A CSV of groups and qualities, by person or photo.")
@click.option("--out", type=click.Path(path_type=Path), help="Where metrics and report go; default: the run folder.")
@options(rule_options, quiet_option, json_option)
def evaluate(model: str, data: str, *, quiet: bool, as_json: bool, **settings: Any) -> None:
    """Measure a model on the people in DATA that it never saw, and write metrics, pictures and a report.

    RUN is a run folder, a model file, `pretrained` for the encoder that comes with visavis, or `dlib`.
    """
    from visavis.evaluation.assessment import evaluate_model

    result = evaluate_model(model, data, command=command_line(), progress=not quiet, **settings)
    say(f"report: {result.report}", quiet=quiet)
    print_json(result.evaluation.to_json()) if as_json else click.echo(str(result.evaluation))


@click.command(epilog="Example: visavis report runs/a/metrics.json runs/b/metrics.json")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@options(json_option)
def report(first: Path, second: Path, *, as_json: bool) -> None:
    """Tell whether one model is really better than another, by what evaluate wrote of both on the same data.

    FIRST and SECOND are metrics.json files, or the folders that they are in.
    """
    from visavis.evaluation import compare_reports

    found = compare_reports(first, second)
    print_json(found.to_json()) if as_json else click.echo(str(found))


@click.command(epilog="Example: visavis calibrate runs/mine door/ --target-fmr 1e-3 --target-fmr 1e-4 --out runs/door")
@click.argument("model")
@click.argument("data")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="The model to write: a file of the same kind, or a folder."
)
@options(targets_option)
@click.option("--method", type=click.Choice(["logistic", "isotonic"]), default="logistic", show_default=True)
@options(quiet_option, json_option)
def calibrate(model: str, data: str, *, out: Path, quiet: bool, as_json: bool, **settings: Any) -> None:
    """Choose MODEL's thresholds, and make its probabilities, for the camera and the people of DATA, without training.

    None of these people may be among those that the model is tested on later: evaluate leaves them out.
    """
    from visavis.evaluation.recalibration import calibrate_model

    found = calibrate_model(model, data, out, progress=not quiet, **settings)
    print_json(found.to_json()) if as_json else click.echo(str(found))


@click.command(epilog="Example: visavis export runs/mine --out mine.onnx && visavis card mine.onnx")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The file to write, .onnx or .tflite.")
@click.option("--without-names", is_flag=True, help="Put digests in the place of people's names in the card.")
def export(run: Path, out: Path, *, without_names: bool) -> None:
    """Write the embedding network of RUN with its card into one file that runs without Keras."""
    from visavis.encoders.export import export_model

    click.echo(export_model(run, out, names=not without_names))


@click.command(epilog="Example: visavis card mine.onnx --json")
@click.argument("model")
@options(json_option)
def card(model: str, *, as_json: bool) -> None:
    """Print what MODEL takes, how it decides and what it learned from."""
    from visavis.encoders import load_encoder

    found = load_encoder(model).card
    print_json(found.to_json()) if as_json else click.echo(str(found))


@click.command(epilog="Example: visavis demo --out runs/demo")
@click.option("--out", type=click.Path(path_type=Path), help="The run folder; default: runs/demo, made anew.")
@options(overwrite_option)
@click.option("--steps", type=int, default=None, help="Batches to train on, for a shorter or longer demo.")
@options(quiet_option, json_option)
def demo(*, out: Path | None, overwrite: bool, steps: int | None, quiet: bool, as_json: bool) -> None:
    """Train, evaluate and verify on generated faces, from nothing to a report, in under three minutes."""
    from visavis.demo import run_demo

    result = run_demo(out or Path("runs/demo"), steps=steps, overwrite=overwrite or out is None, progress=not quiet)
    if as_json:
        print_json(result.to_json())
    else:
        click.echo(str(result))
