"""Commands that train and measure models: demo, train, evaluate, report, calibrate, card, export, quantize."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from visavis.cli.options import (
    command_line,
    decision_options,
    estimate_option,
    json_option,
    options,
    overwrite_option,
    print_json,
    print_note,
    quiet_option,
    rules_options,
    target_fmrs_option,
)

__all__ = ["calibrate", "card", "demo", "evaluate", "export", "quantize", "report", "train"]


def number_or_all(value: str) -> int | str:
    """Parse a number of devices, or `all`."""
    return value if value == "all" else int(value)


@click.command(epilog="Example: visavis train olivetti --out runs/olivetti --loss contrastive")
@click.argument("data")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The run folder to write.")
@click.option("--init", help="Initial weights: pretrained (the default for prepared faces), scratch, or another run.")
@click.option("--loss", default=None, help="contrastive, triplet, supervised-contrastive, arcface, adaface, ...")
@click.option("--network", default=None, help="compact, deep, deeper or classic.")
@click.option("--size", type=int, default=None, help="Side of the input in pixels; 64 from scratch.")
@click.option("--crop", type=float, default=None, help="Crop the centre of each photo: this fraction of its shorter side.")
@click.option("--gray", is_flag=True, help="Convert to grey.")
@click.option(
    "--mirror/--no-mirror", default=True, help="Augment with mirrored photos; not for writing or other one-sided pictures."
)
@click.option("--steps", type=int, default=None, help="Number of training steps (batches).")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of split, initial weights and batches.")
@click.option(
    "--split",
    type=click.Choice(["person", "photo"]),
    default="person",
    show_default=True,
    help="Split people (recommended) or photos.",
)
@options(target_fmrs_option, estimate_option)
@click.option(
    "--devices",
    type=number_or_all,
    default=1,
    show_default=True,
    help="Number of devices that share each batch, or all (needs JAX).",
)
@click.option("--resume", is_flag=True, help="Resume from the checkpoint in the run folder.")
@options(rules_options, overwrite_option)
@click.option("--tensorboard", is_flag=True, help="Also write TensorBoard logs to the run folder.")
@options(quiet_option, json_option)
def train(data: str, out: Path, rules: Any, quiet: bool, as_json: bool, **settings: Any) -> None:
    """Train a model; some people are held out for validation and test.

    DATA is synthetic, olivetti or lfw, a folder with one sub-folder per person (or a .tar or .zip of one), a .npz file with
    face_images and face_labels, or two files as images.npy,labels.npy.
    """
    from visavis.data.intake import PASSED_OVER
    from visavis.training.devices import use_devices
    from visavis.training.experiments import DataSource, train_model
    from visavis.training.run_options import RunOptions

    devices = use_devices(settings["devices"])
    quiet = quiet or not devices.primary
    own_input = settings["network"] or settings["size"] or settings["crop"] or settings["gray"]
    config = {name: settings[name] for name in ("loss", "network", "steps", "seed") if settings[name] is not None}
    config |= {"target_fmrs": tuple(settings["target_fmrs"]), "chosen_as": settings["chosen_as"], "flip": settings["mirror"]}
    options = RunOptions(
        resume=settings["resume"],
        overwrite=settings["overwrite"],
        callbacks=_tensorboard(out) if settings["tensorboard"] and devices.primary else (),
        devices=devices,
        progress=not quiet,
        command=command_line(),
    )
    source = DataSource(
        data,
        size=settings["size"] or 64,
        crop=settings["crop"],
        gray=settings["gray"],
        seed=settings["seed"],
        rules=replace(rules, listed_in=out / PASSED_OVER if devices.primary else None),
    )
    init = settings["init"] or ("scratch" if own_input else None)
    card = train_model(source, out, init=init, by=settings["split"], config=config, options=options).card
    if not devices.primary:
        return
    print_note(f"\nmodel written to {out}\nnext: visavis evaluate {out} {data}", quiet=quiet)
    if as_json:
        print_json({"run": str(out), **card.training, "threshold": card.threshold and card.threshold.score})
    else:
        click.echo(card.training.get("start", {}).get("summary") or f"validation EER {card.training['validation_eer']:.2%}")
        click.echo(f"threshold {card.threshold}")


def _tensorboard(out: Path) -> tuple[Any, ...]:
    from visavis.training.tensorboard import TensorBoardLogs

    return (TensorBoardLogs(out),)


@click.command(epilog="Example: visavis evaluate runs/olivetti olivetti --json")
@click.argument("model")
@click.argument("data", required=False)
@click.option(
    "--protocol",
    type=click.Path(path_type=Path),
    help="Instead of DATA: InsightFace's .bin file (LFW, CFP-FP, AgeDB-30, CALFW, CPLFW), or the folder of IJB-B or IJB-C.",
)
@click.option("--pairs", type=click.Path(path_type=Path), help="Score the pairs in this file: LFW's pairs.txt, or a CSV.")
@click.option("--encoding", help="Encoding of the files of --pairs and --attributes, such as cp1252; default: UTF-8, or UTF-16.")
@click.option(
    "--sample", type=click.IntRange(min=1), help="Score this many sampled mated and non-mated pairs instead of all pairs."
)
@click.option(
    "--people",
    type=click.Choice(["unseen", "all"]),
    default="unseen",
    show_default=True,
    help="Score people the model was not trained on, or all.",
)
@click.option("--enrol", type=click.IntRange(min=1), help="Also measure search: enrol this many photos of each of half the people.")
@click.option(
    "--reference",
    type=click.Choice(["mean", "best"]),
    default="mean",
    show_default=True,
    help="How several references of a person are combined.",
)
@click.option("--attributes", type=click.Path(path_type=Path), help="A CSV of subgroups and quality measures, by person or photo.")
@click.option("--include-fta", is_flag=True, help="Count photos from which prepare acquired no face as false non-matches.")
@click.option(
    "--cost",
    "costs",
    type=(float, float, float),
    multiple=True,
    metavar="PRIOR MISS FALSE_MATCH",
    help="Also report the detection cost (DCF) at this prior and these costs of the two errors. Repeat it for more.",
)
@click.option(
    "--standard-report",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Also write a test report in the form of ISO/IEC 19795-1 and NIST FRTE.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="The folder for metrics and report; default: that of the run or model file."
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier report.")
@options(decision_options, rules_options, quiet_option, json_option)
def evaluate(
    model: str, data: str | None, *, protocol: Path | None, rules: Any, quiet: bool, as_json: bool, **settings: Any
) -> None:
    """Measure error rates on held-out people and write a report.

    MODEL is a run folder, a model file, pretrained (the bundled encoder) or the name of a known encoder.
    """
    from visavis.data.intake import PASSED_OVER
    from visavis.evaluation.evaluate import EvaluationOptions, evaluate_model
    from visavis.evaluation.protocol_files import evaluate_protocol_file
    from visavis.metrics.reliability import Costs

    if (data is None) == (protocol is None):
        raise click.UsageError("give DATA or --protocol, and not both")
    settings["costs"] = tuple(Costs(*values) for values in settings["costs"])
    if settings["out"] is not None:
        rules = replace(rules, listed_in=settings["out"] / PASSED_OVER)
    target = {name: settings.pop(name) for name in ("people", "out", "overwrite")}
    options = EvaluationOptions(**settings, rules=rules, command=command_line(), progress=not quiet)
    if protocol is not None:
        del target["people"]  # such a file names nobody
        result = evaluate_protocol_file(model, protocol, options=options, **target)
    else:
        result = evaluate_model(model, data or "", options=options, **target)
    print_note(f"report: {result.report}" if result.report else "for a report, give a folder: --out FOLDER", quiet=quiet)
    print_json(result.evaluation.to_json()) if as_json else click.echo(str(result.evaluation))


@click.command(epilog="Example: visavis report runs/a/metrics.json runs/b/metrics.json")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@options(json_option)
def report(first: Path, second: Path, *, as_json: bool) -> None:
    """Compare two evaluations: is one model significantly better?

    FIRST and SECOND are metrics.json files, or the folders that contain them.
    """
    from visavis.evaluation import compare_reports

    comparison = compare_reports(first, second)
    print_json(comparison.to_json()) if as_json else click.echo(str(comparison))


@click.command(epilog="Example: visavis calibrate runs/mine door/ hall/ --target-fmr 1e-2 --out runs/door")
@click.argument("model")
@click.argument("data", nargs=-1, required=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="The calibrated model to write: a file of the same type, or a folder.",
)
@options(target_fmrs_option, estimate_option)
@click.option(
    "--method",
    type=click.Choice(["logistic", "isotonic"]),
    default="logistic",
    show_default=True,
    help="Calibration of probabilities.",
)
@options(rules_options, quiet_option, json_option)
def calibrate(model: str, data: tuple[str, ...], *, out: Path, rules: Any, quiet: bool, as_json: bool, **settings: Any) -> None:
    """Fit thresholds and probabilities to your own people and camera.

    With several DATA the thresholds hold on each of them, and the card keeps a table of the error rates.
    The weights stay as they are. The people in DATA must not be used for testing later; evaluate leaves them out.
    """
    from visavis.evaluation.calibrate import CalibrationOptions, calibrate_model

    options = CalibrationOptions(**settings, rules=rules, progress=not quiet)
    result = calibrate_model(model, data, out, options)
    print_json(result.to_json()) if as_json else click.echo(str(result))


@click.command(epilog="Example: visavis check pretrained camera/ --target-fmr 1e-3")
@click.argument("model")
@click.argument("data")
@click.option("--target-fmr", type=float, help="Check the threshold for this false match rate; default: the model's default one.")
@click.option("--unlabelled", is_flag=True, help="Ignore who is in the photos: compare all with all.")
@options(rules_options, quiet_option, json_option)
def check(model: str, data: str, *, rules: Any, quiet: bool, as_json: bool, **settings: Any) -> None:
    """Predict the false match rate of a threshold on photos of another camera or other people.

    DATA is a data set; most of its pairs of photos must be of different people.
    """
    from visavis.evaluation.check import check_population

    result = check_population(model, data, rules=rules, progress=not quiet, **settings)
    print_json(result.to_json()) if as_json else click.echo(str(result))


@click.command(epilog="Example: visavis export runs/mine --out mine.onnx && visavis card mine.onnx")
@click.argument("model")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="The file to write, .onnx or .tflite; with --browser a folder."
)
@click.option("--browser", is_flag=True, help="Write a folder with a page that verifies two photos in the browser.")
@click.option(
    "--without-names", is_flag=True, help="Write digests instead of people's names to the card, as --browser always does."
)
@click.option("--overwrite", is_flag=True, help="With --browser: replace files in a folder that is not empty.")
def export(model: str, out: Path, *, browser: bool, without_names: bool, overwrite: bool) -> None:
    """Export a model with its card to one file that runs without Keras, or to a folder for browsers."""
    if browser:
        from visavis.encoders.browser_bundle import export_for_browser

        export_for_browser(model, out, overwrite=overwrite)
        click.echo(f"{out}: run npm install there, and serve it: python -m http.server --directory {out}")
        return
    if overwrite:
        raise click.UsageError("--overwrite goes with --browser")
    from visavis.encoders.export import export_model

    click.echo(export_model(model, out, names=not without_names))


@click.command(epilog="Example: visavis quantize runs/mine faces/ --out mine-8bit.onnx")
@click.argument("model")
@click.argument("data")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The file to write, .onnx.")
@click.option("--max-loss", type=float, default=0.002, show_default=True, help="By how much the equal error rate may rise.")
@click.option("--without-names", is_flag=True, help="Write digests instead of people's names to the card.")
@options(rules_options, quiet_option, json_option)
def quantize(
    model: str, data: str, *, out: Path, max_loss: float, without_names: bool, rules: Any, quiet: bool, as_json: bool
) -> None:
    """Quantise a model to 8 bits, and measure what it loses.

    DATA is a data set of people that the model was not trained on: the faces of half of them set the ranges of the activations,
    the others are measured. A model that loses more than --max-loss is not written.
    """
    from visavis.evaluation.quantize import QuantizationOptions, quantize_model

    options = QuantizationOptions(max_loss=max_loss, rules=rules, names=not without_names, progress=not quiet)
    result = quantize_model(model, data, out, options)
    print_json(result.to_json()) if as_json else click.echo(str(result))


@click.command(epilog="Example: visavis card pretrained --licences")
@click.argument("model")
@click.option("--licences", is_flag=True, help="Print the model bill of materials: digests and licences of encoder and detector.")
@options(json_option)
def card(model: str, *, licences: bool, as_json: bool) -> None:
    """Print a model's card: its input, thresholds and training data."""
    from visavis.encoders import load_encoder
    from visavis.encoders.materials import bill_of_materials

    if licences:
        materials = bill_of_materials(model)
        if as_json:
            print_json({"materials": [material.to_json() for material in materials]})
        else:
            click.echo("\n\n".join(map(str, materials)))
        return
    model_card = load_encoder(model).card
    print_json(model_card.to_json()) if as_json else click.echo(str(model_card))


@click.command(epilog="Example: visavis demo --out runs/demo")
@click.option("--out", type=click.Path(path_type=Path), help="The run folder; default: runs/demo, which is replaced.")
@options(overwrite_option)
@click.option("--steps", type=int, default=None, help="Number of training steps, for a shorter or longer demo.")
@options(quiet_option, json_option)
def demo(*, out: Path | None, overwrite: bool, steps: int | None, quiet: bool, as_json: bool) -> None:
    """Train, evaluate and verify on generated faces."""
    from visavis.demo import run_demo

    result = run_demo(out or Path("runs/demo"), steps=steps, overwrite=overwrite or out is None, progress=not quiet)
    if as_json:
        print_json(result.to_json())
    else:
        click.echo(str(result))
