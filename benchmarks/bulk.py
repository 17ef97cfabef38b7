"""The cost per photo of bulk embedding, from whole photos and from prepared faces, in processes and on Ray.

    python benchmarks/bulk.py [--photos 400]

`visavis embed` runs on a quarter of some photos of LFW and on all of them, in a fresh process each. The difference in CPU seconds
is the cost of the photos without start-up. The same for prepared faces. Then the wall time of both engines, alternating, and the
bytes per row of the table. Writes `results/bulk.json`. About 5 minutes on 2 cores.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measure import cost_of, ratio, spread
from pyarrow import parquet
from record import LFW, write_result

from visavis.data import load_dataset, open_photos
from visavis.data.preparation import prepare_photos

VISAVIS = (sys.executable, "-m", "visavis")
CORES = os.cpu_count() or 1


def unpack(folder: Path, count: int) -> None:
    """Write photos of LFW to folders of people."""
    with open_photos(LFW) as files:
        for index in np.sort(np.random.default_rng(0).choice(len(files.photos), count, replace=False)):
            name, person = files.photos[index]
            content = files.fetch(name)
            assert isinstance(content, bytes)
            (folder / person).mkdir(parents=True, exist_ok=True)
            (folder / person / Path(name).name).write_bytes(content)


def embedded(photos: Path, out: Path, *options: str) -> dict[str, float]:
    """Measure the cost of embedding these photos from scratch."""
    shutil.rmtree(out, ignore_errors=True)
    return cost_of(*VISAVIS, "embed", str(photos), "--out", str(out), "--photos-per-file", "32", "--quiet", *options, runs=1)


def marginal(few: dict[str, float], all_of_them: dict[str, float], photos: int) -> dict[str, float]:
    """Return the CPU seconds per photo without start-up, and the peak memory of a process."""
    seconds = (all_of_them["cpu_seconds"] - few["cpu_seconds"]) / photos
    return {
        "cpu_seconds_a_photo": seconds,
        "cpu_seconds_of_start": few["cpu_seconds"],
        "peak_megabytes": all_of_them["peak_megabytes"],
    }


def engines(photos: Path, work: Path, rounds: int) -> dict[str, Any]:
    """Measure the wall time of both engines, alternating."""
    times: dict[str, list[float]] = {"processes": [], "ray": []}
    for _ in range(rounds):
        for engine, own in times.items():
            start = time.perf_counter()
            embedded(photos, work / engine, "--engine", engine, "--workers", str(CORES))
            own.append(time.perf_counter() - start)
    return {**{name: spread(own) for name, own in times.items()}, "ray_times_longer": ratio(times["ray"], times["processes"])}


def main() -> None:
    """Measure both kinds of input and both engines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    few = options.photos // 4
    figures: dict[str, Any] = {"photos": options.photos}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        unpack(work / "photos", options.photos)
        unpack(work / "few", few)
        out = work / "table"
        first = embedded(work / "few", out, "--workers", "1")
        figures["whole photos"] = marginal(first, embedded(work / "photos", out, "--workers", "1"), options.photos - few)
        rows = parquet.read_table(out).num_rows
        figures["bytes_a_row"] = sum(file.stat().st_size for file in out.glob("part-*")) / rows
        print(figures, flush=True)
        for kind in ("photos", "few"):
            prepare_photos(work / kind, work / f"{kind}-faces", progress=False)
        many(work / "photos-faces", work / "many")
        many(work / "few-faces", work / "many-few")
        first = embedded(work / "many-few", out, "--workers", "1")
        count = len(load_dataset(work / "many")) - len(load_dataset(work / "many-few"))
        figures["prepared faces"] = marginal(first, embedded(work / "many", out, "--workers", "1"), count)
        print(figures["prepared faces"], flush=True)
        figures["wall_seconds"] = engines(work / "photos", work, options.rounds)
    print(figures)
    write_result("bulk", figures)


def many(faces: Path, out: Path, times: int = 20) -> None:
    """Repeat a data set, because embedding a few prepared faces is too fast to measure."""
    dataset: Callable[..., Any] = load_dataset(faces).select
    dataset(np.tile(np.arange(len(load_dataset(faces))), times)).save(out)


if __name__ == "__main__":
    main()
