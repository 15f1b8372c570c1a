"""Prometheus metrics, and the functions that record them. docs/metrics.md describes each metric.

Every label has a closed set of values; anything else counts as `other`. All counters exist before their first event:
one that is missing until then hides that event from `increase()`. Those with a provider exist once
`register_providers` has been called. With several workers (PROMETHEUS_MULTIPROC_DIR set before the process starts)
`render` adds all of them up.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager
from itertools import product
from typing import Final, Generic, Literal, TypeVar

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from router.telemetry.events import EVENTS

_MULTIPROCESS_DIR: Final = "PROMETHEUS_MULTIPROC_DIR"
_OTHER: Final = "other"
_STATUS_CLASSES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx")
_ANSWER_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 4, 6, 8, 10, 15)  # seconds
_RINGING_BUCKETS: Final = (0.5, 1, 2, 3, 4, 6, 8, 10, 15, 20, 30, 45, 60, 90)  # seconds
_STORAGE_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)  # seconds


def _values(event: str, field: str) -> tuple[str, ...]:
    """All values of a field in the event catalogue."""
    return next(known.values for known in EVENTS[event].fields if known.name == field)


_ANSWERERS = _values("call.answered", "by")
_OUTCOMES = _values("call.ended", "outcome")
_HANDOFF_RESULTS = ("succeeded", "late", *_values("handoff.failed", "reason"))
_SKIP_REASONS = _values("handoff.skipped", "reason")
_REJECTIONS = _values("webhook.rejected", "reason")
_FALLBACK_STEPS = _values("fallback.served", "step")
_SEALED = _values("fallback.served", "sealed")
_CIRCUIT_SCOPES = _values("circuit.opened", "scope")
_RUNGS = ("ai", "owner", "voicemail", "transfer")
_NO_PROVIDER = "none"
_REQUEST_OUTCOMES = (*_STATUS_CLASSES, *_values("handoff.failed", "reason"), "cancelled")
_LOG_FAULTS = ("unknown_event", "unknown_field", "missing_field", "wrong_type", "unwritable", "backlog")
_CARRIER = "twilio"
_CARRIER_ROUTES = ("/webhooks/twilio/voice", "/webhooks/twilio/status", "/webhooks/twilio/calls")
_KEY_RESULTS = ("valid", "out_of_credit", "failing", "untold")
_DELIVERY_RESULTS = ("delivered", "failed", "dead")
_CONNECTION_ENDS = ("too_large", "too_slow", "malformed", "unread", "crowded", "refused")
_JOB_RESULTS = ("done", "again", "failed", "given_up")
_POOLS = ("calls", "webhooks", "settings", "figures", "jobs")
# The process that starts and replaces workers has no metrics, so `worker.died` cannot be counted.
_ERRORS = tuple(name for name, event in EVENTS.items() if event.level == "error" and name != "worker.died")
_FAILED_REQUESTS = ("5xx", "timeout", "unreachable")
_RECORDS = "records"  # the recorder's own connection

CALLS_RECEIVED = Counter("callrouter_calls_received_total", "Verified calls received")
CALLS_ANSWERED = Counter("callrouter_calls_answered_total", "Calls answered by someone or something", ["by"])
CALLS_ENDED = Counter("callrouter_calls_ended_total", "Calls that are over", ["outcome"])
ANSWER_SECONDS = Histogram(
    "callrouter_answer_seconds", "From a call's first webhook until its first answer", ["by"], buckets=_RINGING_BUCKETS
)
RUNGS_TAKEN = Counter(
    "callrouter_rungs_taken_total", "Rungs whose document was sent to the carrier", ["step", "provider"]
)
CALLS_IN_FLIGHT = Gauge("callrouter_calls_in_flight", "Callers waiting for our answer now", multiprocess_mode="livesum")
HANDOFF_SECONDS = Histogram(
    "callrouter_handoff_seconds",
    "From asking a provider until its answer",
    ["provider", "result"],
    buckets=_ANSWER_BUCKETS,
)
HANDOFFS_SKIPPED = Counter("callrouter_handoffs_skipped_total", "Providers skipped without a request", ["reason"])
CIRCUITS_OPEN = Gauge(
    "callrouter_circuits_open", "Circuits that are not closed", ["scope", "provider"], multiprocess_mode="livesum"
)
REQUEST_SECONDS = Histogram(
    "callrouter_webhook_request_seconds",
    "From a webhook's arrival until our answer",
    ["route", "status"],
    buckets=_ANSWER_BUCKETS,
)
WEBHOOKS_REJECTED = Counter("callrouter_webhooks_rejected_total", "Rejected requests from outside", ["reason"])
FALLBACKS_SERVED = Counter("callrouter_fallbacks_served_total", "Requests for the static fallback", ["step", "sealed"])
RECORDER_FLUSH_SECONDS = Histogram(
    "callrouter_recorder_flush_seconds", "Time to make a batch of call records durable", buckets=_STORAGE_BUCKETS
)
RECORDER_BATCH_SIZE = Histogram(
    "callrouter_recorder_batch_size", "Call records in one batch", buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500)
)
RECORDER_QUEUE = Gauge("callrouter_recorder_queue", "Call records waiting for a batch", multiprocess_mode="livesum")
SPOOL_BYTES = Gauge(
    "callrouter_spool_bytes", "Call records on disk, waiting for the database", multiprocess_mode="livemostrecent"
)
OUTGOING_SECONDS = Histogram(
    "callrouter_outgoing_request_seconds",
    "Our requests to providers and the carrier",
    ["system", "outcome"],
    buckets=_ANSWER_BUCKETS,
)
DATABASE_UP = Gauge("callrouter_database_up", "1 while the database responds", ["pool"], multiprocess_mode="livemin")
POOL_IN_USE = Gauge(
    "callrouter_pool_connections_in_use", "Connections that work now", ["pool"], multiprocess_mode="livesum"
)
POOL_LIMIT = Gauge(
    "callrouter_pool_connections_limit", "Connections there may be at once", ["pool"], multiprocess_mode="livesum"
)
POOL_WAITING = Gauge(
    "callrouter_pool_waiting", "Statements waiting for a connection now", ["pool"], multiprocess_mode="livesum"
)
POOL_WAIT_SECONDS = Histogram(
    "callrouter_pool_wait_seconds",
    "Time that a statement waited, because all connections were in use",
    ["pool"],
    buckets=_STORAGE_BUCKETS,
)
KEYS_UNREADABLE = Counter("callrouter_keys_unreadable_total", "Sealed keys that could not be opened", ["kind"])
KEY_CHECKS = Counter("callrouter_key_checks_total", "Checks of agencies' keys", ["kind", "result"])
DELIVERIES = Counter("callrouter_deliveries_total", "Attempts to deliver an event to an agency's endpoint", ["result"])
STREAMS = Gauge("callrouter_event_streams", "Open event streams", multiprocess_mode="livesum")
JOBS_FINISHED = Counter("callrouter_jobs_total", "Attempts at background jobs", ["name", "result"])
JOBS_WAITING = Gauge(
    "callrouter_jobs_waiting", "Background jobs that are due and wait", ["name"], multiprocess_mode="livemostrecent"
)
JOBS_WAITING_SECONDS = Gauge(
    "callrouter_jobs_waiting_seconds",
    "How long the background job that waits longest has been due",
    ["name"],
    multiprocess_mode="livemostrecent",
)
CONNECTIONS_ENDED = Counter(
    "callrouter_connections_ended_total", "Incoming connections closed because of their client", ["reason"]
)
ERRORS_LOGGED = Counter("callrouter_errors_logged_total", "Log events of the level error", ["event"])
PUBLIC_ADDRESS_DIFFERS = Gauge(
    "callrouter_public_address_differs", "1 while the database has another public address", multiprocess_mode="livemax"
)
BUILD_INFO = Gauge(
    "callrouter_build_info", "1; the labels say what runs", ["version", "command"], multiprocess_mode="livemax"
)
LOG_DROPPED = Counter("callrouter_log_dropped_total", "Log lines or fields that were left out", ["reason"])

Metric = TypeVar("Metric", Counter, Gauge, Histogram)

_providers: set[str] = set()
_takers: set[str] = {_NO_PROVIDER}  # providers of rungs
_kinds: set[str] = {_CARRIER}  # of keys, and the systems that we send requests to
_jobs: set[str] = set()
_routes: set[str] = set(_CARRIER_ROUTES)


def register_providers(names: Iterable[str]) -> None:
    """Set the values of the label `provider`; with the carrier, they are also those of `kind` and `system`."""
    _providers.update(names)
    _takers.update(_providers)
    _kinds.update(_providers)
    _create_series(KEYS_UNREADABLE, _kinds)
    _create_series(KEY_CHECKS, _kinds, _KEY_RESULTS)
    _create_series(CIRCUITS_OPEN, _CIRCUIT_SCOPES, _providers)
    _create_series(HANDOFF_SECONDS, _providers, _HANDOFF_RESULTS)
    _create_series(RUNGS_TAKEN, ("ai",), _providers)
    for provider in _providers:
        _routes.update((provider_route(provider), provider_route(provider, "transfer")))
    _create_series(REQUEST_SECONDS, _routes, ("5xx",))
    _create_series(OUTGOING_SECONDS, _kinds, _FAILED_REQUESTS)


def register_jobs(names: Iterable[str]) -> None:
    """Set the values of the label `name`. Prometheus would rename one called `job`, which it sets itself."""
    _jobs.update(names)
    _create_series(JOBS_FINISHED, _jobs, _JOB_RESULTS)


def provider_route(provider: str, *rest: str) -> str:
    """The route of a provider's webhook."""
    return "/".join((f"/webhooks/{provider}/{{agency_id}}", *rest))


