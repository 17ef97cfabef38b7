"""Malicious uploads are refused, and slow or aborted connections do not block the service."""

import http.client
import socket
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the service needs the extra serve")

import requests
from serving import Quarters, pair, running, service_of

from visavis.gallery import open_gallery
from visavis.service.limits import ServiceLimits

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def hostile(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import hostile

    yield hostile
    for name in ("hostile", "hostile_load", "record"):
        sys.modules.pop(name, None)


def test_every_hostile_upload_is_refused_with_a_reason(hostile, tmp_path):
    gallery = open_gallery(tmp_path / "test.gallery", Quarters())
    with running(service_of(gallery=gallery)) as url, requests.Session() as session:
        answers = [(upload, *hostile.send(url, upload, session)) for upload in hostile.uploads(150, seed=1)]
        assert [wrong for _, _, wrong in answers if wrong] == []
        assert {upload.kind for upload, _, _ in answers} == {
            *(make.__name__ for make in (*hostile.PHOTO_KINDS, *hostile.FORM_KINDS)),
            "body_type",
        }
        assert {status for upload, status, _ in answers if upload.kind in ("bomb", "huge", "truncated")} <= {415, 422}
        assert requests.post(f"{url}/v1/verify", files=pair()).json()["same"]
        assert len(gallery) == 0


def connect(url, head, body=b""):
    """Send a raw request, and leave the connection open."""
    host, port = url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=20)
    connection.sendall(f"{head}\r\nHost: {host}\r\n\r\n".encode() + body)
    return connection


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


FORM = "POST /v1/verify HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 100000"


def test_stalled_uploads_time_out():
    service = service_of(limits=ServiceLimits(rate=None, seconds=1, client_requests=3))
    with running(service) as url:
        slow = [connect(url, FORM, b"--x\r\n") for _ in range(3)]
        until(lambda: service.admission.requests == 3)
        assert requests.get(f"{url}/v1/model").status_code == 429
        answer = slow[0].recv(10_000)
        assert b"503" in answer.split(b"\r\n")[0] and b"urn:visavis:problem:timeout" in answer + slow[0].recv(10_000)
        until(lambda: service.admission.requests == 0)
        for connection in slow:
            connection.close()
        assert requests.post(f"{url}/v1/verify", files=pair()).status_code == 200


def test_a_disconnected_client_leaves_nothing_in_flight_and_logs_no_error(caplog):
    caplog.set_level("INFO")
    service = service_of()
    with running(service) as url:
        gone = connect(url, FORM, b"--x\r\n")
        until(lambda: service.admission.requests == 1)
        gone.close()
        until(lambda: service.admission.requests == 0)
        assert service.admission.bytes == 0
        until(lambda: "POST /v1/verify 499" in caplog.text)
        assert "ERROR" not in caplog.text
        assert requests.post(f"{url}/v1/verify", files=pair()).status_code == 200


@pytest.mark.parametrize(
    "head",
    [
        "GET /../../etc/passwd HTTP/1.1",
        "GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1",
        "GET /..%5c..%5capplication.py HTTP/1.1",
        "GET //etc/passwd HTTP/1.1",
    ],
)
def test_no_other_files_are_served(head):
    with running(service_of()) as url, connect(url, head) as connection:
        status = connection.recv(10_000).split(b"\r\n")[0]
        assert b" 404 " in status or b" 400 " in status


HEADERS = [
    ("Origin", b"http://[::1"),
    ("Origin", b"http://[::1]:x]"),
    ("Origin", b"\xff\xfe"),
    ("Host", b"[::1"),
    ("Host", b"\xff"),
    ("Host", b"localhost:99999999"),
    ("Authorization", b"Bearer \xff"),
    ("Authorization", b"Basic ="),
    ("Content-Type", b"multipart/form-data; boundary="),
    ("Content-Type", b"multipart/form-data; boundary=\xff"),
    ("Content-Type", b"multipart/form-data; boundary=" + b"a" * 5000),
    ("Content-Type", b';;;=;="; boundary'),
    ("Cookie", b"\xff=;;"),
    ("X-Forwarded-For", b"[::1"),
    ("Sec-Fetch-Site", b"\xff"),
    ("If-None-Match", b"\xff"),
    ("If-Modified-Since", b"never"),
    ("Range", b"bytes=9-1"),
]


@pytest.mark.parametrize(("name", "value"), HEADERS, ids=[f"{name} {value[:20]!r}" for name, value in HEADERS])
def test_a_malformed_header_is_never_an_internal_error(name, value):
    service = service_of()
    with running(service) as url:
        address = url.removeprefix("http://")
        for method, path in (("GET", "/"), ("GET", "/v1/model"), ("POST", "/v1/verify"), ("DELETE", "/v1/subjects/Anna")):
            client = http.client.HTTPConnection(address, timeout=20)
            client.putrequest(method, path, skip_host=name == "Host")
            client.putheader(name, value)
            client.putheader("Content-Length", "5")
            client.endheaders(b"--x--")
            assert client.getresponse().status < 500
            client.close()
