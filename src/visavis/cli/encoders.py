"""Commands on known encoders: list, show, get, remove."""

from pathlib import Path

import click

from visavis.cli.groups import SectionedGroup
from visavis.cli.options import json_option, options, print_json, quiet_option

__all__ = ["encoders"]


@click.group(cls=SectionedGroup, epilog="Example: visavis encoders get sface && visavis verify a.jpg b.jpg --model sface")
def encoders() -> None:
    """List, download and remove the encoders that --model takes by name."""


@click.command("list", epilog="Example: visavis encoders list --json")
@options(json_option)
def list_encoders(*, as_json: bool) -> None:
    """List the known encoders, and the folder in which to describe others."""
    from visavis.encoders.registry import config_folder, known_encoders

    known = known_encoders().values()
    if as_json:
        print_json({"encoders": [encoder.to_json() for encoder in known], "own_descriptions": str(config_folder())})
        return
    for encoder in known:
        state = "ready" if encoder.available else "not installed" if encoder.origin == "package" else "not downloaded"
        click.echo(f"{encoder.name:<12} {state:<15} {encoder.summary}")
    click.echo(f"\ndescribe others in {config_folder()}/NAME.toml")


@click.command(epilog="Example: visavis encoders show sface")
@click.argument("name")
@options(json_option)
def show(name: str, *, as_json: bool) -> None:
    """Show an encoder: input, licences, digest, size, source and measured figures."""
    from visavis.encoders.registry import find_encoder

    found = find_encoder(name).to_json()
    if as_json:
        print_json(found)
        return
    licences, figures = found.pop("licences"), found.pop("figures")
    rows = {**found, **{f"licence ({part})": text for part, text in licences.items()}}
    for key, value in rows.items():
        if value not in (None, ""):
            text = f"{value:,}" if type(value) is int else value
            click.echo(f"{key.replace('_', ' '):<24} {text}")
    for population, values in figures.items():
        click.echo(f"\n{population}")
        for measure, value in values.items():
            click.echo(f"  {measure:<22} {value}")


@click.command(epilog="Example: visavis encoders get sface --file face_recognition_sface_2021dec.onnx")
@click.argument("name")
@click.option("--file", type=click.Path(path_type=Path), help="Use this file instead of downloading; its digest is checked.")
@options(quiet_option, json_option)
def get(name: str, *, file: Path | None, quiet: bool, as_json: bool) -> None:
    """Download an encoder to the user's cache.

    Its digest is checked, and an interrupted download is resumed.
    """
    from visavis.encoders.registry import find_encoder

    path = find_encoder(name).get(file=file, progress=not quiet)
    print_json({"name": name, "path": str(path)}) if as_json else click.echo(path)


@click.command(epilog="Example: visavis encoders remove sface")
@click.argument("name")
@options(json_option)
def remove(name: str, *, as_json: bool) -> None:
    """Delete the downloaded file of an encoder."""
    from visavis.encoders.registry import find_encoder

    removed = find_encoder(name).remove()
    print_json({"name": name, "removed": removed}) if as_json else click.echo(
        "removed" if removed else f"{name} was not downloaded"
    )


encoders.add_section("Commands", list_encoders, show, get, remove)