def _create_series(metric: Metric, *values: Iterable[str]) -> None:
    for labels in product(*values):
        metric.labels(*labels)


class _Series(Generic[Metric]):
    """A metric's series by the values of its labels. Each is looked up once: prometheus_client checks and locks."""

    def __init__(self, metric: Metric, *allowed: Collection[str]) -> None:
        self._metric: Metric = metric
        self._allowed = allowed
        self._known: dict[tuple[str, ...], Metric] = {}

    def __call__(self, *values: str) -> Metric:
        """A value that is not allowed counts as `other`."""
        series = self._known.get(values)
        if series is None:
            pairs = zip(values, self._allowed, strict=True)
            bound = tuple(value if value in allowed else _OTHER for value, allowed in pairs)
            series = self._metric.labels(*bound)
            if bound == values:
                self._known[values] = series
        return series


def _count_by(metric: Counter, values: Collection[str]) -> Callable[[str], None]:
    """A function that counts under one label, which has these values."""
    _create_series(metric, values)
    series = _Series(metric, values)
    return lambda value: series(value).inc()


call_received = CALLS_RECEIVED.inc
call_answered = _count_by(CALLS_ANSWERED, _ANSWERERS)
call_ended = _count_by(CALLS_ENDED, _OUTCOMES)
call_in_flight = CALLS_IN_FLIGHT.track_inprogress  # a context manager: the caller waits inside the block
handoff_skipped = _count_by(HANDOFFS_SKIPPED, _SKIP_REASONS)
webhook_rejected = _count_by(WEBHOOKS_REJECTED, _REJECTIONS)
recorder_queue = RECORDER_QUEUE.set
public_address_differs = PUBLIC_ADDRESS_DIFFERS.set
spool_bytes = SPOOL_BYTES.set
key_unreadable = _count_by(KEYS_UNREADABLE, _kinds)
delivery_finished = _count_by(DELIVERIES, _DELIVERY_RESULTS)
connection_ended = _count_by(CONNECTIONS_ENDED, _CONNECTION_ENDS)
event_stream = STREAMS.track_inprogress  # a context manager: the stream is open inside the block
_answer_seconds = _Series(ANSWER_SECONDS, _ANSWERERS)
_rungs_taken = _Series(RUNGS_TAKEN, _RUNGS, _takers)
_handoff_seconds = _Series(HANDOFF_SECONDS, _providers, _HANDOFF_RESULTS)
_circuits_open = _Series(CIRCUITS_OPEN, _CIRCUIT_SCOPES, _providers)
_request_seconds = _Series(REQUEST_SECONDS, _routes, _STATUS_CLASSES)
_outgoing_seconds = _Series(OUTGOING_SECONDS, _kinds, _REQUEST_OUTCOMES)
_key_checks = _Series(KEY_CHECKS, _kinds, _KEY_RESULTS)
_jobs_finished = _Series(JOBS_FINISHED, _jobs, _JOB_RESULTS)
_log_dropped = _Series(LOG_DROPPED, _LOG_FAULTS)
_fallbacks_served = _Series(FALLBACKS_SERVED, _FALLBACK_STEPS, _SEALED)
_errors_logged = _Series(ERRORS_LOGGED, _ERRORS)
_jobs_waiting = _Series(JOBS_WAITING, _jobs)
_jobs_waiting_seconds = _Series(JOBS_WAITING_SECONDS, _jobs)
_database_up = _Series(DATABASE_UP, (*_POOLS, _RECORDS))
_pool_in_use = _Series(POOL_IN_USE, _POOLS)
_pool_limit = _Series(POOL_LIMIT, _POOLS)
_pool_waiting = _Series(POOL_WAITING, _POOLS)
_pool_wait_seconds = _Series(POOL_WAIT_SECONDS, _POOLS)
_create_series(ANSWER_SECONDS, _ANSWERERS)
_create_series(LOG_DROPPED, _LOG_FAULTS)
_create_series(POOL_WAIT_SECONDS, _POOLS)
_create_series(FALLBACKS_SERVED, _FALLBACK_STEPS, _SEALED)
_create_series(ERRORS_LOGGED, _ERRORS)
_create_series(RUNGS_TAKEN, _RUNGS[1:], (_NO_PROVIDER,))


