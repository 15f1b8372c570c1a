"""Log lines as a person or a collector reads them, and what logging must never do to a call."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import select
import subprocess
import sys
import textwrap

import pytest
from prometheus_client import REGISTRY

from crypto import Secret
from router.telemetry import UndeclaredError, configure_logging, emit, log, output
from tests.support.log_capture import CapturedEvents, captured_events, count_dropped, validate_line

__all__ = ["captured_events"]

CANARY = "canary-4f9a1c77e2b04d6d8b1e"


@pytest.fixture(autouse=True)
def _keep_pipeline():
    before = log._pipeline.logger
    yield
    log._pipeline.logger = before


def configure(**options: object) -> io.StringIO:
    stream = io.StringIO()
    configure_logging(**{"format": "json", "stream": stream} | options)  # type: ignore[arg-type]
    return stream


class FullDisk(io.StringIO):
    def write(self, _text: str) -> int:
        raise OSError("no space left on device")


def fail_with(error: Exception) -> None:
    raise error


def test_a_line_is_one_json_object_with_time_level_event_and_fields(captured_events: CapturedEvents) -> None:
    emit("handoff.failed", call_id="call_1", provider="vapi", reason="timeout", duration_ms=6000.12345)
    line = captured_events.only("handoff.failed")
    assert list(line)[:3] == ["timestamp", "level", "event"]
    assert line["timestamp"].endswith("Z")
    assert line["level"] == "warning"
    assert line["duration_ms"] == 6000.123
    assert line["reason"] == "timeout"


def test_fields_that_do_not_apply_are_left_out(captured_events: CapturedEvents) -> None:
    emit("call.received", call_id="call_1", provider=None, caller=None)
    assert set(captured_events.only("call.received")) == {"timestamp", "level", "event", "replica", "call_id"}


def test_phone_numbers_are_masked(captured_events: CapturedEvents) -> None:
    emit("call.received", call_id="call_1", caller="+15550100199", to="+15550100100")
    assert captured_events.only("call.received")["caller"] == "+*******0199"
    assert "5550100" not in captured_events.text()


def test_phone_numbers_are_logged_in_full_on_request() -> None:
    stream = configure(numbers="full")
    emit("call.received", call_id="call_1", caller="+15550100199", to="anonymous")
    line = json.loads(stream.getvalue())
    assert (line["caller"], line["to"]) == ("+15550100199", "other")
    validate_line(line)


@pytest.mark.parametrize(
    ("event", "fields", "named"),
    [
        ("call.exploded", {}, "call.exploded"),
        ("call.received", {"call_id": "call_1", "key": CANARY}, "key"),
        ("call.received", {}, "call_id"),
        ("call.received", {"call_id": 17}, "call_id"),
        ("call.received", {"call_id": Secret(CANARY)}, "call_id"),
        ("call.ended", {"call_id": "call_1", "outcome": "fine"}, "ai, owner"),
        ("call.ended", {"call_id": "call_1", "outcome": "ai", "seconds": float("nan")}, "seconds"),
        ("spool.replayed", {"count": True}, "count"),
    ],
)
def test_a_test_fails_on_what_the_catalogue_does_not_allow(event: str, fields: dict[str, object], named: str) -> None:
    configure(strict=True)
    with pytest.raises(UndeclaredError, match=named) as caught:
        emit(event, **fields)
    assert CANARY not in str(caught.value)


def test_in_production_undeclared_events_and_fields_are_dropped_and_counted() -> None:
    stream, before = configure(), count_dropped()
    emit("call.exploded", key=CANARY)
    emit("call.received", call_id="call_1", key=CANARY, caller=Secret(CANARY))
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["call.received"]
    assert CANARY not in stream.getvalue()
    assert count_dropped() - before == 3


def test_the_level_decides_what_is_written() -> None:
    stream = configure(level="warning")
    emit("call.received", call_id="call_1")
    emit("call.fell_back", call_id="call_1", step="owner")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["call.fell_back"]


def test_an_output_that_fails_does_not_break_the_call() -> None:
    configure_logging(format="json", stream=FullDisk())
    before = count_dropped()
    emit("call.received", call_id="call_1")
    logging.getLogger("uvicorn.error").error("still here")
    assert count_dropped() - before == 2


def test_our_own_bug_is_logged_without_its_text(captured_events: CapturedEvents) -> None:
    try:
        fail_with(ValueError(CANARY))
    except ValueError as error:
        emit("request.failed", exception=error, route="/webhooks/twilio/voice")
    line = captured_events.only("request.failed")
    assert line["exception"]["type"] == "ValueError"
    assert line["exception"]["frames"]
    assert CANARY not in captured_events.text()


def test_errors_are_counted_by_their_event(captured_events: CapturedEvents) -> None:
    def counted(event: str) -> float | None:
        return REGISTRY.get_sample_value("callrouter_errors_logged_total", {"event": event})

    before = counted("jobs.failed")
    emit("jobs.failed", exception=RuntimeError())
    emit("jobs.stopping")
    assert captured_events.names() == ["jobs.failed", "jobs.stopping"]
    assert (counted("jobs.failed"), counted("jobs.stopping")) == ((before or 0) + 1, None)


def test_lines_of_libraries_come_in_the_same_form(captured_events: CapturedEvents) -> None:
    logging.getLogger("uvicorn.error").warning("sent %s to +15550100199", CANARY)
    line = captured_events.only("log")
    assert (line["level"], line["logger"]) == ("warning", "uvicorn.error")
    assert line["message"] == "sent [removed] to +*******0199"


def test_a_library_s_traceback_is_shown_without_its_text(captured_events: CapturedEvents) -> None:
    try:
        fail_with(ConnectionError(f"Authorization: {CANARY}"))
    except ConnectionError:
        logging.getLogger("asyncpg").exception("lost")
    assert captured_events.only("log")["exception"]["type"] == "ConnectionError"
    assert CANARY not in captured_events.text()


def test_a_library_s_bad_log_call_does_not_break_us(captured_events: CapturedEvents) -> None:
    record = logging.LogRecord("careless", logging.ERROR, __file__, 1, "%d calls", ("many",), None)
    (handler,) = [known for known in logging.getLogger().handlers if isinstance(known, log._LibraryHandler)]
    handler.emit(record)
    assert captured_events.only("log")["message"] == "[unprintable]"


@pytest.mark.parametrize("name", ["httpx", "httpcore.http11", "aiohttp.client"])
def test_http_clients_never_log_what_they_send(captured_events: CapturedEvents, name: str) -> None:
    logging.getLogger(name).debug("request headers: %s", CANARY)
    logging.getLogger(name).info("HTTP Request: POST https://api.example.com/")
    assert captured_events.all() == []


def test_an_unawaited_task_does_not_reveal_its_exception(captured_events: CapturedEvents) -> None:
    async def abandon_task() -> None:
        task = asyncio.create_task(fail())
        await asyncio.wait([task])
        task = None

    async def fail() -> None:
        fail_with(ValueError("short"))

    asyncio.run(abandon_task())
    line = captured_events.only("log")
    assert line["message"] == "Task exception was never retrieved"
    assert line["exception"]["type"] == "ValueError"
    assert "short" not in captured_events.text()


def test_a_terminal_gets_readable_lines() -> None:
    stream = configure(format="console")
    emit("call.ended", call_id="call_1", outcome="ai", seconds=12.5)
    assert "call.ended" in stream.getvalue()
    assert "12.5" in stream.getvalue()
    with pytest.raises(json.JSONDecodeError):
        json.loads(stream.getvalue())


def test_a_terminal_shows_the_frames_of_a_bug() -> None:
    stream, before = configure(format="console"), count_dropped()
    try:
        fail_with(ValueError(CANARY))
    except ValueError as error:
        emit("request.failed", exception=error, route="/webhooks/twilio/voice")
    assert "ValueError\n" in stream.getvalue()
    assert "test_log.py" in stream.getvalue()
    assert CANARY not in stream.getvalue()
    assert count_dropped() == before


def run_service(script: str, **options: object) -> subprocess.Popen[bytes]:
    head = "from router.telemetry import configure_logging, emit, metrics\n"
    command = [sys.executable, "-c", head + textwrap.dedent(script)]
    return subprocess.Popen(command, **options)  # type: ignore[call-overload]


def test_all_lines_are_written_when_the_process_ends() -> None:
    process = run_service(
        """
        configure_logging()
        for number in range(1000):
            emit("spool.replayed", count=number)
        """,
        stdout=subprocess.PIPE,
    )
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert [json.loads(line)["count"] for line in out.splitlines()] == list(range(1000))


def test_lines_that_come_together_leave_together(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    monkeypatch.setattr(output.os, "write", lambda _, data: written.append(bytes(data)) or len(data))
    writer = output.BackgroundWriter(-1)
    for number in range(100):
        writer.write(f"line {number} {'x' * 100}")
    writer.close()
    assert b"".join(written).decode().split("\n")[:-1] == [f"line {number} {'x' * 100}" for number in range(100)]
    assert len(written) < 50
    assert all(chunk.endswith(b"\n") and len(chunk) <= select.PIPE_BUF for chunk in written)


def test_a_log_collector_that_does_not_read_blocks_nothing() -> None:
    reading, writing = os.pipe()
    process = run_service(
        """
        import sys
        configure_logging(format="json")
        for number in range(30_000):
            emit("spool.replayed", count=number)
        print(metrics.LOG_DROPPED.labels("backlog")._value.get(), file=sys.stderr)
        """,
        stdout=writing,
        stderr=subprocess.PIPE,
    )
    os.close(writing)
    _, told = process.communicate(timeout=60)
    os.close(reading)
    assert process.returncode == 0
    assert float(told) > 10_000


def test_before_anything_is_configured_lines_go_to_standard_error() -> None:
    process = run_service('emit("spool.replayed", count=1)', stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, error = process.communicate(timeout=60)
    assert out == b""
    assert json.loads(error)["event"] == "spool.replayed"
