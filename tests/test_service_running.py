"""The service as a process: whom it refuses to serve, how it starts, and that it finishes what it accepted."""

import json
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

pytest.importorskip("fastapi", reason="the service needs the extra serve")

import requests
from serving import file, picture

from visavis.cli import main
from visavis.encoders import PRETRAINED_FILE

needs_encoder = pytest.mark.skipif(not PRETRAINED_FILE.is_file(), reason="the encoder is not made yet: see recipes/")


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    return stop.value.code, capsys.readouterr()


@pytest.mark.parametrize("arguments", [("--host", "0.0.0.0"), ("--host", "192.0.2.1"), ("--allow-host", "faces.example.org")])
def test_without_keys_it_is_for_this_machine_alone(capsys, arguments):
    code, told = run(capsys, "serve", *arguments)
    assert code == 2
    assert "visavis keys create" in told.err


def test_keys_must_be_there(capsys, tmp_path):
    code, told = run(capsys, "serve", "--keys", str(tmp_path / "none.db"))
    assert code == 2 and "no such file of keys" in told.err


def test_keys_are_created_listed_and_revoked(capsys, tmp_path):
    where = ("--keys", str(tmp_path / "keys.db"))
    code, told = run(capsys, "keys", "create", "the door", "--scope", "write", *where)
    key = told.out.strip()
    assert code == 0 and re.fullmatch(r"vv_[0-9a-f]{12}_[\w-]{43}", key)
    code, told = run(capsys, "keys", "list", "--json", *where)
    (listed,) = json.loads(told.out)["keys"]
    assert listed["name"] == "the door" and listed["scope"] == "write" and listed["id"] in key
    assert run(capsys, "keys", "revoke", listed["id"], *where)[0] == 0
    code, told = run(capsys, "keys", "list", *where)
    assert "revoked" in told.out and key not in told.out
    assert run(capsys, "keys", "revoke", listed["id"], *where)[0] == 2


@pytest.fixture
def process(tmp_path):
    """The service in a process of its own, and its address."""
    command = [sys.executable, "-m", "visavis", "serve", "--port", "0", "--aligned-only", "--rate-limit", "0"]
    command += ["--gallery", str(tmp_path / "test.gallery")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        line = started.stdout.readline()
        assert line.startswith("visavis serves http://127.0.0.1:"), started.stderr.read()
        yield started, line.split()[-1].rstrip("/")
        started.kill()


@needs_encoder
def test_it_starts_answers_and_stops_when_what_it_accepted_is_done(process):
    started, url = process
    assert requests.get(f"{url}/readyz").json() == {"status": "ready"}
    photo = file(picture(side=112))
    unaligned = requests.post(f"{url}/v1/verify", files={"first": photo, "second": photo})
    assert unaligned.status_code == 400 and "aligned=true" in unaligned.json()["detail"]
    answers = []

    def explain():
        answers.append(requests.post(f"{url}/v1/explain", files={"first": photo, "second": photo}, data={"aligned": "true"}))

    asking = threading.Thread(target=explain)
    asking.start()
    while "visavis_requests_in_progress 2.0" not in requests.get(f"{url}/metrics").text:
        assert not answers, "it was answered before it could be interrupted"
        time.sleep(0.01)
    started.send_signal(signal.SIGTERM)
    asking.join()
    assert answers[0].status_code == 200 and answers[0].json()["same"]
    assert started.wait(30) == 0
    told = started.stderr.read()
    assert "POST /v1/explain 200" in told and "Traceback" not in told