def call_answered_after(by: str, seconds: float) -> None:
    """Record the time from a call's arrival until its first answer."""
    _answer_seconds(by).observe(max(seconds, 0.0))


def rung_taken(step: str, provider: str | None) -> None:
    """Count a rung that the carrier was told to try. `provider` is set for an AI."""
    _rungs_taken(step, _NO_PROVIDER if provider is None else provider).inc()


def handoff_finished(provider: str, result: str, seconds: float) -> None:
    """`result`: succeeded, late, or a reason of `handoff.failed`."""
    _handoff_seconds(provider, result).observe(seconds)


def circuit_changed(scope: str, provider: str, opened: bool) -> None:
    gauge = _circuits_open(scope, provider)
    gauge.inc() if opened else gauge.dec()


def request_finished(route: str, status: int, seconds: float) -> None:
    """`route` is the path with its placeholders, never a path as it was requested."""
    _request_seconds(route, f"{status // 100}xx").observe(seconds)


def outgoing_finished(system: str, outcome: str, seconds: float) -> None:
    """The hook of `adapters.http.Http`, called after each request."""
    _outgoing_seconds(system, outcome).observe(seconds)


def recorder_flushed(seconds: float, batch_size: int) -> None:
    RECORDER_FLUSH_SECONDS.observe(seconds)
    RECORDER_BATCH_SIZE.observe(batch_size)


