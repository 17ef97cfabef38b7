"""What it costs that the service decodes photos in processes that can be killed.

    python benchmarks/photo_pool.py [--photos 24] [--rounds 3]

Decodes the same photos and detects their faces in the pool of the service, and in a thread of this process, alternating, one photo
at a time, so that only the way of working differs. Half of the photos are of LFW (250 x 250 pixels), half are enlarged to 12
megapixels. CPU time is compared, which other work on the machine disturbs less than the clock. Needs Linux and `../shared/data`.
Writes `results/photo_pool.json`. Takes a minute.
"""

import argparse
import io
import multiprocessing
import os
import statistics
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image
from record import LFW, write_result

from visavis.encoders import load_encoder
from visavis.faces import FaceFinder
from visavis.service.acquiring import Acquirer, Acquisition, PhotoTask
from visavis.service.limits import ServiceLimits
from visavis.service.worker_pool import WorkerPool

LARGE = (3464, 3464)


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


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    limits = ServiceLimits()
    acquirer = Acquirer(load_encoder().card.crop, FaceFinder(), limits.photo, limits.faces)
    tasks = [PhotoTask(photo, "photo", Acquisition()) for photo in photos(options.photos)]
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
    }
    print(figures)
    write_result(
        "photo_pool", figures, command=f"python benchmarks/photo_pool.py --photos {options.photos} --rounds {options.rounds}"
    )


if __name__ == "__main__":
    main()
