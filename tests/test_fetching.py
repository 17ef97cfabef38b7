"""Downloads from a server of this machine: whole, resumed, truncated, altered, redirected, refused, and without a network."""

import hashlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from visavis.encoders.fetching import RemoteFile, fetch_file, take_file
from visavis.errors import DownloadError

CONTENT = np.random.default_rng(0).bytes(300_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    """A server that answers as a test says, and notes what it was asked."""

    url: str = ""
    content: bytes = CONTENT
    cut: int | None = None
    location: str | None = None
    status: int = 200
    ranges: bool = True
    asked: list = field(default_factory=list)

    @property
    def file(self):
        return RemoteFile(f"{self.url}/model.onnx", DIGEST, len(CONTENT))


@pytest.fixture
def server():
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            wanted = self.headers.get("Range")
            state.asked.append((self.path, wanted))
            if state.location is not None and self.path != "/elsewhere":
                self.send_response(302)
                self.send_header("Location", state.location)
                self.end_headers()
                return
            if state.status != 200:
                self.send_error(state.status)
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and state.ranges else 0
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(state.content) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(state.content) - 1}/{len(state.content)}")
            self.end_headers()
            self.wfile.write(state.content[start : state.cut])

        def log_message(self, *_):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{httpd.server_port}"
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield state
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def test_a_file_is_fetched_once(server, tmp_path):
    path = tmp_path / "cache" / "model.onnx"
    assert fetch_file(server.file, path) == path
    assert path.read_bytes() == CONTENT
    fetch_file(server.file, path)
    assert server.asked == [("/model.onnx", None)]
    path.write_bytes(b"damaged on the disk")
    assert fetch_file(server.file, path).read_bytes() == CONTENT


@pytest.mark.parametrize("ranges", [True, False])
def test_a_truncated_download_is_continued(server, tmp_path, ranges):
    path = tmp_path / "model.onnx"
    server.cut, server.ranges = 100_000, ranges
    with pytest.raises(DownloadError, match=r"Run it again to continue"):
        fetch_file(server.file, path)
    assert not path.exists()
    server.cut = None
    assert fetch_file(server.file, path).read_bytes() == CONTENT
    assert server.asked[1][1] == "bytes=100000-"
    assert [found.name for found in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("content", [CONTENT[:-1] + b"?", CONTENT + b"more"])
def test_an_altered_file_is_deleted(server, tmp_path, content):
    server.content = content
    with pytest.raises(DownloadError, match=rf"has SHA-256 [0-9a-f]{{64}}, expected {DIGEST}"):
        fetch_file(server.file, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_redirect_is_followed_and_keeps_the_place(server, tmp_path):
    server.cut = 50_000
    with pytest.raises(DownloadError):
        fetch_file(server.file, tmp_path / "model.onnx")
    server.cut, server.location = None, "/elsewhere"
    assert fetch_file(server.file, tmp_path / "model.onnx").read_bytes() == CONTENT
    assert server.asked[-1] == ("/elsewhere", "bytes=50000-")


@pytest.mark.parametrize("location", ["http://example.org/model.onnx", "ftp://127.0.0.1/model.onnx", "file:///etc/passwd"])
def test_a_redirect_away_from_https_is_refused(server, tmp_path, location):
    server.location = location
    with pytest.raises(DownloadError):
        fetch_file(server.file, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.parametrize("status", [404, 416, 500])
def test_a_refusal_names_its_status_and_what_to_do(server, tmp_path, status):
    server.status = status
    with pytest.raises(DownloadError, match=rf"model.onnx: {status} .*give it with --file"):
        fetch_file(server.file, tmp_path / "model.onnx")


def test_without_a_network_the_error_says_what_to_do(tmp_path):
    remote = RemoteFile("http://127.0.0.1:9/model.onnx", DIGEST, len(CONTENT))  # nothing listens there
    with pytest.raises(DownloadError, match=r"refused.*give it with --file"):
        fetch_file(remote, tmp_path / "model.onnx")


def test_a_file_that_was_fetched_elsewhere_is_checked(tmp_path):
    source, remote = tmp_path / "from-a-stick", RemoteFile("https://example.org/m.onnx", DIGEST, len(CONTENT))
    source.write_bytes(CONTENT)
    assert take_file(source, remote, tmp_path / "cache" / "m.onnx").read_bytes() == CONTENT
    source.write_bytes(CONTENT[:-1])
    with pytest.raises(DownloadError, match=rf"from-a-stick: the file has SHA-256 .*, expected {DIGEST}"):
        take_file(source, remote, tmp_path / "other.onnx")
    assert not (tmp_path / "other.onnx").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("http://example.org/m", DIGEST, 1), "url must begin with https://"),
        (("https://", DIGEST, 1), "url must begin with https://"),
        (("https://example.org/m", "ab", 1), "sha256 must be 64 hexadecimal digits"),
        (("https://example.org/m", DIGEST, 0), "size must be a positive number"),
    ],
)
def test_a_remote_file_is_checked(values, message):
    with pytest.raises(ValueError, match=message):
        RemoteFile(*values)
