"""Limits of connections: headers, idle time, connections per address and in total."""

import socket
import time
from dataclasses import replace

import pytest

pytest.importorskip("fastapi", reason="the service needs the extra serve")

import requests
from serving import pair, running, service_of

from visavis.service.limits import ServiceLimits

LIMITS = ServiceLimits(rate=None, header_seconds=1, client_connections=8)


@pytest.fixture(scope="module")
def url():
    with running(service_of(limits=LIMITS)) as address:
        yield address


def connect(url):
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def read_all(connection):
    """Read until the service closes the connection."""
    answer = b""
    try:
        while data := connection.recv(65536):
            answer += data
    except ConnectionResetError:
        pass
    return answer


HEAD = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@pytest.mark.parametrize(
    "flood",
    [
        HEAD + b"a:b\r\n" * 200 + b"\r\n",
        HEAD + b"X: " + b"a" * 40_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        HEAD + b"\r\n" + HEAD + b"a:b\r\n" * 200 + b"\r\n",
    ],
    ids=["many", "long", "path", "pipelined"],
)
def test_too_many_headers_are_refused(url, flood):
    with connect(url) as connection:
        connection.sendall(flood)
        answer = read_all(connection)
    assert b" 431 " in answer and b"urn:visavis:problem:headers" in answer


def test_a_header_that_never_ends_is_cut_off(url):
    with connect(url) as connection:
        connection.sendall(HEAD + b"X: ")
        sent = 0
        try:
            while sent < 10_000_000:
                sent += connection.send(b"a" * 10_000)
        except OSError:
            pass
    assert sent < 10_000_000


@pytest.mark.parametrize("data", [b"", HEAD], ids=["idle", "slow"])
def test_headers_must_arrive_in_time(url, data):
    with connect(url) as connection:
        connection.sendall(data)
        started = time.monotonic()
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 408 ") and time.monotonic() - started < 10


def test_an_ordinary_connection_may_send_many_requests(url):
    with requests.Session() as session:
        for _ in range(3):
            assert session.post(f"{url}/v1/verify", files=pair()).status_code == 200
            time.sleep(0.5)


def test_one_address_has_a_limited_number_of_connections(url):
    connections = [connect(url) for _ in range(LIMITS.client_connections)]
    for connection in connections:
        connection.sendall(HEAD)
    with connect(url) as one_more:
        answer = read_all(one_more)
    assert answer.startswith(b"HTTP/1.1 503 ") and b"Retry-After: 1" in answer
    for connection in connections:
        connection.close()
    time.sleep(0.2)
    assert requests.get(f"{url}/healthz").status_code == 200


def test_all_addresses_together_have_a_limited_number_of_connections():
    with running(service_of(limits=replace(LIMITS, connections=2))) as url:
        kept = [connect(url), connect(url)]
        with connect(url) as one_more:
            answer = read_all(one_more)
        assert answer.startswith(b"HTTP/1.1 503 ") and b"Retry-After: 1" in answer
        for connection in kept:
            connection.close()
