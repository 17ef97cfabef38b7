"""Count failures of each key near each subject, and lock the key out where there are too many."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from visavis.service.problems import LockoutError

__all__ = ["FailureBudget"]

_MAX_ENTRIES = 100_000


@dataclass
class _Entry:
    """Failures since a moment, and until when the key is locked out."""

    failures: int
    since: float
    locked_until: float = 0.0


class FailureBudget:
    """Counts searches in which a subject was the best candidate and nearly accepted. Used from the event loop only."""

    def __init__(self, budget: int | None, *, seconds: float = 3600.0, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without failures.

        Args:
            budget: Failures within `seconds` after which the key is locked out of the subject for as long; None: no limit.
            seconds: See `budget`.
            clock: Returns the time in seconds.
        """
        self._budget, self._seconds, self._clock = budget, seconds, clock
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()

    def check(self, client: str, subject: str) -> None:
        """Refuse a client that is locked out of a subject.

        Raises:
            LockoutError: If it is.
        """
        entry = self._entries.get((client, subject))
        if entry is not None and (left := entry.locked_until - self._clock()) > 0:
            raise LockoutError("Too many searches nearly matched one subject. Wait, or use another key.", retry_after=ceil(left))

    def fail(self, client: str, subject: str) -> bool:
        """Count a failure; return whether the client is locked out from now on."""
        if self._budget is None:
            return False
        now, place = self._clock(), (client, subject)
        entry = self._entries.pop(place, None)
        if entry is None or now - entry.since > self._seconds:
            entry = _Entry(0, now)
        self._entries[place] = entry
        if len(self._entries) > _MAX_ENTRIES:
            self._entries.popitem(last=False)
        entry.failures += 1
        if entry.failures < self._budget:
            return False
        entry.failures, entry.since, entry.locked_until = 0, now, now + self._seconds
        return True
