"""What happens to the service itself: start, database, records, jobs, bugs."""

from __future__ import annotations

from typing import Final

from router.telemetry.events.words import (
    ACCOUNT,
    AGENCY,
    CALL_ID,
    CALL_SID,
    CLIENT,
    COUNT,
    DURATION,
    EXCEPTION,
    JOB,
    METHOD,
    REASON,
    ROUTE,
    SECONDS,
    STEP,
    Event,
    Field,
    needed,
)

SWEEP: Final[tuple[Event, ...]] = (
    Event(
        "calls.swept",
        "info",
        "Calls that had passed us by, or whose end had, were found at the carrier.",
        (
            ACCOUNT,
            Field("closed", "integer", "calls whose end had not reached us"),
            Field("found", "integer", "calls that had not reached us at all"),
            Field("messages", "integer", "calls with messages that had not reached us"),
        ),
    ),
    Event(
        "sweep.failed",
        "warning",
        "An account could not be looked through for calls that passed us by; it is tried again.",
        (ACCOUNT, needed(REASON)),
    ),
)

SERVICE: Final[tuple[Event, ...]] = (
    *SWEEP,
    Event(
        "service.started",
        "info",
        "The service takes calls.",
        (
            Field("version", "string", "of callrouter", required=True),
            Field("host", "string", "the address it listens on", required=True),
            Field("port", "integer", "the port it listens on", required=True),
            Field("workers", "integer", "the number of processes", required=True),
            Field(
                "database",
                "string",
                "who runs it; `callrouter fallback` has none",
                ("embedded", "external", "none"),
                required=True,
            ),
            Field("memory_hygiene", "boolean", "whether freed memory is overwritten", required=True),
            Field("core_dumps", "boolean", "whether a crash could write memory to disk", required=True),
            Field("dumpable", "boolean", "whether other processes of its user could read its memory", required=True),
            Field("public_url", "string", "where Twilio and the providers reach us", required=True),
        ),
    ),
    Event(
        "service.draining",
        "info",
        "Told to stop: answers the calls in flight, then takes no more.",
        (Field("calls_in_flight", "integer", "webhooks being answered"),),
    ),
    Event(
        "worker.died",
        "error",
        "One of several processes ended unasked; another takes its place.",
        (Field("exit_code", "integer", "negative for a signal"), SECONDS),
    ),
    Event(
        "settings.warning",
        "warning",
        "A setting works, but not as one would want it in production.",
        (
            Field("setting", "string", "its name", required=True),
            Field("message", "string", "what to do about it", required=True),
        ),
    ),
    Event(
        "request.failed",
        "error",
        "Our own bug: a request was answered by its last resort.",
        (needed(EXCEPTION), ROUTE, METHOD, CALL_ID, CALL_SID, AGENCY, CLIENT, STEP),
    ),
    Event(
        "recorder.failed",
        "error",
        "Call records could not be written to the database, to the spool, or from there to the database.",
        (
            EXCEPTION,
            COUNT,
            REASON,
            Field("kind", "string", "of records that stay in the spool for a newer version, which knows it"),
            CALL_ID,
            CALL_SID,
        ),
    ),
    Event("database.lost", "error", "The database does not answer; calls go on from memory.", (REASON, EXCEPTION)),
    Event("database.regained", "info", "The database answers again.", (SECONDS,)),
    Event(
        "spool.replayed",
        "info",
        "Records kept on local disk were written to the database.",
        (needed(COUNT), DURATION),
    ),
    Event(
        "log",
        None,
        "A line of a library that logs in its own way: its first line, redacted.",
        (
            Field("logger", "string", "its name", required=True),
            Field("message", "string", "without anything that looks like a key", required=True),
            EXCEPTION,
        ),
    ),
    Event(
        "job.failed",
        "warning",
        "A job failed and is tried again.",
        (*JOB, needed(REASON), EXCEPTION),
    ),
    Event(
        "job.given_up",
        "error",
        "A job is not tried again: its last attempt failed, or no other would help.",
        (*JOB, needed(REASON), EXCEPTION),
    ),
    Event(
        "jobs.started",
        "info",
        "`callrouter worker` does background jobs.",
        (
            Field("version", "string", "of callrouter", required=True),
            Field("port", "integer", "where it answers probes and /metrics; left out if nowhere"),
        ),
    ),
    Event("jobs.stopping", "info", "`callrouter worker` was told to stop: it ends or gives back what it is doing."),
    Event(
        "mail.sent",
        "info",
        "A mail server took a mail.",
        (Field("letter", "string", "what kind of letter it is", required=True), AGENCY),
    ),
    Event(
        "delivery.failed",
        "info",
        "An agency's endpoint did not take an event; it is tried again for a day.",
        (needed(AGENCY), Field("endpoint_id", "string", "the endpoint", required=True), needed(REASON)),
    ),
    Event("jobs.failed", "error", "The queue stopped for a moment and goes on.", (needed(EXCEPTION),)),
)
