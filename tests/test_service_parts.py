"""Parts of the service in isolation: keys, access rules, rate limiter, admission control, batching."""

import sqlite3
import stat
import threading
from contextlib import closing

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the service needs the extra serve")

from visavis.errors import DataError
from visavis.service.access import Access, is_loopback
from visavis.service.admission import Admission, RateLimiter
from visavis.service.batching import Batcher
from visavis.service.keys import KeyStore
from visavis.service.limits import ServiceLimits
from visavis.service.problems import BusyError, LengthError, RateError, SizeError


@pytest.fixture
def store(tmp_path):
    return KeyStore(tmp_path / "keys.db", create=True)


def test_two_processes_that_create_a_file_of_keys_wait_for_each_other(tmp_path):
    path = tmp_path / "keys.db"
    path.touch()
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.2, other.execute, ["ROLLBACK"])
        release.start()
        try:
            KeyStore(path).create("door", "read")
        finally:
            release.join()
    assert [key.name for key in KeyStore(path).list()] == ["door"]


def test_a_key_is_recognised_until_it_is_revoked(store):
    text = store.create("door", "write")
    key = store.find(text)
    assert (key.name, key.scope) == ("door", "write") and key.allows("read") and not key.allows("admin")
    other = KeyStore(store.path)
    other.revoke(key.id)
    assert store.find(text) is None
    assert [(one.id, one.revoked is None) for one in other.list()] == [(key.id, False)]
    with pytest.raises(DataError, match=f"no valid key {key.id}"):
        store.revoke(key.id)


def test_a_file_of_an_earlier_version_is_read_and_its_keys_get_no_more_than_before(tmp_path):
    path = tmp_path / "keys.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE keys (id TEXT PRIMARY KEY, name TEXT, scope TEXT, hash BLOB, created TEXT, revoked TEXT)")
        database.execute("INSERT INTO keys VALUES ('0c1d2e3f4a5b', 'door', 'read', x'00', '2026-01-01', NULL)")
    store = KeyStore(path)
    assert [(key.id, key.scope, key.all_scores) for key in store.list()] == [("0c1d2e3f4a5b", "read", False)]
    assert store.find(store.create("desk", "write")).scope == "write"


def test_the_file_holds_no_key(store):
    text = store.create("door", "read")
    secret = text.split("_", 2)[2]
    held = b"".join(path.read_bytes() for path in store.path.parent.iterdir())
    assert len(secret) == 43 and secret.encode() not in held
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "change", [lambda key: key[:-1], lambda key: key + "A", lambda key: key[:-1] + "ü", lambda key: "", str.upper]
)
def test_an_altered_key_is_not_found(store, change):
    assert store.find(change(store.create("door", "admin"))) is None


def test_the_secret_of_one_key_does_not_open_another(store):
    one, other = (store.create(name, "read") for name in "ab")
    assert store.find(f"vv_{one.split('_')[1]}_{other.split('_', 2)[2]}") is None


def test_a_missing_or_damaged_file_of_keys_is_refused(tmp_path):
    with pytest.raises(DataError, match="visavis keys create"):
        KeyStore(tmp_path / "none.db")
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"not a database" * 100)
    with pytest.raises(DataError, match="not a file of keys"):
        KeyStore(damaged)


@pytest.mark.parametrize(
    ("name", "scope", "says"),
    [("door", "root", "scope must be 'decide', .* got 'root'"), (" ", "read", "name must say whose key")],
)
def test_a_key_needs_a_name_and_a_scope(store, name, scope, says):
    with pytest.raises(ValueError, match=says):
        store.create(name, scope)


def test_an_unknown_key_is_compared_too(store, monkeypatch):
    compared = []
    monkeypatch.setattr("hmac.compare_digest", lambda one, other: compared.append((one, other)) or False)
    store.find("nothing")
    assert len(compared) == 1 and len(compared[0][1]) == 32


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["127.0.0.1"], True),
        (["localhost", "::1", "127.8.8.8"], True),
        (["0.0.0.0"], False),
        (["localhost", "faces.example"], False),
    ],
)
def test_loopback_names(names, expected):
    assert is_loopback(names) is expected


def test_ipv6_hosts_are_recognised():
    Access(frozenset({"::1"})).check_site({"host": "[::1]:8000"}, is_page=False)


