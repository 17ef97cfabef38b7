"""Run a command in the process of the tests."""

import pytest
from PIL import Image

from visavis import cli


def call(capsys, *arguments):
    """Run a command in this process: exit code, standard output, standard error."""
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


def width_of(path):
    with Image.open(path) as image:
        return image.width
