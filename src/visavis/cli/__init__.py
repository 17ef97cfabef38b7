"""The command line: parse, call, print."""

import os
import sys

import click

from visavis import __version__
from visavis.cli import data, gallery, models, photos, service
from visavis.errors import VisavisError, backend_named

__all__ = ["group", "main"]

ERROR, INTERRUPTED = 2, 130


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done (or the same person), 1 different people, 2 an error, 130 interrupted."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        with backend_named():
            code = group.main(arguments, prog_name="visavis", standalone_mode=False) or 0
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.ClickException as error:
        error.show()
        code = ERROR
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        code = INTERRUPTED
    except (VisavisError, ValueError) as error:
        click.echo(f"error: {error}", err=True)
        code = ERROR
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        click.echo(f"error: {place}{error.strerror or error}", err=True)
        code = ERROR
    sys.exit(code)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
def group() -> None:
    """Siamese face verification: the same person or not, and how often is that answer wrong?

    \b
    visavis demo                                   a whole run on generated faces, in minutes
    visavis train photos/ --out runs/mine          learn from a folder with one sub-folder per person
    visavis evaluate runs/mine photos/             error rates on the people that it never saw
    visavis verify a.jpg b.jpg --model runs/mine   the same person?
    """  # noqa: D301 - click asks for the character itself


for command in (
    data.prepare,
    data.embed,
    data.inspect,
    models.train,
    models.evaluate,
    models.report,
    models.calibrate,
    models.export,
    models.card,
    photos.verify,
    photos.explain,
    photos.compare,
    gallery.gallery,
    service.serve,
    service.keys,
    models.demo,
):
    group.add_command(command)
