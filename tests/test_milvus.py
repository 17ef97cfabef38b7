"""Galleries in Milvus: a real server over TCP on loopback, and two clients."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from test_gallery import ENCODER, KEY, FakeEncoder, angle, brute_force, found_in, unit

from visavis.errors import GalleryError, GalleryKeyError, UnknownSubjectError, WrongEncoderError
from visavis.gallery import Enrolment, Hit, export_gallery, import_gallery, open_gallery
from visavis.gallery.milvus import Address
from visavis.gallery.opening import open_file

pytest.importorskip("pymilvus", reason="needs the extra milvus")
SERVER = shutil.which("milvus-lite", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
# pymilvus 3.0 reads its settings by functions that its own packages deprecate
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:pymilvus", "ignore::DeprecationWarning:google")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a server."""
    if SERVER is None:
        pytest.skip("needs the package milvus-lite")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = tmp_path_factory.mktemp("milvus")
    with (data / "log").open("w") as log:
        command = [SERVER, "server", "--data-dir", str(data / "data"), "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    deadline = time.monotonic() + 60
    while not listens(port):
        assert process.poll() is None and time.monotonic() < deadline, (data / "log").read_text()
        time.sleep(0.1)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(10)


def listens(port):
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv("VISAVIS_GALLERY_KEY", raising=False)


@pytest.fixture
def location(server, request):
    """A collection of the test's own."""
    return f"{server}/{request.node.name}"


def test_two_clients_share_a_gallery(location):
    with open_gallery(location, ENCODER) as first, open_gallery(location, ENCODER) as second:
        references = first.enrol("anna", np.array([angle(0), angle(20)]))
        (other,) = second.enrol("berta", angle(70)[None])
        for gallery in (first, second):
            assert gallery.search(angle(30)[None])[0] == [
                Hit("anna", references[1], pytest.approx(np.cos(np.radians(20)))),
                Hit("berta", other, pytest.approx(np.cos(np.radians(40)))),
            ]
            assert [hit.subject for hit in gallery.search(angle(30)[None], threshold=0.9)[0]] == ["anna"]
            assert gallery.verify("anna", angle(-5)) == Hit("anna", references[0], pytest.approx(np.cos(np.radians(15))))
            assert len(gallery) == 3
        assert second.delete("anna") == 2
        assert [hit.subject for hit in first.search(angle(30)[None])[0]] == ["berta"]
        with pytest.raises(UnknownSubjectError, match="no subject named 'anna' is enrolled"):
            first.delete("anna")


def test_subjects_are_listed_by_name(location):
    with open_gallery(location, ENCODER) as gallery:
        for name in ("clara", "anna", 'be"r\\ta', "ß 王"):
            gallery.enrol(name, unit(2))
        assert [subject.name for subject in gallery.subjects()] == ["anna", 'be"r\\ta', "clara", "ß 王"]
        assert [subject.name for subject in gallery.subjects(after="anna", limit=1)] == ['be"r\\ta']
        assert len(gallery.subject('be"r\\ta').references) == 2
        assert gallery.delete('be"r\\ta') == 2
        assert gallery.subject("ß 王").created
        with pytest.raises(UnknownSubjectError):
            gallery.subject('" or subject != "')


def test_templates_decide_and_no_subject_hides_another(location):
    with open_gallery(location, ENCODER) as gallery:
        people = {f"p{number}": unit(1 + number % 4, seed=number) for number in range(60)}
        people["crowd"] = np.tile(unit(1, seed=500), (300, 1))
        count = gallery.enrol_all(Enrolment(name, rows, [None] * len(rows)) for name, rows in people.items())
        assert count == sum(map(len, people.values()))
        for seed in (500, 501, 502):
            probe = unit(1, seed=seed)[0]
            assert found_in(gallery, probe, 5) == brute_force(people, probe, 5)
        with pytest.raises(GalleryError, match="'p3' is already enrolled"):
            gallery.enrol_all([Enrolment("p3", unit(1), [None])])


def test_a_file_moves_to_milvus(location, tmp_path):
    with open_gallery(tmp_path / "door.gallery", ENCODER) as file, open_gallery(location, ENCODER) as gallery:
        for number in range(5):
            file.enrol(f"p{number}", unit(3, seed=number))
        export_gallery(file, tmp_path / "door.zip")
        assert import_gallery(gallery, tmp_path / "door.zip") == 15
        probe = unit(1, seed=9)[0]
        assert found_in(gallery, probe) == found_in(file, probe)


def test_another_encoder_and_what_milvus_does_not_do(location):
    with open_gallery(location, ENCODER) as gallery:
        with pytest.raises(ValueError, match="stores no photos"):
            gallery.enrol("anna", unit(1), photos=[b"photo"])
        with pytest.raises(ValueError, match="rows of unit length"):
            gallery.enrol("anna", 2 * unit(1))
    with pytest.raises(WrongEncoderError, match="belongs to the encoder aaaa"):
        open_gallery(location, FakeEncoder(digest="b" * 64))
    with open_gallery(location, None) as gallery, pytest.raises(WrongEncoderError, match="opened without an encoder"):
        gallery.search(unit(1))
    with pytest.raises(GalleryKeyError, match="Milvus galleries have no key"):
        open_gallery(location, ENCODER, key=KEY)
    with pytest.raises(GalleryError, match="no such gallery"):
        open_gallery(f"{location}_else", None)


def test_an_approximate_index_is_asked_for_in_the_address(location):
    with open_gallery(f"{location}?index=HNSW&M=16&efConstruction=200&ef=64&shards=2", ENCODER) as gallery:
        rows = unit(50)
        gallery.enrol("anna", rows)
        assert found_in(gallery, rows[3]) == brute_force({"anna": rows}, rows[3], 1)


def test_what_is_done_to_files_only():
    with pytest.raises(GalleryError, match="for gallery files only"):
        open_file("http://milvus.example:19530/faces")


def test_addresses():
    address = Address.from_location("https://milvus.example:443/faces?index=HNSW&M=16&efConstruction=200&ef=64&shards=2")
    assert (address.uri, address.collection, address.index, address.shards) == ("https://milvus.example:443", "faces", "HNSW", 2)
    assert (address.build, address.search) == ({"M": 16, "efConstruction": 200}, {"ef": 64})
    for wrong in ("http://host:19530/", "http://host:19530/a/b", "http:///faces"):
        with pytest.raises(ValueError, match=r"must be http://HOST:PORT/COLLECTION"):
            Address.from_location(wrong)
