"""How many requests are let in: a rate for each client, and so many at the same time, of each and of all."""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil

from visavis.service.limits import ServiceLimits
from visavis.service.problems import BusyError, LengthError, RateError, SizeError

__all__ = ["Admission", "RateLimiter"]

_CLIENTS_KEPT = 10_000
_BURST = 10.0


class RateLimiter:
    """A bucket of tokens for each client, which fills at a steady rate; a request takes one.

    A bucket holds what six seconds bring, at least ten. Those longest untouched are forgotten first, so memory stays bounded.
    """

    def __init__(self, rate: float | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Set the rate.

        Args:
            rate: Requests a minute; None: no limit.
            clock: What tells seconds.
        """
        self._rate, self._clock = rate, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> None:
        """Take a client's token.

        Raises:
            RateError: If there is none; it says when there will be one.
        """
        if self._rate is None:
            return
        now, each_second = self._clock(), self._rate / 60
        size = max(_BURST, 6 * each_second)
        tokens, since = self._buckets.get(client, (size, now))
        tokens = min(size, tokens + (now - since) * each_second)
        if tokens < 1:
            raise RateError(
                f"More than {self._rate:g} requests a minute. Ask more slowly.", retry_after=ceil((1 - tokens) / each_second)
            )
        self._buckets[client] = tokens - 1, now
        self._buckets.move_to_end(client)
        if len(self._buckets) > _CLIENTS_KEPT:
            self._buckets.popitem(last=False)


class Admission:
    """Counts what is being worked on. It belongs to the event loop, so it needs no lock."""

    def __init__(self, limits: ServiceLimits) -> None:
        """Begin with nothing."""
        self._limits = limits
        self._of_client: Counter[str] = Counter()
        self.rates = RateLimiter(limits.rate)
        self.requests = self.bytes = 0

    def length_of(self, method: str, declared: str | None) -> int:
        """Return how long the body of a request is.

        Raises:
            LengthError: If it does not say so.
            SizeError: If it is too long.
        """
        if declared is None and method == "POST":
            raise LengthError("Say how long the body is in Content-Length.")
        if not (declared or "0").isascii() or not (declared or "0").isdigit():
            raise LengthError("Content-Length must be a number.")
        length = int(declared or 0)
        if length > self._limits.request_bytes:
            raise SizeError(f"The request has {length:,} bytes; at most {self._limits.request_bytes:,} are taken.")
        return length

    @contextmanager
    def admit(self, client: str, length: int) -> Iterator[None]:
        """Let a request in, and count it until it is done.

        Raises:
            RateError: If this client has too many at the same time.
            BusyError: If all together have.
        """
        if self._of_client[client] >= self._limits.client_requests:
            raise RateError(f"More than {self._limits.client_requests} requests at the same time.", retry_after=1)
        if self.requests >= self._limits.requests or self.bytes + length > self._limits.waiting_bytes:
            raise BusyError("The service works on as many requests as it can. Try again.")
        self.requests += 1
        self.bytes += length
        self._of_client[client] += 1
        try:
            yield
        finally:
            self.requests -= 1
            self.bytes -= length
            self._of_client[client] -= 1
            if not self._of_client[client]:
                del self._of_client[client]
