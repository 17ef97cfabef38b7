"""What Prometheus is told; neither names nor photos, and of clients nothing."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from visavis.verification import Verdict

__all__ = ["Metrics"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The counters of one service."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.requests = Counter("visavis_requests", "Requests answered", ["route", "method", "status"], registry=self._registry)
        self.seconds = Histogram(
            "visavis_request_seconds", "Time from a request to its answer", ["route"], buckets=_SECONDS, registry=self._registry
        )
        self.waiting = Gauge("visavis_requests_in_progress", "Requests being worked on", registry=self._registry)
        self.batches = Histogram(
            "visavis_batch_faces", "Faces embedded at a time", buckets=(1, 2, 4, 8, 16, 32, 64), registry=self._registry
        )
        self.decisions = Counter("visavis_decisions", "Pairs decided", ["decision"], registry=self._registry)

    def count(self, verdicts: Iterable[Verdict]) -> None:
        """Count decisions."""
        for verdict in verdicts:
            self.decisions.labels(verdict.answer).inc()

    def text(self) -> bytes:
        """Return all of it in Prometheus's text format."""
        return generate_latest(self._registry)
