"""Redacts values that could hold a secret or a person's number: foreign text, exceptions, phone numbers.

A safety net below the catalogue's allow-list, not a reason to log unchecked values.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any, Final

from router.telemetry.events.words import NOT_A_NUMBER

_REMOVED: Final = "[removed]"
_MAX_MESSAGE: Final = 500
_MAX_FRAMES: Final = 20
_MAX_CAUSES: Final = 5

_E164 = re.compile(r"\+[1-9]\d{6,14}")
_USER_IN_URL = re.compile(r"(?<=://)[^/\s@]+@")
_NAMED_SECRET = re.compile(
    r"""(?i)\b(\w*(?:authorization|api[-_]?key|token|secret|password|signature|cookie)\w*)(["']?\s*[:=,]\s*b?["']?)"""
    r"(?:(?:bearer|basic)\s+)?[^\s,;&\"']+"
)
_SCHEMED_SECRET = re.compile(r"(?i)\b(bearer|basic)\s+[^\s,;\"']+")
# A key, hash or ID: long and with a digit, or longer than any word.
_RANDOM = re.compile(r"(?=[\w+=/-]*\d)[\w+=/-]{16,}|[\w+=/-]{32,}")
_NUMBER_IN_TEXT = re.compile(r"(?:\+|%2[bB])([1-9]\d{6,14})")


def mask_number(value: str, *, full: bool = False) -> str:
    """A phone number with only its last four digits; `other` for anything that is not an E.164 number."""
    if not _E164.fullmatch(value):
        return NOT_A_NUMBER
    return value if full else f"+{'*' * (len(value) - 5)}{value[-4:]}"


def mask_numbers(text: str) -> str:
    """The text with each E.164 number in it masked."""
    return _NUMBER_IN_TEXT.sub(lambda found: mask_number(f"+{found[1]}"), text)


def redact(text: str, *, full_numbers: bool = False) -> str:
    """The first line of a library's message, without phone numbers and anything that looks like a credential.

    Libraries print objects on later lines: asyncio's report of a failed task contains the exception's message.
    """
    line = text.split("\n", 1)[0][:_MAX_MESSAGE]
    line = _USER_IN_URL.sub(f"{_REMOVED}@", line)
    line = _NAMED_SECRET.sub(rf"\1\2{_REMOVED}", line)
    line = _SCHEMED_SECRET.sub(rf"\1 {_REMOVED}", line)
    if not full_numbers:
        line = mask_numbers(line)
    return _RANDOM.sub(_REMOVED, line)


def describe_exception(error: BaseException) -> dict[str, Any]:
    """Type, frames from the outermost to the innermost, and causes. Never a message or a variable: they may hold a key."""
    frames = [_describe_frame(frame, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    causes = []
    for cause in _walk_causes(error):
        place = [_describe_frame(frame, line) for frame, line in traceback.walk_tb(cause.__traceback__)][-1:]
        causes.append(" at ".join([_type_name(cause), *place]))
    return {"type": _type_name(error), "frames": frames[-_MAX_FRAMES:], "causes": causes}


def _walk_causes(error: BaseException) -> Iterator[BaseException]:
    seen = {id(error)}
    waiting = _direct_causes(error)
    while waiting and len(seen) <= _MAX_CAUSES:
        cause = waiting.pop(0)
        if id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            waiting += _direct_causes(cause)


def _direct_causes(error: BaseException) -> list[BaseException]:
    members = list(error.exceptions) if isinstance(error, BaseExceptionGroup) else []
    origin = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return [*members, origin] if origin else members


def _describe_frame(frame: Any, line: int) -> str:
    code = frame.f_code
    return f"{'/'.join(PurePath(code.co_filename).parts[-3:])}:{line} {code.co_qualname}"


def _type_name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
