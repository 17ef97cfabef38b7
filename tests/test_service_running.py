"""The service as a process: refused settings, start, and completion of accepted requests."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

pytest.importorskip("fastapi", reason="the service needs the extra serve")

import requests
from serving import file, picture

from visavis.cli import main
from visavis.encoders import PRETRAINED_FILE
from visavis.faces import FaceFinder
from visavis.images import Limits
from visavis.service.keys import KeyStore
from visavis.service.limits import ServiceLimits

needs_encoder = pytest.mark.skipif(not PRETRAINED_FILE.is_file(), reason="the bundled encoder is missing: see recipes/")


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    return stop.value.code, capsys.readouterr()


@pytest.mark.parametrize("arguments", [("--host", "0.0.0.0"), ("--host", "192.0.2.1"), ("--allow-host", "faces.example.org")])
def test_without_keys_only_loopback_addresses_are_allowed(capsys, arguments):
    code, output = run(capsys, "serve", *arguments)
    assert code == 2
    assert "visavis keys create" in output.err


def test_the_file_of_keys_must_exist(capsys, tmp_path):
    code, output = run(capsys, "serve", "--keys", str(tmp_path / "none.db"))
    assert code == 2 and "no such file of keys" in output.err


@pytest.mark.parametrize(
    ("host", "port", "reason"),
    [
        ("127.0.0.1", None, "the port is in use"),
        ("localhost", None, "the port is in use"),
        ("127.0.0.1", 1, "Permission denied"),
        ("192.0.2.1", 0, "Cannot assign requested address"),
        ("nowhere.invalid", 0, ""),
    ],
)
def test_an_address_that_cannot_be_used_is_one_clear_line(capsys, tmp_path, host, port, reason):
    if port == 1 and os.geteuid() == 0:
        pytest.skip("root may use any port")
    keys = tmp_path / "keys.db"
    KeyStore(keys, create=True)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1] if port is None else port
        arguments = ("--host", host, "--port", str(port), "--keys", str(keys), "--model", "missing")
        code, output = run(capsys, "serve", *arguments)
    assert code == 2 and output.out == ""
    (line,) = output.err.splitlines()
    assert line.startswith(f"error: cannot listen on {host}:{port}: {reason}") and line.endswith(
        "with --host or --port (0: any free port)"
    )


def test_keys_are_created_listed_and_revoked(capsys, tmp_path):
    where = ("--keys", str(tmp_path / "keys.db"))
    code, output = run(capsys, "keys", "create", "the door", "--scope", "write", *where)
    key = output.out.strip()
    assert code == 0 and re.fullmatch(r"vv_[0-9a-f]{12}_[\w-]{43}", key)
    code, output = run(capsys, "keys", "list", "--json", *where)
    (listed,) = json.loads(output.out)["keys"]
    assert listed["name"] == "the door" and listed["scope"] == "write" and listed["id"] in key
    assert run(capsys, "keys", "revoke", listed["id"], *where)[0] == 0
    code, output = run(capsys, "keys", "list", *where)
    assert "revoked" in output.out and key not in output.out
    assert run(capsys, "keys", "revoke", listed["id"], *where)[0] == 2


def test_the_detector_and_the_limits_are_options(capsys, monkeypatch):
    served = []
    monkeypatch.setattr("visavis.service.server.serve", lambda settings, started: served.append(settings))
    assert run(capsys, "serve")[0] == 0
    options = ("--min-face", "40", "--detector-size", "1280", "--max-pixels", "1000", "--max-bytes", "30000000")
    assert run(capsys, "serve", *options)[0] == 0
    default, changed = served
    assert (default.finder, default.limits) == (FaceFinder(), ServiceLimits())
    assert changed.finder == FaceFinder(min_face=40, detector_size=1280)
    assert (changed.limits.photo, changed.limits.request_bytes) == (Limits(30_000_000, 1000), 120_000_000)


@pytest.fixture
def process(tmp_path):
    """The service in its own process, and its address."""
    command = [sys.executable, "-m", "visavis", "serve", "--port", "0", "--aligned-only", "--rate-limit", "0"]
    command += ["--gallery", str(tmp_path / "test.gallery")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        line = started.stdout.readline()
        assert line.startswith("visavis serves http://127.0.0.1:"), started.stderr.read()
        yield started, line.split()[-1].rstrip("/")
        started.kill()


@needs_encoder
def test_it_completes_accepted_requests_before_it_stops(process):
    started, url = process
    assert requests.get(f"{url}/readyz").json() == {"status": "ready"}
    photo = file(picture(side=112))
    unaligned = requests.post(f"{url}/v1/verify", files={"first": photo, "second": photo})
    assert unaligned.status_code == 400 and "aligned=true" in unaligned.json()["detail"]
    form = {"files": {"first": photo, "second": photo}, "data": {"aligned": "true"}}
    request = requests.Request("POST", f"{url}/v1/verify", **form).prepare()
    address = url.removeprefix("http://")
    head = "".join(f"{name}: {value}\r\n" for name, value in {"Host": address, **request.headers}.items())
    with socket.create_connection(("127.0.0.1", int(address.split(":")[1])), timeout=30) as connection:
        connection.sendall(f"POST /v1/verify HTTP/1.1\r\n{head}\r\n".encode() + request.body[:100])
        while "visavis_requests_in_progress 2.0" not in requests.get(f"{url}/metrics").text:
            time.sleep(0.01)
        started.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        connection.sendall(request.body[100:])
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 ") and b'"same":true' in answer
    assert started.wait(30) == 0
    output = started.stderr.read()
    assert "POST /v1/verify 200" in output and "Traceback" not in output


@needs_encoder
def test_it_stops_in_time_although_requests_are_never_completed(process):
    started, url = process
    with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), timeout=30) as connection:
        head = "POST /v1/verify HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        connection.sendall(f"{head}Content-Length: 100000\r\n\r\n--x\r\n".encode())
        while "visavis_requests_in_progress 2.0" not in requests.get(f"{url}/metrics").text:
            time.sleep(0.01)
        began = time.monotonic()
        started.send_signal(signal.SIGTERM)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert started.wait(30) == 0 and time.monotonic() - began < 12
    assert answer.startswith(b"HTTP/1.1 503 ") and b"retry-after: 1" in answer.lower()