def key_checked(kind: str, result: str) -> None:
    """`result`: the status found, or `untold` if the key's owner gave no usable answer."""
    _key_checks(kind, result).inc()


def job_finished(job: str, result: str) -> None:
    """`result`: done, again, failed (it is retried) or given_up."""
    _jobs_finished(job, result).inc()


def database_up(pool: str, up: bool) -> None:
    """`records`: whether commits of call records get through."""
    _database_up(pool).set(up)


def pool_seen(pool: str, in_use: int, limit: int) -> None:
    _pool_in_use(pool).set(in_use)
    _pool_limit(pool).set(limit)


def waiting_for_connection(pool: str) -> AbstractContextManager[None]:
    """Count a statement as waiting while the block runs."""
    return _pool_waiting(pool).track_inprogress()


def waited_for_connection(pool: str, seconds: float) -> None:
    _pool_wait_seconds(pool).observe(seconds)


def fallback_served(step: str, sealed: str) -> None:
    """`sealed`: the state of the address's `t`."""
    _fallbacks_served(step, sealed).inc()


def jobs_waiting(job: str, count: int, seconds: float) -> None:
    """`seconds`: how long the one that waits longest has been due."""
    _jobs_waiting(job).set(count)
    _jobs_waiting_seconds(job).set(seconds)


def error_logged(event: str) -> None:
    _errors_logged(event).inc()


def started(version: str, command: Literal["serve", "worker", "fallback"]) -> None:
    """What this process is, for as long as it runs."""
    BUILD_INFO.labels(version, command).set(1)


def log_dropped(reason: str, count: int = 1) -> None:
    _log_dropped(reason).inc(count)


def render() -> tuple[bytes, str]:
    """The body and the content type of /metrics."""
    if _MULTIPROCESS_DIR not in os.environ:
        return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST


def leave() -> None:
    """Remove a worker that ends from the gauges summed over all workers."""
    if _MULTIPROCESS_DIR in os.environ:
        mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]
