"""Rate limit per client, and back-pressure: bounds on the requests and bytes in flight."""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil

from visavis.service.limits import ServiceLimits
from visavis.service.problems import BusyError, LengthError, RateError, SizeError

__all__ = ["Admission", "RateLimiter"]

_MAX_CLIENTS = 10_000
_MIN_BURST = 10.0


class RateLimiter:
    """Token bucket per client.

    A bucket holds the tokens of six seconds, at least ten. Least recently used buckets are dropped, so memory is bounded.
    """

    def __init__(self, rate: float | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Create empty buckets.

        Args:
            rate: Requests per minute; None: unlimited.
            clock: Returns the time in seconds.
        """
        self._rate, self._clock = rate, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> None:
        """Take one token of a client.

        Raises:
            RateError: If the bucket is empty; it carries the seconds until the next token.
        """
        if self._rate is None:
            return
        now, per_second = self._clock(), self._rate / 60
        size = max(_MIN_BURST, 6 * per_second)
        tokens, updated = self._buckets.get(client, (size, now))
        tokens = min(size, tokens + (now - updated) * per_second)
        if tokens < 1:
            raise RateError(f"More than {self._rate:g} requests per minute.", retry_after=ceil((1 - tokens) / per_second))
        self._buckets[client] = tokens - 1, now
        self._buckets.move_to_end(client)
        if len(self._buckets) > _MAX_CLIENTS:
            self._buckets.popitem(last=False)


class Admission:
    """Counts of the requests in flight. Used from the event loop only, so it needs no lock."""

    def __init__(self, limits: ServiceLimits) -> None:
        """Start without requests."""
        self._limits = limits
        self._requests_by_client: Counter[str] = Counter()
        self.rate_limiter = RateLimiter(limits.rate)
        self.requests = self.bytes = 0

    def content_length(self, method: str, header: str | None) -> int:
        """Return the length of a request's body.

        Args:
            method: The HTTP method.
            header: The value of Content-Length, if there is one.

        Raises:
            LengthError: If the header is missing or not a number.
            SizeError: If the body exceeds the limit.
        """
        if header is None and method == "POST":
            raise LengthError("The request needs a Content-Length.")
        if not (header or "0").isascii() or not (header or "0").isdigit():
            raise LengthError("Content-Length must be a number.")
        length = int(header or 0)
        if length > self._limits.request_bytes:
            raise SizeError(f"The request has {length:,} bytes; the limit is {self._limits.request_bytes:,}.")
        return length

    @contextmanager
    def admit(self, client: str, length: int) -> Iterator[None]:
        """Count a request as in flight while the context is open.

        Raises:
            RateError: If this client has too many requests in flight.
            BusyError: If all clients together have.
        """
        if self._requests_by_client[client] >= self._limits.client_requests:
            raise RateError(f"More than {self._limits.client_requests} requests in flight.", retry_after=1)
        if self.requests >= self._limits.requests or self.bytes + length > self._limits.bytes_in_flight:
            raise BusyError("The service is at capacity. Try again.")
        self.requests += 1
        self.bytes += length
        self._requests_by_client[client] += 1
        try:
            yield
        finally:
            self.requests -= 1
            self.bytes -= length
            self._requests_by_client[client] -= 1
            if not self._requests_by_client[client]:
                del self._requests_by_client[client]
