"""State that all routes share, and the dependency that guards a route."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from visavis.faces import QualityLimits
from visavis.gallery import Gallery
from visavis.service.access import Access, Caller
from visavis.service.admission import Admission
from visavis.service.disclosure import Disclosure
from visavis.service.engine import Engine
from visavis.service.keys import Scope
from visavis.service.limits import ServiceLimits
from visavis.service.lockout import FailureBudget
from visavis.service.metrics import Metrics
from visavis.service.problems import MissingGalleryError, RequestError

__all__ = ["ServiceState", "SharedState", "requires"]

_BEARER = HTTPBearer(auto_error=False, description="An API key, created with: visavis keys create NAME --scope read")


@dataclass(eq=False)
class ServiceState:
    """The parts of a running service.

    Attributes:
        engine: Compares faces.
        access: Access rules.
        limits: Limits.
        metrics: Metrics.
        admission: Rate limiter and back-pressure.
        gallery: The gallery; None: none.
        quality: What a photo must have to be enrolled; None: any photo with a face is.
        failures: Failures of clients near subjects.
        ready: Whether requests can be served: false before the model is warm, and while the service stops.
    """

    engine: Engine
    access: Access
    limits: ServiceLimits
    metrics: Metrics
    admission: Admission
    gallery: Gallery | None = None
    quality: QualityLimits | None = None
    ready: bool = False
    failures: FailureBudget = field(init=False)

    def __post_init__(self) -> None:
        """Start without failures."""
        self.failures = FailureBudget(self.limits.failures)

    def origin(self, request: Request) -> dict[str, Any]:
        """Return the fields of every response."""
        return {"request_id": request.state.request_id, "model": self.engine.encoder.digest}

    def require_gallery(self) -> Gallery:
        """Return the gallery.

        Raises:
            MissingGalleryError: If there is none.
        """
        if self.gallery is None:
            raise MissingGalleryError("The service runs without a gallery. Start it with: visavis serve --gallery FILE")
        return self.gallery


async def _state(request: Request) -> ServiceState:  # async, since FastAPI runs other dependencies in a thread
    return request.app.state.service


SharedState = Annotated[ServiceState, Depends(_state)]


def requires(*scopes: Scope) -> Callable[..., AsyncIterator[Caller]]:
    """Return a dependency that requires one of the scopes, and counts a request as in flight until the response is sent."""

    async def guard(
        request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)], service: SharedState
    ) -> AsyncIterator[Caller]:
        address = request.client.host if request.client else "unknown"
        token = None if credentials is None else credentials.credentials
        try:
            caller = service.access.authenticate(token, address, *scopes)
        except RequestError:
            service.admission.rate_limiter.take(address)  # unauthenticated clients are limited too
            raise
        service.admission.rate_limiter.take(caller.name)
        length = service.admission.content_length(request.method, request.headers.get("content-length"))
        request.state.caller, request.state.disclosure = caller.name, Disclosure.of(caller, service.engine.card)
        with service.admission.admit(caller.name, length):
            yield caller

    return guard
