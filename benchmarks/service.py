"""The service under more clients than it can serve: refusals, latency, memory and throughput.

    python benchmarks/service.py [--seconds 300] [--clients 128]

Starts `visavis serve --aligned-only` in its own process. Clients on eight loopback addresses call `/v1/verify` repeatedly with two
aligned faces as JPEG of 112 x 112 pixels, and wait as long as `Retry-After` says when refused. Every half minute the clients pause,
and the encoder alone embeds the same faces in batches of 64 on all cores, for comparison. Memory is read every second; its slope is
fitted after the first minute (or fifth, in short runs). Writes `results/service.json`. Takes the given seconds and a third more.
"""

import argparse
import asyncio
import io
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from record import write_result

from visavis.data import generate_faces
from visavis.encoders import Encoder, load_encoder

ADDRESSES = [f"127.0.0.{number}" for number in range(1, 9)]
PART_SECONDS, ENCODER_SECONDS = 30, 8
BOUNDARY = "face"


@dataclass
class Seen:
    """Observations of the clients."""

    statuses: Counter[int] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)
    seconds: float = 0.0
    memory: list[tuple[float, float]] = field(default_factory=list)


def photos() -> tuple[list[bytes], np.ndarray]:
    """Return faces as JPEG files and as arrays."""
    faces = generate_faces(16, 2, size=112, seed=0).faces
    files = []
    for face in faces:
        file = io.BytesIO()
        Image.fromarray(face).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    return files, faces


def request_of(files: list[bytes], port: int) -> bytes:
    """Return a complete request for `/v1/verify`."""
    body = b'--face\r\nContent-Disposition: form-data; name="aligned"\r\n\r\ntrue\r\n'
    for name, file in zip(("first", "second"), files, strict=True):
        head = f'--face\r\nContent-Disposition: form-data; name="{name}"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
        body += head.encode() + file + b"\r\n"
    body += b"--face--\r\n"
    head = (
        f"POST /v1/verify HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def client(number: int, port: int, request: bytes, seen: Seen, until: float) -> None:
    """Ask until the time is over, on one connection."""
    address = ADDRESSES[number % len(ADDRESSES)]
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    while (begun := time.monotonic()) < until:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ", 1)[1].split("\r\n", 1)[0])
        await reader.readexactly(length)
        status = int(head.split(" ", 2)[1])
        seen.statuses[status] += 1
        if status == 200:
            seen.waits.append(time.monotonic() - begun)
        elif "retry-after: " in head:
            await asyncio.sleep(float(head.split("retry-after: ", 1)[1].split("\r\n", 1)[0]))
    writer.close()


async def watch(process: int, seen: Seen, until: float) -> None:
    """Read the memory of the service every second."""
    while time.monotonic() < until:
        seen.memory.append((time.monotonic(), resident(process)))
        await asyncio.sleep(1)


def resident(process: int) -> float:
    """Return the resident memory in MB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024 / 1e6


async def load(clients: int, port: int, requests: list[bytes], process: int, seen: Seen, seconds: float) -> None:
    """One part of the load."""
    begun = time.monotonic()
    until = begun + seconds
    asking = [client(number, port, requests[number % len(requests)], seen, until) for number in range(clients)]
    await asyncio.gather(watch(process, seen, until), *asking)
    seen.seconds += time.monotonic() - begun


def faces_a_second(encoder: Encoder, faces: np.ndarray, seconds: float) -> float:
    """Return the encoder's own rate in batches of 64."""
    batch = np.stack([encoder.card.crop.fit(face) for face in faces])
    batch = np.concatenate([batch, batch])
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        encoder.embed(batch)
        count += len(batch)
    return count / (time.perf_counter() - begun)


def slope(memory: list[tuple[float, float]], *, after: float) -> float:
    """Return the growth in MB per minute after a number of seconds."""
    times, sizes = np.array(memory).T
    late = times >= times[0] + after
    return float(np.polyfit(times[late] / 60, sizes[late], 1)[0])


def measure(clients: int, seconds: float) -> dict[str, Any]:
    """Run the benchmark."""
    encoder, (files, faces) = load_encoder(), photos()
    command = [sys.executable, "-m", "visavis", "serve", "--port", "0", "--aligned-only", "--rate-limit", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as service:
        assert service.stdout is not None
        port = int(service.stdout.readline().rsplit(":", 1)[1].strip(" /\n"))
        requests = [request_of(files[place : place + 2], port) for place in range(0, len(files), 2)]
        seen, own = Seen(), [faces_a_second(encoder, faces, ENCODER_SECONDS)]
        while seen.seconds < seconds:
            part = min(PART_SECONDS, seconds - seen.seconds)
            asyncio.run(load(clients, port, requests, service.pid, seen, part))
            own.append(faces_a_second(encoder, faces, ENCODER_SECONDS))
            print(dict(seen.statuses), f"{seen.memory[-1][1]:.0f} MB, own {own[-1]:.0f} faces a second", flush=True)
        service.terminate()
        code = service.wait()
    accepted = 2 * seen.statuses[200] / seen.seconds
    return {
        "clients": clients,
        "seconds": seen.seconds,
        "statuses": {str(status): count for status, count in sorted(seen.statuses.items())},
        "wait_of_accepted": {f"p{part}": float(np.percentile(seen.waits, part)) for part in (50, 90, 99, 100)},
        "faces_a_second": accepted,
        "encoder_alone": float(np.mean(own)),
        "part_of_encoder": accepted / float(np.mean(own)),
        "memory_mb": {"start": seen.memory[0][1], "end": seen.memory[-1][1]},
        "memory_slope_mb_a_minute": slope(seen.memory, after=min(60, seconds / 5)),
        "exit_code": code,
    }


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300, help="of load")
    parser.add_argument("--clients", type=int, default=128)
    options = parser.parse_args()
    figures = measure(options.clients, options.seconds)
    print(figures)
    write_result("service", figures)


if __name__ == "__main__":
    main()
