"""Keras is imported without the start-up messages of TensorFlow."""

import os
import subprocess
import sys

import pytest

from visavis.backend import stderr_discarded


def test_what_native_code_writes_is_discarded_and_nothing_else(capfd):
    with stderr_discarded():
        os.write(2, b"from C++")
    os.write(2, b"afterwards")
    assert capfd.readouterr().err == "afterwards"
    with pytest.raises(ImportError, match="missing"), stderr_discarded():
        raise ImportError("missing")
    os.write(2, b"again")
    assert capfd.readouterr().err == "again"


SCRIPT = """
from visavis.models import build_embedding, embed
import os, platform
import numpy as np
if platform.machine() in ("x86_64", "AMD64"):
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "1"
embed(build_embedding("classic", (32, 32, 1)), np.zeros((2, 32, 32, 1)))
"""


def test_a_first_embedding_writes_nothing_to_standard_error():
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    result = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
