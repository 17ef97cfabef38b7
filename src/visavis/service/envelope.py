"""Around every request: its id, its time limit, the headers of the answer, the log line, and the answer to whatever goes wrong."""

import asyncio
import logging
import time
import traceback
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from visavis.service.problems import problem_answer, problem_of
from visavis.service.state import ServiceState

__all__ = ["SECURITY_HEADERS", "Envelope", "tell_fault"]

_GONE = 499
"""What logs and metrics call a request whose client went away before it was all there."""

_LOG = logging.getLogger("visavis.service")

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}
"""On every answer. Answers of the interface are not to be stored either; the page's own files are."""


class Envelope:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, *, service: ServiceState) -> None:
        """Wrap an application."""
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, begun, status = uuid.uuid4().hex, time.perf_counter(), 0
        scope.setdefault("state", {}).update(request_id=request_id, caller="-")

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._add_headers(message, request_id, stored=not _is_interface(scope))
            await send(message)

        self._service.metrics.waiting.inc()
        try:
            await self._answer(scope, receive, sending)
        except ClientDisconnect:
            status = _GONE
        except Exception as error:  # nothing may reach the server's own log, which would print what is inside of it
            tell_fault(error, request_id)
            if not status:
                await problem_answer(error, request_id)(scope, receive, sending)
        finally:
            self._service.metrics.waiting.dec()
            self._count(scope, status, time.perf_counter() - begun)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._service.access.check_site(Headers(scope=scope), is_page=not _is_interface(scope))
        async with asyncio.timeout(self._service.limits.seconds):
            await self._app(scope, receive, send)

    def _add_headers(self, message: Message, request_id: str, *, stored: bool) -> None:
        headers = MutableHeaders(scope=message)
        for name, value in SECURITY_HEADERS.items():
            headers[name] = value
        headers["X-Request-ID"] = request_id
        headers["Cache-Control"] = "no-cache" if stored else "no-store"

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        """Count and log it by the route's pattern: the path itself may hold a name."""
        route, method = getattr(scope.get("route"), "path_format", "other") or "page", _method(scope)
        self._service.metrics.requests.labels(route, method, status).inc()
        self._service.metrics.seconds.labels(route).observe(seconds)
        state = scope["state"]
        _LOG.info("%s %s %s %d %.0f ms %s", state["request_id"], method, route, status, seconds * 1000, state["caller"])


def _is_interface(scope: Scope) -> bool:
    return scope["path"].startswith("/v1/") or scope["path"] == "/metrics"


def _method(scope: Scope) -> str:
    """Return the method, if it is one that there is: others would grow the table of counters without end."""
    return scope["method"] if scope["method"] in ("GET", "HEAD", "POST", "DELETE") else "other"


def tell_fault(error: Exception, request_id: str) -> None:
    """Log where a fault of ours came from; not its message, which may hold a name."""
    if problem_of(error).code in ("fault", "gallery"):
        _LOG.error("%s %s\n%s", request_id, type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
