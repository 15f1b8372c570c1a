"""The log pipeline: writes an event of the catalogue and its fields as one line on standard output.

Logging never breaks a call: outside of tests `emit` raises nothing, and if our output is not read, lines are dropped
and counted instead of making anyone wait.
"""

from __future__ import annotations

import atexit
import logging
import math
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

import structlog

from router.telemetry import metrics
from router.telemetry.events import EVENTS, Event, Field, Level
from router.telemetry.output import BackgroundWriter, Output, write_to, write_to_stderr
from router.telemetry.redact import describe_exception, mask_number, redact

_LEVEL_NUMBERS: Final[dict[Level, int]] = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_MAX_STRING: Final = 500
_CHATTY: Final = ("httpx", "httpcore", "aiohttp", "pgqueuer")
_render_json: Final = structlog.processors.JSONRenderer()


class UndeclaredError(ValueError):
    """In tests only: the catalogue does not allow a line. The text names the event and the field, never a value."""


def emit(event: str, /, **fields: Any) -> None:
    """Log one event of the catalogue (router.telemetry.events). A field that is None is left out.

    Pass an exception as `exception=error` and a phone number unmasked: both are redacted here.
    """
    declared = EVENTS.get(event)
    level = declared.level if declared else "error"
    _write(level or "info", event, fields)


def configure_logging(
    level: Level = "info",
    format: Literal["json", "console"] | None = None,  # noqa: A002 - the setting's name
    numbers: Literal["masked", "full"] = "masked",
    *,
    strict: bool = False,
    stream: TextIO | None = None,
) -> None:
    """Send events and the log lines of libraries to standard output, or to `stream`.

    Format None: console on a terminal, else JSON. `strict` is for tests: what the catalogue does not allow raises
    UndeclaredError instead of being left out.
    """
    _close_stdout()
    terminal = (stream or sys.stdout).isatty()
    console = format == "console" or (format is None and terminal)
    _pipeline.logger = _make_logger(
        write_to(stream) if stream else _open_stdout(),
        _Fitter(full_numbers=numbers == "full", strict=strict),
        _ConsoleRenderer(colors=terminal) if console else _render_json,
        level,
    )
    _route_libraries(_LEVEL_NUMBERS[level], full_numbers=numbers == "full")


class _Pipeline:
    """Where events go: until `configure_logging` is called, to standard error, apart from a command's output."""

    def __init__(self) -> None:
        self.writer: BackgroundWriter | None = None
        self.logger = _make_logger(write_to_stderr, _Fitter(full_numbers=False, strict=False), _render_json, "info")


def _make_logger(write: Callable[[str], None], fitter: _Fitter, render: Any, level: Level) -> Any:
    bound_logger = structlog.make_filtering_bound_logger(_LEVEL_NUMBERS[level])
    return structlog.wrap_logger(Output(write), processors=[fitter, render], wrapper_class=bound_logger).bind()


def _write(level: Level, event: str, fields: dict[str, Any]) -> None:
    try:
        getattr(_pipeline.logger, level)(event, **fields)
    except UndeclaredError:
        raise
    except Exception:  # noqa: BLE001 - logging must not break a call; the loss is counted
        metrics.log_dropped("unwritable")


class _Fitter:
    """Checks a line against the catalogue."""

    def __init__(self, *, full_numbers: bool, strict: bool) -> None:
        self._full_numbers = full_numbers
        self._strict = strict

    def __call__(self, _logger: Any, level: str, fields: Any) -> dict[str, Any]:
        name = fields.pop("event")
        event = EVENTS.get(name)
        if event is None:
            self._object("unknown_event", f"{name!r} is not an event of the catalogue")
            raise structlog.DropEvent
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return {"timestamp": now, "level": level, "event": name} | self._fit(event, fields)

    def _fit(self, event: Event, given: dict[str, Any]) -> dict[str, Any]:
        fitted: dict[str, Any] = {}
        for field in event.fields:
            value = given.pop(field.name, None)
            if value is None:
                if field.required:
                    self._object("missing_field", f"{event.name} requires the field {field.name!r}")
            elif _fits(field, value):
                fitted[field.name] = self._present(field, value)
            else:
                self._object("wrong_type", f"{event.name}: the field {field.name!r} takes {_explain(field)}")
        for name, value in given.items():
            if value is not None:
                self._object("unknown_field", f"{event.name} has no field {name!r}")
        return fitted

    def _present(self, field: Field, value: Any) -> Any:
        match field.type:
            case "string":
                return str(value)[:_MAX_STRING]
            case "number":
                return round(value, 3)
            case "number_e164":
                return mask_number(value, full=self._full_numbers)
            case "exception":
                return describe_exception(value)
            case _:
                return value

    def _object(self, reason: str, text: str) -> None:
        metrics.log_dropped(reason)
        if self._strict:
            raise UndeclaredError(text)


def _fits(field: Field, value: Any) -> bool:
    match field.type:
        case "string" | "number_e164":
            return isinstance(value, str) and (not field.values or value in field.values)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        case "boolean":
            return isinstance(value, bool)
        case "exception":
            return isinstance(value, BaseException)


class _ConsoleRenderer:
    """Prints an exception below its line, in the form that structlog's renderer expects."""

    def __init__(self, *, colors: bool) -> None:
        self._render = structlog.dev.ConsoleRenderer(colors=colors, sort_keys=False)

    def __call__(self, logger: Any, level: str, fields: dict[str, Any]) -> str:
        if described := fields.get("exception"):
            causes = [f"because of {cause}" for cause in described["causes"]]
            fields["exception"] = "\n  ".join([described["type"], *described["frames"], *causes])
        return self._render(logger, level, fields)


def _explain(field: Field) -> str:
    return f"one of {', '.join(field.values)}" if field.values else f"a value of type {field.type}"


def _open_stdout() -> Callable[[str], None]:
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, AttributeError):  # replaced by an object without a file
        return write_to(sys.stdout)
    sys.stdout.flush()
    _pipeline.writer = BackgroundWriter(descriptor)
    return _pipeline.writer.write


def _close_stdout() -> None:
    if _pipeline.writer:
        _pipeline.writer.close()
        _pipeline.writer = None


class _LibraryHandler(logging.Handler):
    """Turns log lines of uvicorn, asyncio, alembic and others into the event `log`."""

    def __init__(self, *, full_numbers: bool) -> None:
        super().__init__()
        self._full_numbers = full_numbers

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = redact(record.getMessage(), full_numbers=self._full_numbers)
        except Exception:  # noqa: BLE001 - a library's mistake must not break us
            message = "[unprintable]"
        error = record.exc_info[1] if record.exc_info else None
        _write(_name_level(record.levelno), "log", {"logger": record.name, "message": message, "exception": error})


def _name_level(number: int) -> Level:
    return next((name for name in ("error", "warning", "info") if number >= _LEVEL_NUMBERS[name]), "debug")


def _route_libraries(level: int, *, full_numbers: bool) -> None:
    """Never show levels at which libraries print headers and bodies: below info, and for some of them info too."""
    root = logging.getLogger()
    for earlier in [handler for handler in root.handlers if isinstance(handler, _LibraryHandler)]:
        root.removeHandler(earlier)
    handler = _LibraryHandler(full_numbers=full_numbers)
    handler.setLevel(max(level, logging.INFO))
    root.addHandler(handler)
    root.setLevel(handler.level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


_pipeline = _Pipeline()
atexit.register(_close_stdout)
