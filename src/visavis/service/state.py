"""What all routes share, and how a route is guarded."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from visavis.gallery import Gallery
from visavis.service.access import Access, Caller
from visavis.service.admission import Admission
from visavis.service.engine import Engine
from visavis.service.keys import Scope
from visavis.service.limits import ServiceLimits
from visavis.service.metrics import Metrics
from visavis.service.problems import MissingGalleryError, RequestError

__all__ = ["ServiceState", "SharedState", "requires"]

_BEARER = HTTPBearer(auto_error=False, description="A key, made with: visavis keys create NAME --scope read")


@dataclass(eq=False)
class ServiceState:
    """The parts of a running service.

    Attributes:
        engine: Compares faces.
        access: Who is let in.
        admission: How many are.
        limits: How much.
        metrics: What is counted.
        gallery: Where subjects are enrolled; None: nowhere.
        ready: Whether requests can be answered: not yet before the model is warm, and no more when it stops.
    """

    engine: Engine
    access: Access
    limits: ServiceLimits
    metrics: Metrics
    admission: Admission = field(init=False)
    gallery: Gallery | None = None
    ready: bool = False

    def __post_init__(self) -> None:
        """Begin to count."""
        self.admission = Admission(self.limits)

    def origin(self, request: Request) -> dict[str, Any]:
        """Return what stands in every answer."""
        return {"request_id": request.state.request_id, "model": self.engine.encoder.digest}

    def open_gallery(self) -> Gallery:
        """Return the gallery.

        Raises:
            MissingGalleryError: If there is none.
        """
        if self.gallery is None:
            raise MissingGalleryError("The service runs without a gallery. Start it with: visavis serve --gallery FILE")
        return self.gallery


async def _state(request: Request) -> ServiceState:  # FastAPI sends what is not async through a thread of its own
    return request.app.state.service


SharedState = Annotated[ServiceState, Depends(_state)]


def requires(scope: Scope) -> Callable[..., AsyncIterator[Caller]]:
    """Return the guard of a route: who asks must be allowed to, and is counted until the answer is sent."""

    async def guard(
        request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)], service: SharedState
    ) -> AsyncIterator[Caller]:
        address = request.client.host if request.client else "unknown"
        token = None if credentials is None else credentials.credentials
        try:
            caller = service.access.caller(token, address, scope)
        except RequestError:
            service.admission.rates.take(address)  # who has no key is slowed down too
            raise
        service.admission.rates.take(caller.name)
        length = service.admission.length_of(request.method, request.headers.get("content-length"))
        request.state.caller = caller.name
        with service.admission.admit(caller.name, length):
            yield caller

    return guard
