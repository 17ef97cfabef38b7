"""Prometheus metrics, without names, photos or clients."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from visavis.metrics.population_check import PopulationCheck
from visavis.verification import Verdict

__all__ = ["Metrics"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The metrics of one service."""

    def __init__(self) -> None:
        """Register all metrics at zero."""
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.requests = Counter("visavis_requests", "Requests answered", ["route", "method", "status"], registry=self._registry)
        self.seconds = Histogram(
            "visavis_request_seconds", "Duration of a request", ["route"], buckets=_SECONDS, registry=self._registry
        )
        self.in_progress = Gauge("visavis_requests_in_progress", "Requests in flight", registry=self._registry)
        self.batches = Histogram(
            "visavis_batch_faces", "Faces per batch", buckets=(1, 2, 4, 8, 16, 32, 64), registry=self._registry
        )
        self.decisions = Counter("visavis_decisions", "Pairs decided", ["decision"], registry=self._registry)

        self.population = Gauge(
            "visavis_population_fmr",
            "False match rate of the default threshold: chosen, on the people it was chosen on; expected, predicted for the people "
            "of the last requests, with its 95 % interval low to high",
            ["kind"],
            registry=self._registry,
        )

    def show_population(self, check: PopulationCheck | None) -> None:
        """Show the false match rate that is expected of the people of the last requests; None: nothing is known of them yet."""
        if check is None:
            return
        low, high = check.interval
        rates = {"chosen": check.fmr_chosen, "expected": check.fmr_expected, "low": low, "high": high}
        for kind, rate in rates.items():
            self.population.labels(kind).set(rate)

    def count(self, verdicts: Iterable[Verdict]) -> None:
        """Count decisions."""
        for verdict in verdicts:
            self.decisions.labels(verdict.answer).inc()

    def text(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self._registry)
