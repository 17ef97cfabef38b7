"""Start the service: its parts from settings, refused where it would let in everybody, and stopped when its work is done."""

import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from visavis.encoders import load_encoder
from visavis.gallery import open_gallery
from visavis.service.access import LOOPBACK_NAMES, Access, is_loopback
from visavis.service.application import create_app
from visavis.service.engine import Engine
from visavis.service.keys import KeyStore
from visavis.service.limits import ServiceLimits
from visavis.service.metrics import Metrics
from visavis.service.state import ServiceState

__all__ = ["ServiceSettings", "assemble", "make_server", "serve"]

_EVERYWHERE = ("0.0.0.0", "::")


@dataclass(frozen=True)
class ServiceSettings:
    """How the service is started.

    Attributes:
        model: What `load_encoder` takes.
        gallery: Where subjects are enrolled, what `open_gallery` takes; None: nowhere.
        host: The address to listen at.
        port: Likewise; 0: any that is free.
        keys: The file of keys; None: none is needed, which only a service for this machine alone may say.
        allowed_hosts: Names that it goes by, besides those of the loopback address and `host`.
        trusted_proxy: The address of a proxy, which is believed when it says who asked; None: there is none.
        aligned_only: Whether it takes photos that are cut to the face, and no others.
        limits: How much it takes on.
    """

    model: str = "pretrained"
    gallery: Path | str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    keys: Path | None = None
    allowed_hosts: tuple[str, ...] = ()
    trusted_proxy: str | None = None
    aligned_only: bool = False
    limits: ServiceLimits = field(default_factory=ServiceLimits)

    def __post_init__(self) -> None:
        """Check who could reach it.

        Raises:
            ValueError: If others than this machine could, and no keys are asked for.
        """
        reached = (self.host, *self.allowed_hosts)
        if self.keys is None and not is_loopback(reached):
            raise ValueError(
                f"without keys the service is for this machine alone. Received: {', '.join(reached)}. "
                "Make a key with: visavis keys create NAME --keys FILE, and serve with: --keys FILE"
            )

    @property
    def names(self) -> frozenset[str]:
        """All names that requests may be addressed to."""
        own = () if self.host in _EVERYWHERE else (self.host,)
        return frozenset(name.lower() for name in (*LOOPBACK_NAMES, *own, *self.allowed_hosts))


def assemble(settings: ServiceSettings) -> ServiceState:
    """Load the model, open gallery and keys, and put the service together.

    Raises:
        DataError: If the file of keys cannot be used.
        GalleryError: If the gallery cannot be.
        ModelError: If the model cannot be.
    """
    keys = None if settings.keys is None else KeyStore(settings.keys)
    encoder = load_encoder(settings.model)
    encoder.card.rule()
    gallery = None if settings.gallery is None else open_gallery(settings.gallery, encoder)
    metrics = Metrics()
    engine = Engine(encoder, limits=settings.limits, aligned_only=settings.aligned_only, observe=metrics.batches.observe)
    return ServiceState(engine, Access(settings.names, keys), settings.limits, metrics, gallery=gallery)


def make_server(service: ServiceState, settings: ServiceSettings, *, started: Callable[[str], Any]) -> uvicorn.Server:
    """Return the server of a service; `started` is told the address once it answers."""
    config = uvicorn.Config(
        create_app(service),
        host=settings.host,
        port=settings.port,
        access_log=False,  # it would hold paths, and these hold names
        log_config=None,
        log_level="warning",
        server_header=False,
        proxy_headers=settings.trusted_proxy is not None,
        forwarded_allow_ips=settings.trusted_proxy,
        limit_concurrency=settings.limits.connections,
        timeout_graceful_shutdown=int(settings.limits.seconds) + 1,
        ws="none",
    )
    return _Server(config, started)


def serve(settings: ServiceSettings, *, started: Callable[[str], Any]) -> None:
    """Run the service until it is told to stop; what it accepted it finishes.

    Args:
        settings: How.
        started: Told the address once it answers.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    server = make_server(assemble(settings), settings, started=started)
    signal.signal(signal.SIGTERM, lambda number, frame: None)  # the server handles it, and sends it again when it is done
    server.run()


class _Server(uvicorn.Server):
    """uvicorn's, which tells where it listens."""

    def __init__(self, config: uvicorn.Config, started: Callable[[str], Any]) -> None:
        super().__init__(config)
        self._tell = started

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._tell(f"http://{f'[{host}]' if ':' in host else host}:{port}/")
