"""The command that measures a detector of presentation attacks: evaluate-pad."""

from pathlib import Path
from typing import Any

import click

from visavis.cli.options import (
    detector_options,
    json_option,
    limit_options,
    options,
    print_json,
    provider_option,
    quiet_option,
)

__all__ = ["evaluate_pad"]


@click.command("evaluate-pad", epilog="Example: visavis evaluate-pad liveness.onnx presentations/ --json")
@click.argument("detector", type=click.Path(path_type=Path))
@click.argument("photos", type=click.Path(path_type=Path))
@click.option("--threshold", type=float, help="Classify as bona fide from this score on; default: the detector's threshold.")
@options(provider_option, detector_options, limit_options, quiet_option, json_option)
def evaluate_pad(detector: Path, photos: Path, *, threshold: float | None, quiet: bool, as_json: bool, **acquisition: Any) -> None:
    """Measure the errors of a presentation attack detector (ISO/IEC 30107-3).

    DETECTOR is a .onnx file with a .toml beside it. PHOTOS is a folder, .tar or .zip with a folder bona-fide and one for each
    attack type; folders in these are people and attack instruments. Prints APCER of each type, BPCER and ACER, with intervals.
    """
    from visavis.faces import AcquisitionSettings
    from visavis.pad import evaluate_pad_photos, load_pad

    settings = AcquisitionSettings(**acquisition)
    result = evaluate_pad_photos(load_pad(detector), photos, threshold=threshold, acquisition=settings, progress=not quiet)
    print_json(result.to_json()) if as_json else click.echo(str(result))
