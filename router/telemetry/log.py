"""The log pipeline: writes an event of the catalogue and its fields as one line on standard output.

Logging never breaks a call: outside of tests `emit` raises nothing, and if our output is not read, lines are dropped
and counted instead of making anyone wait.
"""

from __future__ import annotations

import atexit
import logging
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from json import JSONEncoder
from typing import Any, Final, Literal, TextIO, TypeAlias

from router.telemetry import metrics
from router.telemetry.events import EVENTS, Field, Level
from router.telemetry.output import BackgroundWriter, write_to, write_to_stderr
from router.telemetry.redact import describe_exception, mask_number, redact
from router.telemetry.terminal import TerminalRenderer
from router.telemetry.traces import ids

_LEVEL_NUMBERS: Final[dict[Level, int]] = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_MAX_STRING: Final = 500
_CHATTY: Final = ("httpx", "httpcore", "aiohttp", "pgqueuer")
_render_json: Final = JSONEncoder().encode  # made once: json.dumps makes one for each line if it gets any option

Fit: TypeAlias = Callable[[Any], Any]
"""A field's value as it is written, or _UNFIT."""

_UNFIT: Final = object()


class UndeclaredError(ValueError):
    """In tests only: the catalogue does not allow a line. The text names the event and the field, never a value."""


def emit(event: str, /, **fields: Any) -> None:
    """Log one event of the catalogue (router.telemetry.events). A field that is None is left out.

    Pass an exception as `exception=error` and a phone number unmasked: both are redacted here.
    """
    declared = EVENTS.get(event)
    level = declared.level if declared else "error"
    if level == "error":
        metrics.error_logged(event)
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
    _pipeline.logger = _Logger(
        write_to(stream) if stream else _open_stdout(),
        _Fitter(full_numbers=numbers == "full", strict=strict),
        TerminalRenderer(colors=terminal) if console else _render_json,
        _LEVEL_NUMBERS[level],
    )
    _route_libraries(_LEVEL_NUMBERS[level], full_numbers=numbers == "full")


@dataclass(frozen=True, slots=True)
class _Logger:
    """What happens to one line, in this order."""

    write: Callable[[str], object]
    fit: _Fitter
    render: Callable[[dict[str, Any]], str]
    least: int  # the level

    def log(self, level: Level, event: str, fields: dict[str, Any]) -> None:
        if _LEVEL_NUMBERS[level] < self.least:
            return
        line = self.fit(level, event, fields)
        if line is not None:
            self.write(self.render(line))


class _Pipeline:
    """Where events go: until `configure_logging` is called, to standard error, apart from a command's output."""

    def __init__(self) -> None:
        self.writer: BackgroundWriter | None = None
        fitter = _Fitter(full_numbers=False, strict=False)
        self.logger = _Logger(write_to_stderr, fitter, _render_json, _LEVEL_NUMBERS["info"])


def _write(level: Level, event: str, fields: dict[str, Any]) -> None:
    try:
        _pipeline.logger.log(level, event, fields)
    except UndeclaredError:
        raise
    except Exception:  # noqa: BLE001 - logging must not break a call; the loss is counted
        metrics.log_dropped("unwritable")


class _Fitter:
    """Checks a line against the catalogue. What each field takes is worked out once: a call has half a dozen lines."""

    def __init__(self, *, full_numbers: bool, strict: bool) -> None:
        self._strict = strict
        self._fields: Mapping[str, tuple[tuple[str, Field, Fit], ...]] = {
            event.name: tuple(
                (field.name, field, _make_fit(field, full_numbers=full_numbers)) for field in event.fields
            )
            for event in EVENTS.values()
        }

    def __call__(self, level: str, event: str, given: dict[str, Any]) -> dict[str, Any] | None:
        """None for an event that the catalogue does not have."""
        declared = self._fields.get(event)
        if declared is None:
            self._object("unknown_event", f"{event!r} is not an event of the catalogue")
            return None
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        line: dict[str, Any] = {"timestamp": now, "level": level, "event": event, **ids()}
        for name, field, fit in declared:
            value = given.pop(name, None)
            if value is None:
                if field.required:
                    self._object("missing_field", f"{event} requires the field {name!r}")
            elif (fitted := fit(value)) is _UNFIT:
                self._object("wrong_type", f"{event}: the field {name!r} takes {_explain(field)}")
            else:
                line[name] = fitted
        for name, value in given.items():
            if value is not None:
                self._object("unknown_field", f"{event} has no field {name!r}")
        return line

    def _object(self, reason: str, text: str) -> None:
        metrics.log_dropped(reason)
        if self._strict:
            raise UndeclaredError(text)


def _make_fit(field: Field, *, full_numbers: bool) -> Fit:
    if field.values:
        allowed = frozenset(field.values)
        return lambda value: text if isinstance(value, str) and (text := str(value)) in allowed else _UNFIT
    if field.type == "number_e164":
        return lambda value: mask_number(value, full=full_numbers) if isinstance(value, str) else _UNFIT
    return _FITS[field.type]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_FITS: Final[Mapping[str, Fit]] = {
    "string": lambda value: str(value)[:_MAX_STRING] if isinstance(value, str) else _UNFIT,
    "integer": lambda value: value if isinstance(value, int) and not isinstance(value, bool) else _UNFIT,
    "number": lambda value: round(value, 3) if _is_number(value) else _UNFIT,
    "boolean": lambda value: value if isinstance(value, bool) else _UNFIT,
    "exception": lambda value: describe_exception(value) if isinstance(value, BaseException) else _UNFIT,
}


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
