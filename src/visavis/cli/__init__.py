"""The command line: parse, call, print."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from visavis import __version__
from visavis.cli import albums, data, encoders, gallery, models, pad, photos, service, video
from visavis.cli.groups import SectionedGroup
from visavis.errors import VisavisError, backend_named

__all__ = ["group", "main"]

ERROR, INTERRUPTED = 2, 130


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 success (or the same person), 1 different people, 2 an error, 130 interrupted."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        with backend_named(), _log_to_stderr():
            code = group.main(arguments, prog_name="visavis", standalone_mode=False) or 0
    except click.exceptions.Exit as request:
        code = request.exit_code
    except click.ClickException as error:
        error.show()
        code = ERROR
    except SystemExit:  # raised by click if nobody reads standard output any more
        code = ERROR
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        code = INTERRUPTED
    except (VisavisError, ValueError) as error:
        click.echo(f"error: {error}", err=True)
        code = ERROR
    except OSError as error:
        path = f"{error.filename}: " if error.filename else ""
        click.echo(f"error: {path}{error.strerror or error}", err=True)
        code = ERROR
    sys.exit(code)


class _StderrHandler(logging.Handler):
    """Print messages of the log as they are."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message."""
        click.echo(self.format(record), err=True)


@contextmanager
def _log_to_stderr() -> Iterator[None]:
    """Print the warnings of visavis to standard error meanwhile; those of TensorFlow are for programmers."""
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    logger, handler = logging.getLogger("visavis"), _StderrHandler(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@click.group(cls=SectionedGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
def group() -> None:
    """Siamese face verification: are these two photos of the same person, and how often is that answer wrong?

    \b
    visavis demo                                   train, evaluate and verify on generated faces
    visavis train photos/ --out runs/mine          train on a folder with one sub-folder per person
    visavis evaluate runs/mine photos/             measure error rates on held-out people
    visavis verify a.jpg b.jpg --model runs/mine   compare two photos
    """  # noqa: D301 - click needs the control character


group.add_section("Data", data.prepare, data.inspect)
group.add_section(
    "Train and measure",
    models.demo,
    models.train,
    models.evaluate,
    models.report,
    models.calibrate,
    models.check,
    pad.evaluate_pad,
    models.card,
    models.export,
    models.quantize,
)
group.add_section("Use", photos.verify, photos.compare, photos.explain, data.embed, encoders.encoders)
group.add_section("Albums", albums.sort, albums.find, video.watch)
group.add_section("Gallery and service", gallery.gallery, service.serve, service.keys)
