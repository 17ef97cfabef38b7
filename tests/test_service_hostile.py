"""Uploads that are meant to harm are refused, and connections that are meant to hold the service up do not."""

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
    for name in ("hostile", "record"):
        sys.modules.pop(name, None)


def test_every_hostile_upload_meets_a_clear_refusal(hostile, tmp_path):
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
    """Send a request as it is, and leave the connection open."""
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


def test_uploads_that_stop_on_the_way_are_given_up():
    service = service_of(limits=ServiceLimits(rate=None, seconds=1, client_requests=3))
    with running(service) as url:
        slow = [connect(url, FORM, b"--x\r\n") for _ in range(3)]
        until(lambda: service.admission.requests == 3)
        assert requests.get(f"{url}/v1/model").status_code == 429
        answer = slow[0].recv(10_000)
        assert b"503" in answer.split(b"\r\n")[0] and b"urn:visavis:problem:time" in answer + slow[0].recv(10_000)
        until(lambda: service.admission.requests == 0)
        for connection in slow:
            connection.close()
        assert requests.post(f"{url}/v1/verify", files=pair()).status_code == 200


def test_a_client_that_goes_away_leaves_nothing_behind_and_is_no_fault(caplog):
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
def test_the_page_gives_no_other_files(head):
    with running(service_of()) as url, connect(url, head) as connection:
        status = connection.recv(10_000).split(b"\r\n")[0]
        assert b" 404 " in status or b" 400 " in status