def test_a_client_gets_its_burst_and_then_its_rate():
    now = [0.0]
    rates = RateLimiter(60, clock=lambda: now[0])
    for _ in range(10):
        rates.take("a")
    with pytest.raises(RateError) as refused:
        rates.take("a")
    assert refused.value.retry_after == 1
    rates.take("b")
    now[0] = 2.0
    rates.take("a")
    rates.take("a")
    with pytest.raises(RateError):
        rates.take("a")


def png_header(width, height):
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big")


def test_a_request_is_charged_for_comparisons_and_pixels_before_they_are_queued():
    now = [0.0]
    admission = Admission(ServiceLimits(rate=600))
    admission.rate_limiter = RateLimiter(600, clock=lambda: now[0])  # 60 tokens at first, 10 a second
    small, large = png_header(1000, 1000), png_header(5000, 5000)
    for _ in range(4):
        admission.rate_limiter.take("a")
        admission.charge("a", 15, [small] * 16)
    with pytest.raises(RateError, match="More comparisons than 600 per minute"):
        admission.rate_limiter.take("a")
    now[0] = 6.0
    admission.charge("a", 1, [large, large])
    with pytest.raises(RateError) as refused:
        admission.charge("a", 61, [small])
    assert refused.value.retry_after == 1


def test_what_costs_more_than_a_bucket_holds_is_owed_and_overload_is_paid_for():
    now = [0.0]
    admission = Admission(ServiceLimits(rate=600, photo_seconds=10))
    admission.rate_limiter = RateLimiter(600, clock=lambda: now[0])
    admission.charge("a", 101, [b""])
    with pytest.raises(RateError) as refused:
        admission.rate_limiter.take("a")
    assert refused.value.retry_after == 5
    admission.penalise("b")
    with pytest.raises(RateError) as refused:
        admission.rate_limiter.take("b")
    assert refused.value.retry_after == 5


def test_clients_are_forgotten_so_that_memory_stays_bounded():
    rates = RateLimiter(60)
    for number in range(10_100):
        rates.take(str(number))
    assert len(rates._buckets) == 10_000


def test_requests_and_bytes_in_flight_are_bounded():
    admission = Admission(ServiceLimits(requests=3, client_requests=2, bytes_in_flight=100))
    with admission.admit("a", 10), admission.admit("a", 10):
        with pytest.raises(RateError), admission.admit("a", 0):
            pass
        with pytest.raises(BusyError), admission.admit("b", 81):
            pass
        with admission.admit("b", 80), pytest.raises(BusyError), admission.admit("c", 0):
            pass
    assert admission.requests == admission.bytes == 0 and not admission._requests_by_client


@pytest.mark.parametrize(
    ("declared", "error"),
    [(None, LengthError), ("-1", LengthError), ("1e3", LengthError), ("²", LengthError), ("40000001", SizeError)],
)
def test_lengths_that_are_refused(declared, error):
    with pytest.raises(error):
        Admission(ServiceLimits()).content_length("POST", declared)


def test_limits_are_positive():
    with pytest.raises(ValueError, match="photos must be positive, got 0"):
        ServiceLimits(photos=0)


def test_pending_jobs_are_embedded_in_one_batch():
    sizes, begun, go = [], threading.Event(), threading.Event()

    def embed(faces):
        begun.set()
        assert go.wait(10)
        return faces.reshape(len(faces), -1).astype(np.float32)

    batcher = Batcher(embed, max_batch=8, observe=sizes.append)
    first = batcher.submit(np.zeros((1, 2)))
    assert begun.wait(10)
    waiting = [batcher.submit(np.full((2, 2), number)) for number in range(5)]
    dropped = batcher.submit(np.zeros((1, 2)))
    dropped.cancel()
    go.set()
    batcher.close()
    assert sizes == [1, 8, 2]
    assert first.result().shape == (1, 2)
    assert [future.result()[1, 1] for future in waiting] == [0, 1, 2, 3, 4]


def test_an_error_reaches_all_pending_jobs_and_the_next_batch_is_embedded():
    def embed(faces):
        if faces.max() > 1:
            raise RuntimeError("broken")
        return faces

    batcher = Batcher(embed)
    with pytest.raises(RuntimeError, match="broken"):
        batcher.submit(np.full((1, 1), 2.0)).result(10)
    assert batcher.submit(np.ones((1, 1))).result(10)[0, 0] == 1
    batcher.close()


def test_a_job_may_exceed_the_maximum_batch():
    sizes = []
    batcher = Batcher(lambda faces: faces, max_batch=4, observe=sizes.append)
    assert len(batcher.submit(np.ones((9, 1))).result(10)) == 9
    batcher.close()
    assert sizes == [9]
