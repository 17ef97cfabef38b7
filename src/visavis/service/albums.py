"""Serve the review page of an album on the loopback interface; names are saved into the album."""

import asyncio
import base64
import hashlib
import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from visavis.albums.review import render_review
from visavis.albums.reviewing import AlbumReview
from visavis.errors import DataError, VisavisError
from visavis.service.access import LOOPBACK_NAMES, Access, is_loopback
from visavis.service.limits import ServiceLimits
from visavis.service.metrics import Metrics
from visavis.service.middleware import RequestMiddleware
from visavis.service.problems import FormError, SizeError, UnsupportedMediaTypeError, problem_response
from visavis.service.server import ServiceSettings, listen, run_server, server_of

__all__ = ["AlbumService", "create_album_app", "serve_album"]

_LIMITS = ServiceLimits(request_bytes=16_000_000, seconds=1800.0)  # sorting again takes long in a large album
_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


@dataclass(eq=False)
class AlbumService:
    """The parts of a running review.

    Attributes:
        review: The open album.
        access: Access rules.
        limits: Limits of requests.
        metrics: Metrics.
    """

    review: AlbumReview
    access: Access
    limits: ServiceLimits = _LIMITS
    metrics: Metrics = field(default_factory=Metrics)


def serve_album(album: Path, *, host: str = "127.0.0.1", port: int = 8000, started: Callable[[str], Any]) -> None:
    """Serve the review page of an album until SIGTERM or Ctrl-C.

    Args:
        album: The folder that `sort_photos` wrote.
        host: A loopback address: whoever reaches the page sees all faces and changes names, without a key.
        port: Port to listen at; 0: any free port.
        started: Called with the address once requests are accepted.

    Raises:
        DataError: If there is no album, or its photos are not there any more.
        ListenError: If the address cannot be used.
        ValueError: If the host is not a loopback address.
    """
    if not is_loopback([host]):
        raise ValueError(f"an album is served to this machine only: host must be a loopback address, got {host}")
    with listen(host, port) as listener:
        service = AlbumService(AlbumReview(album, progress=True), Access(frozenset({*LOOPBACK_NAMES, host.lower()})))
        settings = ServiceSettings(host=host, port=port, limits=service.limits)
        run_server(server_of(create_album_app(service), settings, started=started), listener, level=logging.WARNING)


def create_album_app(service: AlbumService) -> Starlette:
    """Create the application: the page, the pictures of faces, and a route that saves names."""
    policy, review = _policy(), service.review

    async def page(request: Request) -> Response:
        html = await asyncio.to_thread(review.page)
        return HTMLResponse(html, headers={"Content-Security-Policy": policy})

    async def picture(request: Request) -> Response:
        content = review.picture(request.path_params["place"])
        if content is None:
            raise HTTPException(404)
        return Response(content, media_type="image/jpeg")

    async def save(request: Request) -> Response:
        names = _names(request, await _body(request, service.limits.request_bytes))
        try:
            album = await asyncio.to_thread(review.save, names)
        except DataError as error:
            raise FormError(str(error)) from error
        return JSONResponse({"summary": album.describe()})

    async def icon(request: Request) -> Response:
        return Response(status_code=204)

    routes = [
        Route("/", page, methods=["GET"]),
        Route("/thumbnails/{place:int}", picture, methods=["GET"]),
        Route("/favicon.ico", icon, methods=["GET"]),
        Route("/v1/names", save, methods=["POST"]),
    ]
    app = Starlette(routes=routes, exception_handlers={VisavisError: _handle_error, HTTPException: _handle_error})
    app.add_middleware(RequestMiddleware, service=service)
    return app


async def _handle_error(request: Request, error: Exception) -> Response:
    return problem_response(error, request.state.request_id)


async def _body(request: Request, most: int) -> bytes:
    """Return the body of a request, which no form of another site can send.

    Raises:
        SizeError: If it is too long.
        UnsupportedMediaTypeError: If it is not JSON.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaTypeError("Send the names as application/json.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise SizeError(f"The body has more than {most:,} bytes.")
    return bytes(body)


def _names(request: Request, body: bytes) -> dict[str, str]:
    """Return names by the keys of faces.

    Raises:
        FormError: If the body is something else.
    """
    try:
        names = json.loads(body)["names"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormError('The body must be {"names": {FACE: NAME}}.') from error
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise FormError("names must be texts by the keys of faces.")
    return names


def _policy() -> str:
    """Return a content security policy that allows the page's own style and script by their digests, and nothing from elsewhere."""
    digests: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in _INLINE.findall(render_review(None, "", Path(), served=True)):
        digests[kind].append(f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'")
    return (
        f"default-src 'none'; script-src {' '.join(digests['script'])}; style-src {' '.join(digests['style'])}; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
