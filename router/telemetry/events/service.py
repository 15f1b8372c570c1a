"""Events of the service itself: start, database, records, jobs, bugs."""

from __future__ import annotations

from typing import Final

from router.telemetry.events.words import Event, Field, event

SERVICE: Final[tuple[Event, ...]] = (
    event(
        "calls.swept",
        "info",
        "The sweep found calls, ends of calls or messages at the carrier that were never reported to us.",
        "account_sid",
        Field("closed", "integer", "calls whose end was never reported"),
        Field("found", "integer", "calls that were never reported"),
        Field("messages", "integer", "calls with messages that were never reported"),
    ),
    event(
        "sweep.failed",
        "warning",
        "An account could not be searched for calls that were never reported. It is retried.",
        "account_sid reason!",
    ),
    event(
        "service.started",
        "info",
        "The service accepts calls.",
        "version",
        Field("host", "string", "the address it listens on", required=True),
        Field("port", "integer", "the port it listens on", required=True),
        Field("ops_port", "integer", "the port that serves probes and /metrics; omitted if it is the same"),
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
        Field("dumpable", "boolean", "whether other processes of the same user can read its memory", required=True),
        Field("public_url", "string", "the address at which Twilio and the providers reach us", required=True),
    ),
    event(
        "service.draining",
        "info",
        "The service was told to stop: it finishes the calls in progress and then accepts no more.",
        Field("calls_in_flight", "integer", "webhooks in progress"),
    ),
    event(
        "worker.died",
        "error",
        "One of several processes ended unexpectedly; a replacement starts.",
        Field("exit_code", "integer", "negative for a signal"),
        "seconds",
    ),
    event(
        "settings.warning",
        "warning",
        "A setting works but is not suitable for production.",
        Field("setting", "string", "the setting's name", required=True),
        Field("message", "string", "what is wrong with it", required=True),
    ),
    event(
        "request.failed",
        "error",
        "A bug in callrouter: an unexpected exception; the request got its last-resort answer.",
        "exception! route method call_id call_sid agency_id client_id step",
    ),
    event(
        "recorder.failed",
        "error",
        "Call records could not be written to the database or to the spool, or moved from the spool to the database.",
        "exception count reason",
        Field("kind", "string", "the kind of records that stay in the spool until a newer version reads them"),
        "call_id call_sid",
    ),
    event(
        "database.lost",
        "error",
        "The database does not respond; calls continue with cached routes.",
        "reason exception",
    ),
    event("database.regained", "info", "The database responds again.", "seconds"),
    event("spool.replayed", "info", "Records from the local spool were written to the database.", "count! duration_ms"),
    event(
        "log",
        None,
        "A log line of a library: the first line of its message, redacted.",
        Field("logger", "string", "the logger's name", required=True),
        Field("message", "string", "the message without anything that looks like a key", required=True),
        "exception",
    ),
    event("job.failed", "warning", "A job failed and is retried.", "job tried! agency_id reason! exception"),
    event(
        "job.given_up",
        "error",
        "A job is not retried: its last attempt failed, or another one would not help.",
        "job tried! agency_id reason! exception",
    ),
    event(
        "jobs.started",
        "info",
        "`callrouter worker` runs background jobs.",
        "version",
        Field("port", "integer", "the port that serves probes and /metrics; omitted if none does"),
    ),
    event("jobs.stopping", "info", "`callrouter worker` was told to stop: it finishes its jobs or returns them."),
    event(
        "mail.sent",
        "info",
        "A mail server accepted an email.",
        Field("letter", "string", "the kind of email", required=True),
        "agency_id",
    ),
    event(
        "delivery.failed",
        "info",
        "An agency's endpoint did not accept an event. It is retried for a day.",
        "agency_id!",
        Field("endpoint_id", "string", "the endpoint", required=True),
        "reason!",
    ),
    event(
        "endpoint.gone",
        "info",
        "An agency's endpoint answered 410 Gone. Nothing is delivered there until the agency resumes it.",
        "agency_id!",
        Field("endpoint_id", "string", "the endpoint", required=True),
    ),
    event("jobs.failed", "error", "The job queue stopped because of an error; it restarts.", "exception!"),
)
