"""For each alert: situations in which it must fire, and others, close to these, in which nobody has to do anything.

Values are promtool's: `0+2x60` begins at 0 and grows by 2, sixty times; `1x60` stays; `_x60` is missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Situation:
    """`series` by name, with a value for each `interval`. `fires`: the labels of the alerts at that time."""

    at: str
    series: dict[str, str]
    fires: tuple[dict[str, str], ...] = ()
    interval: str = field(default="1m", kw_only=True)


def fires(at: str, series: dict[str, str], *labels: dict[str, str], interval: str = "1m") -> Situation:
    return Situation(at, series, labels or ({},), interval=interval)


def silent(at: str, series: dict[str, str], *, interval: str = "1m") -> Situation:
    return Situation(at, series, interval=interval)


ABANDONED = 'callrouter_calls_ended_total{outcome="abandoned"}'
BY_AI = 'callrouter_calls_ended_total{outcome="ai"}'
REJECTED = 'callrouter_calls_ended_total{outcome="rejected"}'
FALLBACK = 'callrouter_fallbacks_served_total{step="voice",sealed="opened"}'
UP = 'up{job="callrouter",instance="a"}'
OTHER_UP = 'up{job="callrouter",instance="b"}'
CALLS_POOL = 'callrouter_database_up{pool="calls"}'
RECORDS = 'callrouter_database_up{pool="records"}'


def answers(seconds: str, route: str = "/webhooks/twilio/voice") -> dict[str, str]:
    """A request a second, all answered within that bucket."""
    name = "callrouter_webhook_request_seconds_bucket"
    buckets = ("1", "8", "10", "15", "+Inf")
    return {
        f'{name}{{route="{route}",status="2xx",le="{le}"}}': "0+60x60"
        if le == "+Inf" or float(le) >= float(seconds)
        else "0x60"
        for le in buckets
    }


SITUATIONS: dict[str, tuple[Situation, ...]] = {
    "CallsUnanswered": (
        fires("70m", {ABANDONED: "0+10x50", BY_AI: "0+10x50"}, interval="2m"),
        fires("70m", {FALLBACK: "0+2x50"}, interval="2m"),  # every call gets the static fallback; no replica is left
        fires("7h", {ABANDONED: "0+10x60", BY_AI: "0+30x60"}, interval="10m"),
        silent("70m", {ABANDONED: "0+1x50", BY_AI: "0+9x50", REJECTED: "0+90x50"}, interval="2m"),
        silent("70m", {ABANDONED: "0 0 0 1x50", BY_AI: "0 0 1x50"}, interval="2m"),  # one of two calls, at night
        silent("110m", {ABANDONED: "0+36x15 540x15", BY_AI: "0+4x15 60+40x15"}, interval="4m"),  # over since an hour
    ),
    "CallsUnansweredSlowly": (
        fires("26h", {ABANDONED: "0+8x60", BY_AI: "0+60x60"}, interval="1h"),
        fires("80h", {ABANDONED: "0+8x100", BY_AI: "0+160x100"}, interval="1h"),
        silent("80h", {ABANDONED: "0+2x100", BY_AI: "0+160x100"}, interval="1h"),
    ),
    "FallbackServed": (
        fires("10m", {FALLBACK: "0x6 1x10"}),
        fires("10m", {'callrouter_fallbacks_served_total{step="voice",sealed="unreadable"}': "0x6 1x10"}),
        silent(
            "10m",
            {
                FALLBACK: "3x20",
                'callrouter_fallbacks_served_total{step="check",sealed="missing"}': "0x6 1x10",  # callrouter doctor
            },
        ),
    ),
    "FallbackWithoutAddress": (
        fires("10m", {'callrouter_fallbacks_served_total{step="voice",sealed="missing"}': "0x6 1x10"}),
        silent("10m", {'callrouter_fallbacks_served_total{step="check",sealed="missing"}': "0x6 1x10"}),
    ),
    "AnswersNearTwilioTimeout": (
        fires("15m", answers("10")),
        silent("15m", answers("8")),
        silent("15m", answers("15", route="/webhooks/vapi/{agency_id}")),  # no caller waits there
    ),
    "WebhooksFail": (
        fires(
            "15m",
            {'callrouter_webhook_request_seconds_count{route="/webhooks/twilio/voice",status="5xx"}': "0+1x20"},
            {"route": "/webhooks/twilio/voice"},
        ),
        silent(
            "15m",
            {
                'callrouter_webhook_request_seconds_count{route="/webhooks/twilio/voice",status="5xx"}': "0 1x20",
                'callrouter_webhook_request_seconds_count{route="/webhooks/twilio/voice",status="4xx"}': "0+1x20",
            },
        ),
    ),
    "SignaturesRefused": (
        fires("20m", {'callrouter_webhooks_rejected_total{reason="wrong_signature"}': "0+1x30"}),
        silent(
            "20m",
            {
                'callrouter_webhooks_rejected_total{reason="wrong_signature"}': "0x10 5x30",
                'callrouter_webhooks_rejected_total{reason="too_large"}': "0+1x30",
            },
        ),
    ),
    "ConnectionsRefused": (
        fires("10m", {'callrouter_connections_ended_total{reason="refused"}': "0x6 1x10"}),
        silent("10m", {'callrouter_connections_ended_total{reason="crowded"}': "0+9x20"}),
    ),
    "NoReplica": (
        fires("5m", {UP: "0x10", OTHER_UP: "0x10"}),
        fires("5m", {}),  # nothing is scraped at all
        silent("5m", {UP: "0x10", OTHER_UP: "1x10"}),
        silent("5m", {UP: "1 1 1 1 0 1x10"}),  # a restart
    ),
    "ReplicaDown": (
        fires("10m", {UP: "0x10", OTHER_UP: "1x10"}, {"job": "callrouter", "instance": "a"}),
        silent("10m", {UP: "1 1 1 1 1 1 1 0 0 1x5"}),
    ),
    "FallbackDown": (
        fires("10m", {'up{job="callrouter-fallback"}': "0x10"}, {"job": "callrouter-fallback"}),
        silent("10m", {'up{job="callrouter-fallback"}': "1x10", UP: "0x10"}),
    ),
    "VersionsDiffer": (
        fires("70m", {'callrouter_build_info{version="1"}': "1x80", 'callrouter_build_info{version="2"}': "1x80"}),
        silent(
            "70m", {'callrouter_build_info{version="1"}': "1x20", 'callrouter_build_info{version="2"}': "_x10 1x80"}
        ),
    ),
    "ProviderDown": (
        fires("5m", {'callrouter_circuits_open{scope="provider",provider="vapi"}': "1x10"}, {"provider": "vapi"}),
        silent("5m", {'callrouter_circuits_open{scope="provider",provider="vapi"}': "0 0 1 1 0x10"}),
    ),
    "AgencyKeysRefused": (
        fires("15m", {'callrouter_circuits_open{scope="agency",provider="vapi"}': "2x20"}, {"provider": "vapi"}),
        silent("15m", {'callrouter_circuits_open{scope="agency",provider="vapi"}': "0x8 1 1 1 0x10"}),
    ),
    "OutgoingRequestsFail": (
        fires(
            "25m",
            {
                'callrouter_outgoing_request_seconds_count{system="retell",outcome="timeout"}': "0+1x30",
                'callrouter_outgoing_request_seconds_count{system="retell",outcome="2xx"}': "0+3x30",
            },
            {"system": "retell"},
        ),
        silent(
            "25m",
            {
                'callrouter_outgoing_request_seconds_count{system="retell",outcome="timeout"}': "0+1x30",
                'callrouter_outgoing_request_seconds_count{system="retell",outcome="4xx"}': "0+5x30",
            },
        ),
    ),
    "KeysCannotBeChecked": (
        fires(
            "100m",
            {
                'callrouter_key_checks_total{kind="bland",result="untold"}': "0+3x100",
                'callrouter_key_checks_total{kind="bland",result="valid"}': "0+1x100",
            },
            {"kind": "bland"},
        ),
        silent(
            "100m",
            {
                'callrouter_key_checks_total{kind="bland",result="untold"}': "0+1x100",
                'callrouter_key_checks_total{kind="bland",result="failing"}': "0+3x100",
            },
        ),
    ),
    "KeysUnreadable": (
        fires("10m", {'callrouter_keys_unreadable_total{kind="vapi"}': "0x6 1x10"}, {"kind": "vapi"}),
        silent("20m", {'callrouter_keys_unreadable_total{kind="vapi"}': "0x6 1x20"}),
    ),
    "DatabaseAway": (
        fires("5m", {CALLS_POOL: "1 1 0x10", 'callrouter_database_up{pool="settings"}': "1x10"}),
        silent("5m", {CALLS_POOL: "1x10", RECORDS: "0x10"}),
        silent("5m", {CALLS_POOL: "1 1 1 1 1 0 1x10"}),
    ),
    "CommitsHang": (
        fires("5m", {RECORDS: "0x10", CALLS_POOL: "1x10"}),
        silent("5m", {RECORDS: "0x10", CALLS_POOL: "0x10"}),  # DatabaseAway says so
        silent("5m", {RECORDS: "1x10", CALLS_POOL: "1x10"}),
    ),
    "ConnectionsUsedUp": (
        fires("20m", {'callrouter_pool_wait_seconds_sum{pool="calls"}': "0+90x30"}, {"pool": "calls"}),
        silent("20m", {'callrouter_pool_wait_seconds_sum{pool="calls"}': "0+30x30"}),
    ),
    "SpoolNearlyFull": (
        fires("5m", {"callrouter_spool_bytes": "0+100000000x10"}),
        silent("5m", {"callrouter_spool_bytes": "100000000x10"}),
    ),
    "RecordsWait": (
        fires("10m", {"callrouter_recorder_queue": "6000x20"}),
        silent("10m", {"callrouter_recorder_queue": "0x7 6000 6000 0x10"}),
    ),
    "RecordsNotStored": (
        fires("10m", {'callrouter_errors_logged_total{event="recorder.failed"}': "0x6 1x10"}),
        silent("10m", {'callrouter_errors_logged_total{event="database.lost"}': "0x6 1x10"}),
    ),
    "PublicAddressDiffers": (
        fires("10m", {"callrouter_public_address_differs": "1x20"}),
        silent("10m", {"callrouter_public_address_differs": "0x6 1 1 0x20"}),  # while replicas are replaced
    ),
    "JobsStopped": (
        fires("45m", {'callrouter_jobs_total{name="mail.send",result="done"}': "9x60"}),
        fires("45m", {UP: "1x60"}),  # every process was started with --no-jobs
        silent("45m", {'callrouter_jobs_total{name="mail.send",result="done"}': "0+1x60"}),
    ),
    "JobsLate": (
        fires("30m", {'callrouter_jobs_waiting_seconds{name="mail.send"}': "0+60x60"}, {"name": "mail.send"}),
        silent("30m", {'callrouter_jobs_waiting_seconds{name="mail.send"}': "0x20 700 700 0x60"}),
    ),
    "JobsGivenUp": (
        fires("10m", {'callrouter_jobs_total{name="mail.send",result="given_up"}': "0x6 1x10"}, {"name": "mail.send"}),
        silent("10m", {'callrouter_jobs_total{name="mail.send",result="failed"}': "0x6 1x10"}),
    ),
    "DeliveriesDead": (
        fires("10m", {'callrouter_deliveries_total{result="dead"}': "0x6 1x10"}),
        silent("10m", {'callrouter_deliveries_total{result="failed"}': "0x6 1x10"}),
    ),
    "Bugs": (
        fires(
            "10m",
            {'callrouter_errors_logged_total{event="request.failed"}': "0x6 1x10"},
            {"event": "request.failed"},
        ),
        silent("10m", {'callrouter_errors_logged_total{event="key.failing"}': "0x6 1x10"}),
    ),
    "LogLinesDropped": (
        fires("10m", {'callrouter_log_dropped_total{reason="backlog"}': "0x6 1x10"}, {"reason": "backlog"}),
        silent("10m", {'callrouter_log_dropped_total{reason="backlog"}': "7x20"}),
    ),
}
