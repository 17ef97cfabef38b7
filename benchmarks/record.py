"""Write a benchmark's figures with their command, date and machine."""

import hashlib
import json
import math
import os
import platform
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PHOTOS = Path(__file__).parents[2] / "shared" / "data"
LFW = PHOTOS / "lfw-deepfunneled.tar"
RESULTS = Path(__file__).parent / "results"
RUNS = Path(__file__).parents[1] / "runs"


def write_result(name: str, figures: dict[str, Any]) -> Path:
    """Write `results/NAME.json`, with the command of this process, and return its path."""
    result = {
        "command": _command(),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"processor": _processor(), "cores": os.cpu_count(), "system": platform.system(), **_accelerator()},
        "versions": {"python": platform.python_version(), **_versions()},
        **figures,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(_as_json(result), indent=1, allow_nan=False) + "\n")
    return path


def _command() -> str:
    """Return the command line of this process, from the root of the repository."""
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    return command if backend == "tensorflow" else f"KERAS_BACKEND={backend} {command}"


def _as_json(values: Any) -> Any:
    """Return the values with None in place of numbers that are infinite or undefined, which JSON does not have."""
    if isinstance(values, dict):
        return {name: _as_json(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [_as_json(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values


def short_digest(values: Any) -> str:
    """Return eight hexadecimal digits of the SHA-256 of plain values, to name a run by its hyperparameters."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]


def _versions() -> dict[str, str]:
    """Return the versions of the packages that figures depend on, of those that are installed."""
    found = {}
    for package in ("visavis", "keras", "tensorflow-cpu", "jax", "torch", "numpy", "scikit-learn"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _accelerator() -> dict[str, str]:
    """Return the name of the GPU, if there is one."""
    if shutil.which("nvidia-smi") is None:
        return {}
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    names = subprocess.run(query, capture_output=True, text=True).stdout.split("\n")
    return {"accelerator": names[0]} if names[0] else {}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
