"""Attacks on the service that cost it time, connections or memory, while a legitimate client keeps asking; run by `hostile.py`.

Each attack lasts some seconds and comes from a loopback address of its own: JPEG files of 25 million pixels in 10 scans, which are
allowed, and in 5,000; endless headers; clients that send a byte a second; 1,000 idle connections. The legitimate client compares
two photos over and over. At the end the service is stopped while it is attacked.
"""

import contextlib
import http.client
import io
import itertools
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

BOUNDARY = "x"
HEADERS = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
SCANS = 5000


def jpeg(side: int, **options: Any) -> bytes:
    """A JPEG of coarse noise."""
    file = io.BytesIO()
    small = np.random.default_rng(0).integers(0, 255, (50, 50, 3), dtype=np.uint8)
    Image.fromarray(small).resize((side, side), Image.Resampling.BILINEAR).save(file, "JPEG", quality=30, **options)
    return file.getvalue()


def scan_bomb(data: bytes, scans: int) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    start = data.rindex(b"\xff\xda")
    return data[:-2] + data[start:-2] * scans + b"\xff\xd9"


def form(photo: bytes) -> bytes:
    """The body of a comparison of a photo with itself."""
    parts = [f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="aligned"\r\n\r\ntrue\r\n'.encode()]
    for name in ("first", "second"):
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="a.jpg"\r\n\r\n'
        parts += [head.encode(), photo, b"\r\n"]
    return b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])


class Attack:
    """Threads that attack until they are stopped, and the statuses that they got."""

    def __init__(self, address: str, port: int) -> None:
        """Set the address of the attacker and the port of the service."""
        self.address, self.port = address, port
        self.statuses: Counter[str] = Counter()
        self.over = threading.Event()

    def connect(self) -> socket.socket:
        """Connect from the attack's address."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=20, source_address=(self.address, 0))

    def post(self, bodies: Iterator[bytes]) -> None:
        """Send comparisons on one connection after the other."""
        for body in bodies:
            if self.over.is_set():
                return
            try:
                client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60, source_address=(self.address, 0))
                client.request("POST", "/v1/verify", body, HEADERS)
                answer = client.getresponse()
                retry = "" if answer.status != 503 or answer.getheader("Retry-After") else " without Retry-After"
                self.statuses[f"{answer.status}{retry}"] += 1
                client.close()
            except OSError as error:
                self.statuses[type(error).__name__] += 1

    def flood_headers(self) -> None:
        """Send endless tiny headers."""
        while not self.over.is_set():
            with contextlib.suppress(OSError), self.connect() as connection:
                connection.sendall(b"GET /v1/model HTTP/1.1\r\nHost: localhost\r\n")
                for _ in range(10_000):
                    connection.sendall(b"a:b\r\n" * 800)
            self.statuses["closed"] += 1

    def dawdle(self) -> None:
        """Send a byte a second."""
        while not self.over.is_set():
            with contextlib.suppress(OSError), self.connect() as connection:
                for byte in b"POST /v1/verify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n":
                    connection.sendall(bytes([byte]))
                    if self.over.wait(1):
                        return
            self.statuses["closed"] += 1

    def idle(self) -> None:
        """Hold 1,000 connections."""
        held = []
        for _ in range(1000):
            with contextlib.suppress(OSError):
                held.append(self.connect())
        self.over.wait()
        for connection in held:
            connection.close()
        self.statuses["connected"] += len(held)


def attacks(port: int) -> dict[str, tuple[Attack, list[Callable[[], None]]]]:
    """Return the threads of each attack."""
    large = jpeg(5000, progressive=True)
    allowed, forbidden = form(large), form(scan_bomb(large, SCANS))
    made = {name: Attack(f"127.0.0.{number}", port) for number, name in enumerate(("scans", "headers", "slow", "idle"), start=2)}
    bombs = made["scans"]
    return {
        "scans": (bombs, [lambda: bombs.post(itertools.cycle([allowed, forbidden]))] * 16),
        "headers": (made["headers"], [made["headers"].flood_headers] * 16),
        "slow": (made["slow"], [made["slow"].dawdle] * 90),
        "idle": (made["idle"], [made["idle"].idle]),
    }


def tree_memory(process: int) -> float:
    """Resident memory of a process and all that it started, MB."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    members = {process}
    while grown := {child for child, parent in parents.items() if parent in members} - members:
        members |= grown
    total = 0
    for member in members:
        with contextlib.suppress(OSError):
            total += int((re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{member}/status").read_text()) or ["0"])[0])
    return total * 1024 / 1e6


def watch(port: int, process: int, seconds: float) -> dict[str, Any]:
    """Be a legitimate client for some seconds; return its latencies and statuses, and the memory of the service."""
    body, waits, statuses, memory = form(jpeg(112)), list[float](), Counter[str](), 0.0
    until = time.monotonic() + seconds
    while (begun := time.monotonic()) < until:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        client.request("POST", "/v1/verify", body, HEADERS)
        answer = client.getresponse()
        retry = "" if answer.status != 503 or answer.getheader("Retry-After") else " without Retry-After"
        statuses[f"{answer.status}{retry}"] += 1
        client.close()
        waits.append(time.monotonic() - begun)
        memory = max(memory, tree_memory(process))
        time.sleep(max(0, 0.2 - waits[-1]))
    return {
        "requests": len(waits),
        "statuses": dict(statuses),
        "p50_seconds": float(np.percentile(waits, 50)),
        "p99_seconds": float(np.percentile(waits, 99)),
        "highest_memory_mb": memory,
    }


def measure_load(seconds: float) -> dict[str, Any]:
    """Attack a service with the default limits, and stop it under attack."""
    command = [sys.executable, "-m", "visavis", "serve", "--port", "0", "--allow-aligned"]
    phases: dict[str, Any] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as service:
        assert service.stdout is not None
        port = int(service.stdout.readline().rsplit(":", 1)[1].strip(" /\n"))
        phases["none"] = watch(port, service.pid, seconds)
        for name, (attack, works) in attacks(port).items():
            threads = [threading.Thread(target=work, daemon=True) for work in works]
            for thread in threads:
                thread.start()
            time.sleep(1)
            phases[name] = watch(port, service.pid, seconds) | {"attack": attack.statuses}
            if name != "idle":
                attack.over.set()
            print(name, phases[name], flush=True)
        last, works = attacks(port)["scans"]
        for work in works:
            threading.Thread(target=work, daemon=True).start()
        time.sleep(2)
        begun = time.monotonic()
        service.terminate()
        code = service.wait(60)
        stopped = time.monotonic() - begun
        last.over.set()
    return {"seconds": seconds, "cores": os.cpu_count(), "phases": phases, "stop_seconds": stopped, "stop_code": code}
