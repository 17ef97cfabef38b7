"""Download one file over HTTPS: resumable, with its size and SHA-256 digest checked before it gets its name."""

import hashlib
import http.client
import shutil
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from visavis.errors import DownloadError
from visavis.files import atomic_write

__all__ = ["RemoteFile", "fetch_file", "take_file"]

_CHUNK = 1 << 16
_TIMEOUT = 30
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_PARTIAL, _RANGE_REFUSED = 206, 416


@dataclass(frozen=True)
class RemoteFile:
    """A file with a known digest.

    Attributes:
        url: Where it is; `https://`, or `http://` on this machine.
        sha256: Its digest, hexadecimal.
        size: Bytes.
    """

    url: str
    sha256: str
    size: int

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: If one is out of range.
        """
        check_url(self.url)
        if len(self.sha256) != 64 or set(self.sha256) - set("0123456789abcdef"):
            raise ValueError(f"sha256 must be 64 hexadecimal digits in lower case, got {self.sha256!r}")
        if type(self.size) is not int or self.size < 1:
            raise ValueError(f"size must be a positive number of bytes, got {self.size!r}")


def check_url(url: str) -> None:
    """Check that a URL is one of HTTPS, or of HTTP on this machine.

    Raises:
        ValueError: If it is not.
    """
    parts = urlsplit(url)
    if not (parts.scheme == "https" and parts.hostname) and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ValueError(f"url must begin with https://, got {url!r}")


def fetch_file(remote: RemoteFile, path: Path, *, progress: bool = False) -> Path:
    """Download a file. What an interrupted download left is continued; a file that is there is checked and kept.

    Args:
        remote: The file.
        path: Where to write it.
        progress: Whether to show a bar on standard error.

    Returns:
        `path`.

    Raises:
        DownloadError: If it cannot be fetched, or if what came is another file.
    """
    if path.is_file() and _digest(path) == remote.sha256:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{remote.sha256[:8]}.part")
    try:
        _download(remote, partial, progress)
    except urllib.error.HTTPError as error:
        raise DownloadError(f"{remote.url}: {error.code} {error.reason}. {_OFFLINE}") from error
    except urllib.error.URLError as error:
        raise DownloadError(f"{remote.url}: {error.reason}. {_OFFLINE}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DownloadError(f"{remote.url}: {error or type(error).__name__}. Run it again to continue. {_OFFLINE}") from error
    got = partial.stat().st_size
    if got < remote.size:
        raise DownloadError(f"{remote.url}: the connection ended after {got:,} of {remote.size:,} bytes. Run it again to continue")
    digest = _digest(partial)
    if digest != remote.sha256:
        partial.unlink()
        raise DownloadError(f"{remote.url}: the file has SHA-256 {digest}, expected {remote.sha256}. It was deleted")
    partial.replace(path)
    return path


def take_file(source: Path, remote: RemoteFile, path: Path) -> Path:
    """Copy a file that was fetched in another way, if its digest is right.

    Returns:
        `path`.

    Raises:
        DownloadError: If it is another file.
        OSError: If it cannot be read.
    """
    digest = _digest(source)
    if digest != remote.sha256:
        raise DownloadError(f"{source}: the file has SHA-256 {digest}, expected {remote.sha256}")
    with atomic_write(path) as temporary:
        shutil.copyfile(source, temporary)
    return path


_OFFLINE = "Without a network, fetch the file on another machine and give it with --file"


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects to HTTPS only, or on this machine."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> urllib.request.Request | None:
        check_url(newurl)
        redirected = super().redirect_request(req, fp, code, msg, headers, newurl)
        if redirected is not None and req.has_header("Range"):
            redirected.add_header("Range", req.get_header("Range"))
        return redirected


def _download(remote: RemoteFile, partial: Path, progress: bool) -> None:
    """Fetch what is missing of a file, at most a byte more than it should have."""
    have = partial.stat().st_size if partial.is_file() else 0
    if have >= remote.size:
        partial.unlink()
        have = 0
    request = urllib.request.Request(remote.url, headers={"User-Agent": "visavis", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.build_opener(_SafeRedirects).open(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == _RANGE_REFUSED:
            partial.unlink(missing_ok=True)
        raise
    with response:
        if have and not _continues(response, have):
            have = 0
        with partial.open("ab" if have else "wb") as file:
            _copy(response, file, have, remote.size, progress)


def _continues(response: Any, have: int) -> bool:
    """Tell whether a server continues where it was asked to."""
    return response.status == _PARTIAL and str(response.headers.get("Content-Range", "")).startswith(f"bytes {have}-")


def _copy(response: Any, file: IO[bytes], have: int, size: int, progress: bool) -> None:
    from tqdm import tqdm

    with tqdm(total=size, initial=have, unit="B", unit_scale=True, desc="download", disable=not progress) as bar:
        while have <= size and (chunk := response.read(min(_CHUNK, size + 1 - have) or 1)):
            file.write(chunk)
            have += len(chunk)
            bar.update(len(chunk))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
