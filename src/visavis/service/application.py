"""The ASGI application: routes of the API, files of the page, middleware and exception handlers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route
from starlette.staticfiles import StaticFiles

from visavis import __version__
from visavis.errors import VisavisError
from visavis.service.middleware import RequestMiddleware, log_internal_error
from visavis.service.problems import problem_response
from visavis.service.routes import comparing, faces, health, subjects
from visavis.service.state import ServiceState

__all__ = ["PAGE", "create_app"]

PAGE = Path(__file__).parent / "page"
_ROUTERS = (comparing.router, faces.router, subjects.router, health.router)
_DESCRIPTION = """Do two photos show the same person, and how often is that answer wrong?

Photos are sent as JPEG, PNG or WebP files in multipart forms. Every response names the model, the threshold with its error rates,
and the request. Errors are problem details (`application/problem+json`)."""


def create_app(service: ServiceState) -> FastAPI:
    """Create the application.

    Args:
        service: Model, gallery, access rules and limits.

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
    for exception in (VisavisError, RequestValidationError, HTTPException):
        app.add_exception_handler(exception, _handle_error)
    for router in _ROUTERS:
        app.include_router(router)
    app.router.routes.extend(_page_routes())
    app.add_middleware(RequestMiddleware, service=service)
    return app


def _page_routes() -> list[Route]:
    """Return a route for each file of the page and of Swagger UI, so that any other path is unknown to all methods."""
    files = StaticFiles(directory=PAGE, packages=[("fastapi_offline", "static")])
    names = [*sorted(path.name for path in PAGE.iterdir()), "swagger-ui.css", "swagger-ui-bundle.js"]
    paths = {"/": "index.html", "/docs": "docs.html", **{f"/{name}": name for name in names}}

    async def send_file(request: Request) -> Response:
        return await files.get_response(paths[request.scope["path"]], request.scope)

    return [Route(path, send_file, methods=["GET"]) for path in paths]


async def _handle_error(request: Request, error: Any) -> JSONResponse:
    log_internal_error(error, request.state.request_id)
    response = problem_response(error, request.state.request_id)
    if response.status_code == 405:
        response.headers["Allow"] = ", ".join(_allowed_methods(request))
    return response


def _allowed_methods(request: Request) -> list[str]:
    """Return the methods of all routes that match the path."""
    routes = [*request.app.routes, *(route for router in _ROUTERS for route in router.routes)]
    matching = [route for route in routes if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE]
    methods = {method for route in matching for method in route.methods or ()}
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)
