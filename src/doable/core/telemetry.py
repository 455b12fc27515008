"""What the server tells those who run it: the log, the metrics, and whether it is about to stop."""

import asyncio
import atexit
import logging
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple, Protocol, TextIO

import orjson
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from doable.core import clock, logs
from doable.settings import Settings

LAG_INTERVAL = 0.5
LATENCY_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15)
LAG_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)

_output = logs.Output()
_stamp = lru_cache(maxsize=1)(clock.iso)  # requests end many in a millisecond


def configure(settings: Settings, stream: TextIO | None = None) -> None:
    """Bring everything that this process logs, through structlog or `logging`, into one form on one stream."""
    terminal = (stream or sys.stderr).isatty()
    console = settings.log_format == "console" or (settings.log_format == "auto" and terminal)
    _output.flush()
    _output.stream = stream
    _output.render = logs.console_line(colors=terminal) if console else logs.json_line
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    logging.root.handlers = [_handler()]
    logging.captureWarnings(capture=True)
    _set_levels(debug=settings.debug)
    atexit.register(_output.flush)


def access(record: dict[str, object]) -> None:
    """Log a request that was served. The record holds nothing that a client wrote but its checked request id."""
    line = {"timestamp": _stamp(clock.now()), "level": "info", "event": "request", **record}
    _output.defer(orjson.dumps(line).decode() if _output.render is logs.json_line else _output.render(line))


def flush() -> None:
    """Write the lines that are still waiting."""
    _output.flush()


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            _output.write(self.format(record))
        except Exception:  # noqa: BLE001 — as every handler: a record that cannot be shown must not fail its caller
            self.handleError(record)


def _handler() -> logging.Handler:
    handler = _Handler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                logs.stamp,
                structlog.processors.format_exc_info,
                logs.redact,
                lambda _logger, _name, event: _output.render(event),
            ],
        )
    )
    return handler


