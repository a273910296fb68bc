"""Figures for Prometheus, in a registry of their own."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from kataribe.base.events import Event, Finished, ReasoningDelta, TextDelta, ToolCallDelta
from kataribe.serve.lifecycle import Lifecycle
from kataribe.serve.models import MetricsSource, ModelSource
from kataribe.serve.record import Record

FIRST = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
BETWEEN = (0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.25, 0.5, 1, 2.5)
WHOLE = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """What the server counts, and what the models' holder tells at a scrape."""

    def __init__(self, models: ModelSource, lifecycle: Lifecycle) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self._requests = Counter(
            "kataribe_http_requests_total",
            "Requests by route and status.",
            ("method", "route", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "kataribe_http_request_seconds",
            "Seconds from a request to the end of its answer.",
            ("route",),
            buckets=WHOLE,
            registry=registry,
        )
        self._tokens = Counter(
            "kataribe_tokens_total",
            "Tokens by model and kind: prompt (all), cached (of the prompt), completion.",
            ("model", "kind"),
            registry=registry,
        )
        self._first = Histogram(
            "kataribe_time_to_first_token_seconds",
            "Seconds from a request to its first words.",
            ("model",),
            buckets=FIRST,
            registry=registry,
        )
        self._between = Histogram(
            "kataribe_inter_token_seconds",
            "Seconds between two pieces of a reply.",
            ("model",),
            buckets=BETWEEN,
            registry=registry,
        )
        running = Gauge(
            "kataribe_http_requests_running", "Requests being answered.", registry=registry
        )
        running.set_function(lambda: lifecycle.running)
        registry.register(_Held(models))

    def request(self, record: Record) -> None:
        """Counts a request that is over."""
        # Only routes and methods that exist become labels: a stranger's paths would fill memory.
        known = record.route or "other"
        method = record.method if record.method in {"GET", "HEAD", "POST", "OPTIONS"} else "other"
        self._requests.labels(method, known, str(record.status or 500)).inc()
        self._seconds.labels(known).observe(_since(record.started))
        if record.model is None or record.prompt_tokens is None:
            return
        for kind, count in (
            ("prompt", record.prompt_tokens),
            ("cached", record.cached_tokens),
            ("completion", record.completion_tokens or 0),
        ):
            self._tokens.labels(record.model, kind).inc(count)

    def first(self, model: str, started: float) -> None:
        """The first words of a reply are here."""
        self._first.labels(model).observe(_since(started))

    def between(self, model: str, seconds: float) -> None:
        """Two pieces of a reply came this far apart."""
        self._between.labels(model).observe(seconds)

    def page(self) -> bytes:
        """All figures in Prometheus's text form."""
        return generate_latest(self.registry)


def _since(started: float) -> float:
    return time.perf_counter() - started


class Meter:
    """Watches the events of one request, for the figures and for its line in the log."""

    def __init__(self, metrics: Metrics, record: Record, model: str) -> None:
        self._metrics = metrics
        self._record = record
        self._model = model
        self._last: dict[tuple[int, int], float] = {}
        self._read: set[int] = set()
        record.model = model

    def saw(self, prompt: int, event: Event) -> None:
        """An event of the request's prompt number `prompt` came from the model."""
        if isinstance(event, Finished):
            self._ended(prompt, event)
        elif isinstance(event, TextDelta | ReasoningDelta | ToolCallDelta):
            now = time.perf_counter()
            before = self._last.get((prompt, event.index))
            if before is not None:
                self._metrics.between(self._model, now - before)
            elif not self._last:
                self._metrics.first(self._model, self._record.started)
            self._last[(prompt, event.index)] = now

    def _ended(self, prompt: int, event: Finished) -> None:
        record, usage = self._record, event.usage
        record.completion_tokens = (record.completion_tokens or 0) + usage.completion_tokens
        if prompt not in self._read:  # its n choices share one reading of the prompt
            self._read.add(prompt)
            record.prompt_tokens = (record.prompt_tokens or 0) + usage.prompt_tokens
            record.cached_tokens += usage.cached_tokens


class _Held(Collector):
    """The models and the figures that their holder offers, asked for at each scrape."""

    def __init__(self, models: ModelSource) -> None:
        self._models = models

    def describe(self) -> Iterator[Metric]:
        return iter(())

    def collect(self) -> Iterator[Metric]:
        loaded = GaugeMetricFamily(
            "kataribe_model_loaded", "1 when the model is in memory.", labels=["model"]
        )
        for model in self._models.names():
            loaded.add_metric([model.name], float(model.loaded))
        yield loaded
        if not isinstance(self._models, MetricsSource):
            return
        families: dict[str, Metric] = {}
        for sample in self._models.metrics():
            family = families.get(sample.name)
            if family is None:
                make = GaugeMetricFamily if sample.kind == "gauge" else CounterMetricFamily
                family = make(f"kataribe_{sample.name}", sample.help, labels=sorted(sample.labels))
                families[sample.name] = family
            values = [sample.labels[label] for label in sorted(sample.labels)]
            family.add_metric(values, sample.value)  # type: ignore[attr-defined]
        yield from families.values()
