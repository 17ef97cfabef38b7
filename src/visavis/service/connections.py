"""Limits of connections, before a request reaches the application: size and time of headers, idle time, connections per address."""

from asyncio import TimerHandle, Transport
from collections import Counter

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from visavis.service.limits import ServiceLimits
from visavis.wording import counted

__all__ = ["limited_protocol"]

_REASONS = {408: "Request Timeout", 431: "Request Header Fields Too Large", 503: "Service Unavailable"}
_HEAD = (
    "HTTP/1.1 {status} {reason}\r\nContent-Type: application/problem+json\r\n"
    "Content-Length: {length}\r\n{retry}Connection: close\r\n\r\n"
)
_BODY = '{{"type": "urn:visavis:problem:{code}", "title": "{reason}", "status": {status}, "detail": "{detail}", "request_id": ""}}'


class _HeaderError(Exception):
    """The headers exceed a limit."""


def limited_protocol(limits: ServiceLimits, *, trusted_proxy: str | None = None) -> type[HttpToolsProtocol]:
    """Return a protocol for uvicorn, which has none of these limits for httptools.

    Args:
        limits: Limits of the service.
        trusted_proxy: An address whose number of connections is bounded by the total only.
    """
    connections: Counter[str] = Counter()

    class LimitedProtocol(HttpToolsProtocol):
        """A connection that is closed with a response if it exceeds the limits."""

        _address = ""
        _timer: TimerHandle | None = None
        _in_headers = True
        _received = _parsed = 0  # bytes of headers

        def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._address = self.client[0] if self.client else ""
            connections[self._address] += 1
            if connections[self._address] > limits.client_connections and self._address != trusted_proxy:
                self._refuse(503, "busy", f"More than {counted(limits.client_connections, 'connection')} of one address.")
            elif connections.total() > limits.connections:
                self._refuse(503, "busy", "The service has too many connections. Try again.")
            else:
                self._await_headers()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            connections[self._address] -= 1
            if not connections[self._address]:
                del connections[self._address]
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self.transport.is_closing():
                return
            before = self._in_headers
            super().data_received(data)
            if before and self._in_headers:
                self._received += len(data)
                if self._received > limits.header_bytes and not self.transport.is_closing():
                    self._refuse_headers()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._in_headers, self._received, self._parsed = True, 0, 0

        def on_url(self, url: bytes) -> None:
            super().on_url(url)
            self._count(len(url))

        def on_header(self, name: bytes, value: bytes) -> None:
            super().on_header(name, value)
            self._count(len(name) + len(value))
            if len(self.headers) > limits.headers:
                raise _HeaderError

        def on_headers_complete(self) -> None:
            self._in_headers = False
            self._stop_timer()
            super().on_headers_complete()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if not self.pipeline and not self.transport.is_closing():
                self._await_headers()

        def send_400_response(self, msg: str) -> None:
            """Respond to what cannot be parsed, or exceeds the limits while it is."""
            if self._parsed > limits.header_bytes or len(self.headers or ()) > limits.headers:
                self._refuse_headers()
            else:
                super().send_400_response(msg)

        def _count(self, size: int) -> None:
            self._parsed += size
            if self._parsed > limits.header_bytes:
                raise _HeaderError

        def _await_headers(self) -> None:
            self._stop_timer()
            self._timer = self.loop.call_later(limits.header_seconds, self._time_out)

        def _time_out(self) -> None:
            if not self.transport.is_closing():
                self._refuse(408, "header-timeout", f"The headers did not arrive within {limits.header_seconds:g} s.")

        def _stop_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _refuse_headers(self) -> None:
            detail = f"A request may have {counted(limits.headers, 'header')} of {counted(limits.header_bytes, 'byte')}."
            self._refuse(431, "headers", detail)

        def _refuse(self, status: int, code: str, detail: str) -> None:
            reason, retry = _REASONS[status], "Retry-After: 1\r\n" if status == 503 else ""
            body = _BODY.format(code=code, reason=reason, status=status, detail=detail)
            self.transport.write((_HEAD.format(status=status, reason=reason, length=len(body), retry=retry) + body).encode())
            self.transport.close()

    return LimitedProtocol