def _set_levels(*, debug: bool) -> None:
    logging.root.setLevel(logging.WARNING)
    logging.getLogger("doable").setLevel(logging.DEBUG if debug else logging.INFO)
    for name, level in (("uvicorn", logging.INFO), ("uvicorn.error", logging.INFO), ("alembic", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
        logger.setLevel(level)
    logging.getLogger("uvicorn.websocket").setLevel(logging.WARNING)  # it would show query values, too
    logging.getLogger("uvicorn.access").disabled = True  # it would show query values; the edge has its own line


class Lifecycle:
    """Whether this process still wants new work."""

    def __init__(self, *, draining: bool = False) -> None:
        self.draining = draining
        self._leaving: list[Callable[[], None]] = []

    def on_drain(self, leave: Callable[[], None]) -> None:
        self._leaving.append(leave)

    def drain(self) -> None:
        self.draining = True
        for leave in self._leaving:
            leave()


class _Fields(Protocol):
    def _asdict(self) -> dict[str, Any]: ...


class Depth(NamedTuple):
    """How many jobs of a queue are in a state, and for how many seconds the first of them has been due."""

    queue: str
    state: str
    jobs: int
    oldest: float


class JobMetrics:
    """The numbers of the background work."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._attempts = Counter(
            "doable_jobs_attempts", "Attempts at jobs, by how they ended.", ["job", "outcome"], registry=registry
        )
        self._seconds = Histogram(
            "doable_jobs_duration_seconds",
            "Time that an attempt took.",
            ["job"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self._depth = Gauge("doable_jobs", "Jobs in the database.", ["queue", "state"], registry=registry)
        self._oldest = Gauge(
            "doable_jobs_oldest_seconds",
            "For how long the job that is due longest has been waiting.",
            ["queue"],
            registry=registry,
        )

    def ran(self, name: str, seconds: float, *, failed: bool) -> None:
        self._attempts.labels(name, "failed" if failed else "done").inc()
        self._seconds.labels(name).observe(seconds)

    def counted(self, depths: Iterable[Depth]) -> None:
        self._depth.clear()
        self._oldest.clear()
        for depth in depths:
            self._depth.labels(depth.queue, depth.state).set(depth.jobs)
            if depth.state == "waiting":
                self._oldest.labels(depth.queue).set(max(0.0, depth.oldest))


class Metrics:
    """The numbers of one application. Labels are a closed set: nothing that a client can invent becomes a series."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.registry = CollectorRegistry()
        self._answered: dict[tuple[str, str, int], int] = {}
        self._durations: dict[str, _Durations] = {}
        self.registry.register(_Requests(self._answered, self._durations))
        self.loop_lag = Histogram(
            "doable_event_loop_lag_seconds",
            "How late the event loop woke a sleeper.",
            buckets=LAG_BUCKETS,
            registry=self.registry,
        )
        self.lag: Callable[[], float] = lambda: 0.0
        """By how many seconds the event loop is late now."""
        in_flight = Gauge("doable_http_requests_in_flight", "Requests being served.", registry=self.registry)
        in_flight.set_function(lambda: self.in_flight)
        self.jobs = JobMetrics(self.registry)
        ProcessCollector(registry=self.registry)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        key = (method, route, status)
        self._answered[key] = self._answered.get(key, 0) + 1
        durations = self._durations.get(route)
        if durations is None:
            durations = self._durations[route] = _Durations()
        durations.seconds += seconds
        durations.counts[bisect_left(LATENCY_BUCKETS, seconds)] += 1

    def watch_pool(self, status: Callable[[], _Fields]) -> None:
        """Show what `status()` answers whenever the metrics are read, a series for each of its fields."""
        self.registry.register(_Pool(status))

    def render(self) -> bytes:
        return generate_latest(self.registry)


class _Durations:
    """How long requests of a route have taken: all together, and how many within each bucket but not the one before."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(LATENCY_BUCKETS) + 1)
        self.seconds = 0.0


class _Requests(Collector):
    """Plain numbers of one thread become series only when they are read: a request costs two additions and no lock."""

    def __init__(self, answered: dict[tuple[str, str, int], int], durations: dict[str, _Durations]) -> None:
        self._answered = answered
        self._durations = durations

    def collect(self) -> Iterator[Metric]:
        answered = CounterMetricFamily(
            "doable_http_requests", "Requests answered.", labels=["method", "route", "status"]
        )
        for (method, route, status), number in self._answered.items():
            answered.add_metric([method, route, str(status)], number)
        yield answered
        seconds = HistogramMetricFamily(
            "doable_http_request_duration_seconds",
            "Time from the request's arrival to the end of its answer.",
            labels=["route"],
        )
        bounds = [*map(str, map(float, LATENCY_BUCKETS)), "+Inf"]
        for route, durations in self._durations.items():
            within = list(zip(bounds, accumulate(durations.counts), strict=True))
            seconds.add_metric([route], buckets=within, sum_value=durations.seconds)
        yield seconds


class _Pool(Collector):
    def __init__(self, status: Callable[[], _Fields]) -> None:
        self._status = status

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily("doable_database_pool", "Connections of the database pool.", labels=["connections"])
        for field, value in self._status()._asdict().items():
            family.add_metric([field], value)
        yield family


class LagSampler:
    """Measures how late the event loop is; one for a process."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._task: asyncio.Task[None] | None = None
        self._due = clock.monotonic()
        self._last = 0.0
        metrics.lag = self.lag

    def lag(self) -> float:
        """Of the last sleeper, or of the one that should be awake by now."""
        return max(self._last, clock.monotonic() - self._due)

    async def start(self) -> None:
        self._task = asyncio.create_task(self._sample(), name="event loop lag")

    async def close(self) -> None:
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _sample(self) -> None:
        while True:
            self._due = clock.monotonic() + LAG_INTERVAL
            await asyncio.sleep(LAG_INTERVAL)
            self._last = max(0.0, clock.monotonic() - self._due)
            self._metrics.loop_lag.observe(self._last)
