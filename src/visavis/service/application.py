"""The application: routes, page and the layer around them, on the parts that are given."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from visavis import __version__
from visavis.errors import VisavisError
from visavis.service.envelope import Envelope, tell_fault
from visavis.service.problems import problem_answer
from visavis.service.routes import comparing, health, subjects
from visavis.service.state import ServiceState

__all__ = ["PAGE", "create_app"]

PAGE = Path(__file__).parent / "page"
_DESCRIPTION = """Are these two photos of the same person, and how often is that answer wrong?

Photos are JPEG, PNG or WebP files in forms. Every answer names the model, the threshold with its error rates, and the request.
Errors are `application/problem+json`."""


def create_app(service: ServiceState) -> FastAPI:
    """Make the application.

    Args:
        service: Its parts.

    Raises:
        ModelError: If the model has no threshold.
    """
    service.engine.card.rule()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await service.engine.warm_up()
        if service.gallery is not None:
            await asyncio.to_thread(service.gallery.refresh)
        service.ready = True
        yield
        service.ready = False
        service.engine.close()
        if service.gallery is not None:
            service.gallery.close()

    app = FastAPI(title="visavis", version=__version__, description=_DESCRIPTION, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.service = service
    for handled in (VisavisError, RequestValidationError, HTTPException):
        app.add_exception_handler(handled, _problem)
    for routes in (comparing, subjects, health):
        app.include_router(routes.router)
    app.mount("/", StaticFiles(directory=PAGE, html=True), name="page")
    app.add_middleware(Envelope, service=service)
    return app


async def _problem(request: Request, error: Any) -> JSONResponse:
    tell_fault(error, request.state.request_id)
    return problem_answer(error, request.state.request_id)
