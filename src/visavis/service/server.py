"""Assemble the service from its settings and run it until it is stopped."""

import errno
import logging
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from visavis.encoders import load_encoder
from visavis.errors import VisavisError
from visavis.faces import FaceDetector, FaceFinder, MinQuality, quality_limits
from visavis.gallery import open_gallery
from visavis.pad import load_pad
from visavis.service.access import LOOPBACK_NAMES, Access, is_loopback
from visavis.service.admission import Admission
from visavis.service.application import create_app
from visavis.service.connections import limited_protocol
from visavis.service.engine import Detectors, Engine
from visavis.service.keys import KeyStore
from visavis.service.limits import ServiceLimits
from visavis.service.metrics import Metrics
from visavis.service.state import ServiceState

__all__ = ["ListenError", "ServiceSettings", "assemble", "listen", "make_server", "run_server", "serve", "server_of"]

_ALL_INTERFACES = ("0.0.0.0", "::")


class ListenError(VisavisError):
    """The service cannot listen at its address; the message names it and the reason."""


@dataclass(frozen=True)
class ServiceSettings:
    """Settings of the service.

    Attributes:
        model: The model, as `load_encoder` takes it.
        gallery: The gallery, as `open_gallery` takes it; None: no gallery.
        host: Address to listen at.
        port: Port to listen at; 0: any free port.
        keys: File of API keys; None: no key is required, which is allowed on the loopback interface only.
        allowed_hosts: Host names of the service, besides those of the loopback interface and `host`.
        trusted_proxy: Address of a reverse proxy whose `X-Forwarded-For` is trusted; None: no proxy.
        aligned_only: Whether only aligned crops are accepted.
        allow_aligned: Whether aligned crops are accepted besides whole photos.
        min_quality: What a photo must have to be enrolled; see `quality_limits`.
        pad: A detector of presentation attacks, as `load_pad` takes it; None: there is none.
        finder: The face detector, which several threads call at a time; None: `FaceFinder()`.
        limits: Limits of the service.
    """

    model: str = "pretrained"
    gallery: Path | str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    keys: Path | None = None
    allowed_hosts: tuple[str, ...] = ()
    trusted_proxy: str | None = None
    aligned_only: bool = False
    allow_aligned: bool = False
    min_quality: MinQuality = "basic"
    pad: Path | None = None
    finder: FaceDetector | None = None
    limits: ServiceLimits = field(default_factory=ServiceLimits)

    def __post_init__(self) -> None:
        """Check that a service without keys is reachable from this machine only.

        Raises:
            ValueError: If it would be reachable from elsewhere.
        """
        names = (self.host, *self.allowed_hosts)
        if self.keys is None and not is_loopback(names):
            raise ValueError(
                f"without keys, host and allowed hosts must be loopback addresses, got {', '.join(names)}. "
                "Create a key with: visavis keys create NAME --keys FILE, and serve with: --keys FILE"
            )

    @property
    def names(self) -> frozenset[str]:
        """All host names that requests may be addressed to."""
        own = () if self.host in _ALL_INTERFACES else (self.host,)
        return frozenset(name.lower() for name in (*LOOPBACK_NAMES, *own, *self.allowed_hosts))


def assemble(settings: ServiceSettings) -> ServiceState:
    """Load the model, open gallery and keys, and create the service.

    Raises:
        DataError: If the file of keys cannot be used.
        GalleryError: If the gallery cannot be opened.
        ModelError: If the model cannot be loaded.
    """
    keys = None if settings.keys is None else KeyStore(settings.keys)
    encoder = load_encoder(settings.model)
    encoder.card.rule()
    gallery = None if settings.gallery is None else open_gallery(settings.gallery, encoder)
    metrics, admission = Metrics(), Admission(settings.limits)
    engine = Engine(
        encoder,
        limits=settings.limits,
        aligned="required" if settings.aligned_only else "allowed" if settings.allow_aligned else "refused",
        detectors=Detectors(settings.finder or FaceFinder(), None if settings.pad is None else load_pad(settings.pad)),
        observe=metrics.batches.observe,
        on_overload=admission.penalise,
    )
    quality = quality_limits(settings.min_quality)
    return ServiceState(engine, Access(settings.names, keys), settings.limits, metrics, admission, gallery, quality)


def make_server(service: ServiceState, settings: ServiceSettings, *, started: Callable[[str], Any]) -> uvicorn.Server:
    """Create the server of a service; `started` is called with its address once it accepts requests."""
    return server_of(create_app(service), settings, started=started)


def server_of(app: ASGIApp, settings: ServiceSettings, *, started: Callable[[str], Any]) -> uvicorn.Server:
    """Create the server of an application, likewise."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        access_log=False,  # paths contain names
        log_config=None,
        log_level="warning",
        server_header=False,
        proxy_headers=settings.trusted_proxy is not None,
        forwarded_allow_ips=settings.trusted_proxy,
        http=limited_protocol(settings.limits, trusted_proxy=settings.trusted_proxy),
        timeout_graceful_shutdown=max(1, int(settings.limits.stop_seconds)),
        ws="none",
    )
    return _Server(config, started)


def serve(settings: ServiceSettings, *, started: Callable[[str], Any]) -> None:
    """Run the service until SIGTERM or Ctrl-C; accepted requests are completed.

    Args:
        settings: The settings.
        started: Called with the address once requests are accepted.

    Raises:
        ListenError: If the address cannot be used, before the model is loaded.
    """
    with listen(settings.host, settings.port) as listener:
        run_server(make_server(assemble(settings), settings, started=started), listener)


def run_server(server: uvicorn.Server, listener: socket.socket, *, level: int = logging.INFO) -> None:
    """Run a server until SIGTERM or Ctrl-C; messages of at least a level are logged."""
    logging.basicConfig(level=level, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    signal.signal(signal.SIGTERM, lambda number, frame: None)  # the server handles it, and raises it again when it is done
    server.run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """Return a listening TCP socket.

    Raises:
        ListenError: If the port is in use, or the address is not one of this machine.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        reason = "the port is in use" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
        raise ListenError(
            f"cannot listen on {host}:{port}: {reason}. Choose another with --host or --port (0: any free port)"
        ) from error


class _Server(uvicorn.Server):
    """A uvicorn server that reports its address."""

    def __init__(self, config: uvicorn.Config, started: Callable[[str], Any]) -> None:
        super().__init__(config)
        self._started = started

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._started(f"http://{f'[{host}]' if ':' in host else host}:{port}/")
