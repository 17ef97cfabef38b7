"""Commands on the service: serve, keys."""

from pathlib import Path
from typing import Any

import click

from visavis.cli.options import json_option, model_option, options, print_json

__all__ = ["keys", "serve"]

keys_option = click.option("--keys", "file", type=click.Path(path_type=Path), required=True, help="The file of keys.")


@click.command(epilog="Example: visavis serve --gallery door.gallery --keys keys.db --host 0.0.0.0 --allow-host faces.example.org")
@options(model_option)
@click.option("--gallery", help="Where people are enrolled: a file, or a collection in Milvus; made if it is not there.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any that is free.")
@click.option("--keys", type=click.Path(path_type=Path), help="The file of keys; needed unless only this machine can reach it.")
@click.option("--allow-host", "allowed_hosts", multiple=True, help="A name that it goes by; again for more.")
@click.option("--trust-proxy", "trusted_proxy", help="The address of a proxy in front of it.")
@click.option("--aligned-only", is_flag=True, help="Take only photos that are cut to the face.")
@click.option("--rate", type=float, default=600, show_default=True, help="Requests a minute of one client; 0: any.")
@click.option("--requests", type=click.IntRange(min=1), default=64, show_default=True, help="Worked on at the same time.")
def serve(rate: float, requests: int, **settings: Any) -> None:
    """Serve the REST interface and its page until it is interrupted.

    Needs: pip install 'visavis[serve]'. A gallery is encrypted with the key in VISAVIS_GALLERY_KEY, if there is one.
    """
    from visavis.errors import MissingDependencyError

    try:
        from visavis.service import running
    except ModuleNotFoundError as error:
        raise MissingDependencyError(f"serving needs: pip install 'visavis[serve]' ({error.name} is missing)") from error
    from visavis.service.limits import ServiceLimits

    limits = ServiceLimits(rate=rate or None, requests=requests, client_requests=max(1, requests // 2))
    running.serve(running.ServiceSettings(**settings, limits=limits), started=lambda url: click.echo(f"visavis serves {url}"))


@click.group(epilog="Example: visavis keys create door --scope read --keys keys.db")
def keys() -> None:
    """Create, list and revoke the keys that let programs use the service."""


@keys.command(epilog="Example: visavis keys create reception --scope write --keys keys.db")
@click.argument("name")
@click.option("--scope", type=click.Choice(["read", "write", "admin"]), default="read", show_default=True, help="What it is for.")
@options(keys_option)
def create(name: str, *, scope: Any, file: Path) -> None:
    """Make a key for NAME and print it, this once; the file holds its hash alone.

    read compares and searches, write enrols and deletes too, admin also reads metrics.
    """
    from visavis.service.keys import KeyStore

    click.echo(KeyStore(file, create=True).create(name, scope))


@keys.command(name="list", epilog="Example: visavis keys list --keys keys.db --json")
@options(keys_option, json_option)
def list_keys(file: Path, *, as_json: bool) -> None:
    """List all keys, revoked ones too, by their public part."""
    from dataclasses import asdict

    from visavis.service.keys import KeyStore

    found = KeyStore(file).list()
    if as_json:
        print_json({"keys": [asdict(key) for key in found]})
        return
    for key in found:
        click.echo(f"{key.id}  {key.scope:<5}  {key.created}  {key.name}{f', revoked {key.revoked}' if key.revoked else ''}")


@keys.command(epilog="Example: visavis keys revoke 0c1d2e3f4a5b --keys keys.db")
@click.argument("key_id", metavar="ID")
@options(keys_option)
def revoke(key_id: str, *, file: Path) -> None:
    """Make a key invalid at once, by the ID that `list` shows."""
    from visavis.service.keys import KeyStore

    KeyStore(file).revoke(key_id)
    click.echo(f"revoked {key_id}")
