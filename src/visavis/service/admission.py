"""Rate limit per client by the work it asks for, and back-pressure: bounds on the requests and bytes in flight."""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from math import ceil

from visavis.metadata import decoding_work
from visavis.service.limits import ServiceLimits
from visavis.service.problems import BusyError, LengthError, RateError, SizeError
from visavis.wording import counted

__all__ = ["Admission", "RateLimiter"]

_MAX_CLIENTS = 10_000
_MIN_BURST = 10.0
_FREE_PIXELS = 12_500_000  # decoded with a comparison


class RateLimiter:
    """Token bucket per client.

    A bucket holds the tokens of six seconds, at least ten. What costs more than that takes a full bucket, and the rest is owed.
    Least recently used buckets are dropped, so memory is bounded.
    """

    def __init__(self, rate: float | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Create empty buckets.

        Args:
            rate: Tokens per minute; None: unlimited.
            clock: Returns the time in seconds.
        """
        self._rate, self._clock = rate, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str, tokens: float = 1) -> None:
        """Take tokens of a client.

        Raises:
            RateError: If the bucket has too few; it carries the seconds until it has enough.
        """
        if self._rate is None:
            return
        per_second = self._rate / 60
        held, size = self._held(client)
        if (missing := min(tokens, size) - held) > 0:
            raise RateError(f"More comparisons than {self._rate:g} per minute.", retry_after=ceil(missing / per_second))
        self._store(client, held - tokens)

    def penalise(self, client: str, seconds: float) -> None:
        """Take the tokens that a client gets in this many seconds, also those it does not have yet."""
        if self._rate is not None:
            self._store(client, self._held(client)[0] - seconds * self._rate / 60)

    def _held(self, client: str) -> tuple[float, float]:
        """Return the tokens of a client, and the size of its bucket."""
        now, per_second = self._clock(), (self._rate or 0) / 60
        size = max(_MIN_BURST, 6 * per_second)
        tokens, updated = self._buckets.get(client, (size, now))
        return min(size, tokens + (now - updated) * per_second), size

    def _store(self, client: str, tokens: float) -> None:
        self._buckets[client] = tokens, self._clock()
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
            raise SizeError(f"The request has {counted(length, 'byte')}; the limit is {self._limits.request_bytes:,}.")
        return length

    def charge(self, client: str, comparisons: int, photos: Iterable[bytes]) -> None:
        """Take the tokens for the work of a request before it is queued; one was taken before its body was read.

        A comparison costs one token. So does each further 12.5 million pixels of a photo, times the scans of a progressive JPEG.

        Raises:
            RateError: If the client has too few.
        """
        surcharge = sum(decoding_work(photo) // _FREE_PIXELS for photo in photos)
        if (tokens := comparisons - 1 + surcharge) > 0:
            self.rate_limiter.take(client, tokens)

    def charge_faces(self, client: str, faces: int, photos: int) -> None:
        """Take a token for each face beyond the first of each photo, whose number is known once they are detected.

        Raises:
            RateError: If the client has too few.
        """
        if faces > photos:
            self.rate_limiter.take(client, faces - photos)

    def penalise(self, client: str) -> None:
        """Take the tokens of the time for which a photo of a client occupied a process in vain."""
        self.rate_limiter.penalise(client, self._limits.photo_seconds)

    @contextmanager
    def admit(self, client: str, length: int) -> Iterator[None]:
        """Count a request as in flight while the context is open.

        Raises:
            RateError: If this client has too many requests in flight.
            BusyError: If all clients together have.
        """
        if self._requests_by_client[client] >= self._limits.client_requests:
            raise RateError(f"More than {counted(self._limits.client_requests, 'request')} in flight.", retry_after=1)
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
