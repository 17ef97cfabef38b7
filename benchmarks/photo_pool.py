"""What it costs that photos are decoded in processes that can be killed, by the service and from folders.

    python benchmarks/photo_pool.py [--photos 24] [--rounds 3]

Decodes the same photos and detects their faces in the pool of the service, and in a thread of this process, alternating, one photo
at a time, so that only the way of working differs. Half of the photos are of LFW (250 x 250 pixels), half are enlarged to 12
megapixels. CPU time is compared, which other work on the machine disturbs less than the clock. Then `prepare` reads a folder of the
small ones and one of the large ones, with the process beside its worker and without it, alternating; the start of the process is
left out, since it lives as long as the run. Needs Linux and `../shared/data`. Writes `results/photo_pool.json`. Takes two minutes.
"""

import argparse
import io
import multiprocessing
import os
import statistics
import tarfile
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from PIL import Image
from record import LFW, write_result

from visavis.data import preparation
from visavis.encoders import load_encoder
from visavis.faces import FaceFinder
from visavis.service.acquiring import Acquirer, Acquisition, PhotoTask
from visavis.service.limits import ServiceLimits
from visavis.workers.pool import WorkerPool

LARGE = (3464, 3464)
_SMALL_TIMES = 8  # small photos take little time, so each is read several times


def photos(count: int) -> list[bytes]:
    """Return this many photos of LFW, every second one enlarged."""
    files = []
    with tarfile.open(LFW) as tar:
        for member in tar:
            if member.isfile() and member.name.endswith(".jpg") and len(files) < count:
                file = tar.extractfile(member)
                assert file is not None
                files.append(file.read())
    for place in range(1, count, 2):
        buffer = io.BytesIO()
        Image.open(io.BytesIO(files[place])).resize(LARGE).save(buffer, "JPEG", quality=85)
        files[place] = buffer.getvalue()
    return files


def cpu_seconds() -> float:
    """Return the CPU time of this process and of those of the pool so far."""
    processes = [os.getpid(), *(process.pid for process in multiprocessing.active_children())]
    fields = [Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split() for process in processes]
    return sum(int(one[11]) + int(one[12]) for one in fields) / os.sysconf("SC_CLK_TCK")


def folder_costs(files: list[bytes], rounds: int) -> dict[str, Any]:
    """Return the CPU time of `prepare` for a folder of photos, with the process beside its worker and without it."""
    isolated = preparation.isolated
    seconds: dict[str, list[float]] = {"process": [], "worker": []}
    with tempfile.TemporaryDirectory() as root:
        people = Path(root, "photos", "anna")
        people.mkdir(parents=True)
        for number, content in enumerate(files):
            (people / f"{number}.jpg").write_bytes(content)
        for turn in range(rounds + 1):
            for name, way in (("process", isolated), ("worker", lambda read, *_: read)):
                preparation.isolated = way  # type: ignore[assignment]
                used = cpu_seconds()
                preparation.prepare_photos(people.parent, Path(root, f"{name}-{turn}"), workers=1, progress=False)
                if turn:  # the first one loads the networks
                    seconds[name].append((cpu_seconds() - used) / len(files))
    preparation.isolated = isolated
    ratios = [process / worker for process, worker in zip(seconds["process"], seconds["worker"], strict=True)]
    return {
        "photos": len(files),
        "cpu_seconds_a_photo": {name: statistics.median(values) for name, values in seconds.items()},
        "cpu_ratio": {"median": statistics.median(ratios), "minimum": min(ratios), "maximum": max(ratios)},
    }


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    limits = ServiceLimits()
    acquirer = Acquirer(load_encoder().card.crop, FaceFinder(), limits.photo, limits.faces)
    files = photos(options.photos)
    tasks = [PhotoTask(photo, "photo", Acquisition()) for photo in files]
    pool = WorkerPool(acquirer, seconds=limits.photo_seconds, memory=10**9, workers=1)
    rates: dict[str, list[float]] = {"pool": [], "thread": []}
    work: dict[str, list[float]] = {"pool": [], "thread": []}

    def in_pool() -> None:
        for future in [pool.submit("client", task) for task in tasks]:
            future.result()

    def in_thread() -> None:
        with ThreadPoolExecutor(1) as thread:
            list(thread.map(acquirer, tasks))

    for turn in range(options.rounds + 1):
        for name, run in (("pool", in_pool), ("thread", in_thread)):
            started, used = time.perf_counter(), cpu_seconds()
            run()
            if turn:  # the first one loads the networks
                rates[name].append(len(tasks) / (time.perf_counter() - started))
                work[name].append((cpu_seconds() - used) / len(tasks))
    pool.close()
    ratios = [pool / thread for pool, thread in zip(work["pool"], work["thread"], strict=True)]
    figures = {
        "photos": len(tasks),
        "photos_a_second": {name: statistics.median(values) for name, values in rates.items()},
        "cpu_seconds_a_photo": {name: statistics.median(values) for name, values in work.items()},
        "cpu_ratio": {"median": statistics.median(ratios), "minimum": min(ratios), "maximum": max(ratios)},
        "folders": {
            "small": folder_costs(files[::2] * _SMALL_TIMES, options.rounds),
            "large": folder_costs(files[1::2], options.rounds),
        },
    }
    print(figures)
    write_result("photo_pool", figures)


if __name__ == "__main__":
    main()
