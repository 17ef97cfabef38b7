"""Middleware around every request: request id, timeout, HEAD, response headers, log line, and the response to errors."""

import asyncio
import logging
import time
import traceback
import uuid
from typing import Protocol

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from visavis.service.access import Access
from visavis.service.limits import ServiceLimits
from visavis.service.metrics import Metrics
from visavis.service.problems import BusyError, problem_of, problem_response

__all__ = ["SECURITY_HEADERS", "Guarded", "RequestMiddleware", "log_internal_error"]

_CLIENT_CLOSED_REQUEST = 499
"""Status in logs and metrics of a request whose client disconnected before it was complete."""

_METHODS = ("GET", "HEAD", "POST", "DELETE")
_LOG = logging.getLogger("visavis.service")

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}
"""Headers of every response. Responses of the API are not cached either; files of the page are revalidated."""


class Guarded(Protocol):
    """What the middleware needs of a service.

    Attributes:
        access: Access rules.
        limits: Limits of requests.
        metrics: Metrics.
    """

    access: Access
    limits: ServiceLimits
    metrics: Metrics


class RequestMiddleware:
    """The outermost middleware of the application."""

    def __init__(self, app: ASGIApp, *, service: Guarded) -> None:
        """Wrap an application."""
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Process one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, started, status = uuid.uuid4().hex, time.perf_counter(), 0
        method = scope["method"]
        if method == "HEAD":  # answered as GET; the server, which has the original scope, leaves out the body
            scope = {**scope, "method": "GET"}
        scope["state"] = {**scope.get("state", {}), "request_id": request_id, "caller": "-"}

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._add_headers(message, request_id, cacheable=not _is_api(scope))
            await send(message)

        self._service.metrics.in_progress.inc()
        try:
            await self._respond(scope, receive, send_with_headers)
        except ClientDisconnect:
            status = _CLIENT_CLOSED_REQUEST
        except asyncio.CancelledError:  # the server stops and waits no longer
            if not status:
                await problem_response(BusyError("The service is stopping."), request_id)(scope, receive, send_with_headers)
        except Exception as error:  # the server's own handler would log the message, which may hold a name
            log_internal_error(error, request_id)
            if not status:
                await problem_response(error, request_id)(scope, receive, send_with_headers)
        finally:
            self._service.metrics.in_progress.dec()
            self._record(scope, method, status, time.perf_counter() - started)

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._service.access.check_site(Headers(scope=scope), is_page=not _is_api(scope))
        async with asyncio.timeout(self._service.limits.seconds):
            await self._app(scope, receive, send)

    def _add_headers(self, message: Message, request_id: str, *, cacheable: bool) -> None:
        headers = MutableHeaders(scope=message)
        for name, value in SECURITY_HEADERS.items():
            headers.setdefault(name, value)
        headers["X-Request-ID"] = request_id
        headers["Cache-Control"] = "no-cache" if cacheable else "no-store"

    def _record(self, scope: Scope, method: str, status: int, seconds: float) -> None:
        """Count and log a request by the pattern of its route: the path itself may hold a name."""
        route = getattr(scope.get("route"), "path_format", "other")
        method = method if method in _METHODS else "other"  # arbitrary methods would grow the metrics without bound
        self._service.metrics.requests.labels(route, method, status).inc()
        self._service.metrics.seconds.labels(route).observe(seconds)
        state = scope["state"]
        _LOG.info("%s %s %s %d %.0f ms %s", state["request_id"], method, route, status, seconds * 1000, state["caller"])


def _is_api(scope: Scope) -> bool:
    return scope["path"].startswith("/v1/") or scope["path"] == "/metrics"


def log_internal_error(error: Exception, request_id: str) -> None:
    """Log the traceback of an internal error without its message, which may hold a name."""
    if problem_of(error).code in ("internal", "gallery"):
        _LOG.error("%s %s\n%s", request_id, type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
