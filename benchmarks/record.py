"""Write a benchmark's figures with their command, date and machine."""

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

PHOTOS = Path(__file__).parents[2] / "shared" / "data"
LFW = PHOTOS / "lfw-deepfunneled.tar"
RESULTS = Path(__file__).parent / "results"
RUNS = Path(__file__).parents[1] / "runs"


def write_result(name: str, figures: dict[str, Any], *, command: str) -> Path:
    """Write `results/NAME.json` and return its path."""
    packages = ("visavis", "keras", "tensorflow-cpu", "jax", "numpy", "scikit-learn")
    result = {
        "command": command,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"processor": _processor(), "cores": os.cpu_count(), "system": platform.system()},
        "versions": {"python": platform.python_version(), **{package: version(package) for package in packages}},
        **figures,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    return path


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
