"""Commands on the service: serve, keys."""

from functools import partial
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from visavis.cli.groups import SectionedGroup
from visavis.cli.options import (
    detector_options,
    json_option,
    limit_options,
    min_quality_option,
    model_option,
    options,
    pad_option,
    print_json,
)

__all__ = ["keys", "serve"]

keys_option = click.option("--keys", "file", type=click.Path(path_type=Path), required=True, help="The file of API keys.")


@click.command(epilog="Example: visavis serve --gallery door.gallery --keys keys.db --host 0.0.0.0 --allow-host faces.example.org")
@options(model_option)
@click.option("--gallery", help="The gallery: a file or a Milvus collection; created if missing.")
@click.option(
    "--album",
    type=click.Path(path_type=Path),
    help="Serve the review page of this album of `visavis sort` instead, to this machine.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to bind.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="The port to bind; 0 picks a free one."
)
@click.option("--keys", type=click.Path(path_type=Path), help="The file of API keys; required unless --host is this machine only.")
@click.option("--allow-host", "allowed_hosts", multiple=True, help="A host name to accept in requests. Repeat it for more.")
@click.option("--trust-proxy", "trusted_proxy", help="The address of a reverse proxy whose forwarded client address is trusted.")
@click.option("--allow-aligned", is_flag=True, help="Also accept face crops (aligned=true), which are easier to forge than photos.")
@click.option("--aligned-only", is_flag=True, help="Accept face crops only.")
@options(pad_option, min_quality_option("basic"))
@options(detector_options, partial(limit_options, max_pixels=25_000_000, max_bytes=10_000_000))
@click.option("--rate-limit", type=float, default=600, show_default=True, help="Comparisons per minute and client; 0 disables it.")
@click.option(
    "--max-failures",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    help="Searches per hour, client and subject that nearly match, before the client is locked out; 0 disables it.",
)
@click.option("--max-requests", type=click.IntRange(min=1), default=64, show_default=True, help="Requests in progress at a time.")
@click.pass_context
def serve(
    context: click.Context,
    /,
    *,
    album: Path | None,
    rate_limit: float,
    max_failures: int,
    max_requests: int,
    limits: Any,
    **settings: Any,
) -> None:
    """Run the REST service and its web page, or the review page of an album.

    Needs: pip install 'visavis[serve]'. A key in VISAVIS_GALLERY_KEY protects the gallery's key file. Of the other options, --album
    takes --host and --port.
    """
    from visavis.errors import MissingDependencyError

    try:
        from visavis.service import server
    except ModuleNotFoundError as error:
        raise MissingDependencyError(f"serving needs: pip install 'visavis[serve]' ({error.name} is missing)") from error
    from visavis.service.limits import ServiceLimits

    if album is not None:
        _check_alone(context)
        from visavis.service.albums import serve_album

        serve_album(album, host=settings["host"], port=settings["port"], started=_show_address)
        return
    service_limits = ServiceLimits.for_photos(
        limits,
        rate=rate_limit or None,
        failures=max_failures or None,
        requests=max_requests,
        client_requests=max(1, max_requests // 2),
    )
    server.serve(server.ServiceSettings(**settings, limits=service_limits), started=_show_address)


def _show_address(url: str) -> None:
    click.echo(f"visavis serves {url}")


def _check_alone(context: click.Context) -> None:
    """Refuse options that an album does not take: how its photos are read is kept in it."""
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name not in ("album", "host", "port")
        and context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(f"--album takes --host and --port only, got {', '.join(given)}")


@click.group(cls=SectionedGroup, epilog="Example: visavis keys create door --scope read --keys keys.db")
def keys() -> None:
    """Create, list and revoke API keys for the service."""


@click.command(epilog="Example: visavis keys create reception --scope write --keys keys.db")
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice(["decide", "read", "list", "write", "admin", "embed"]),
    default="read",
    show_default=True,
    help="What the key may do.",
)
@click.option("--all-scores", is_flag=True, help="Also get scores below the thresholds, and explanations.")
@options(keys_option)
def create(name: str, *, scope: Any, all_scores: bool, file: Path) -> None:
    """Create a key for NAME and print it once.

    The file holds only its hash. Scopes: decide gets decisions; read also high scores; list also the subjects; write may also enrol
    and delete; admin may also read metrics. embed stands by itself: it detects and embeds faces, and nothing else. Scores below the
    thresholds, and embeddings, help to forge a face: give them to trusted programs only.
    """
    from visavis.service.keys import KeyStore

    click.echo(KeyStore(file, create=True).create(name, scope, all_scores=all_scores))


@click.command(name="list", epilog="Example: visavis keys list --keys keys.db --json")
@options(keys_option, json_option)
def list_keys(file: Path, *, as_json: bool) -> None:
    """List all keys, including revoked ones, by their public IDs."""
    from dataclasses import asdict

    from visavis.service.keys import KeyStore

    records = KeyStore(file).list()
    if as_json:
        print_json({"keys": [asdict(key) for key in records]})
        return
    for key in records:
        scope = f"{key.scope}, all scores" if key.all_scores else key.scope
        click.echo(f"{key.id}  {scope:<6}  {key.created}  {key.name}{f', revoked {key.revoked}' if key.revoked else ''}")


@click.command(epilog="Example: visavis keys revoke 0c1d2e3f4a5b --keys keys.db")
@click.argument("key_id", metavar="ID")
@options(keys_option)
def revoke(key_id: str, *, file: Path) -> None:
    """Revoke a key immediately, by the ID that list shows."""
    from visavis.service.keys import KeyStore

    KeyStore(file).revoke(key_id)
    click.echo(f"revoked {key_id}")


keys.add_section("Commands", create, list_keys, revoke)
