"""Say and Play: what is heard, and how long it takes."""

from __future__ import annotations

from adapters.sandbox.carrier.document import Element
from adapters.sandbox.carrier.line import Line

_CHARACTERS_A_SECOND = 15
_PLAYED_SECONDS = 5.0


async def speak(line: Line, element: Element, *, share: float = 1, ringing: bool = False) -> None:
    """Let a Say, Play or Pause be heard, or a share of it; `ringing` while the caller still waits for an answer."""
    if element.name != "Pause":
        line.note("spoken", element.text)
        line.heard = line.heard or not ringing
    seconds = _seconds(element) * share
    await (line.ring(seconds) if ringing else line.pass_time(seconds))


def _seconds(element: Element) -> float:
    if element.name == "Pause":
        return element.number("length", 1)
    once = _PLAYED_SECONDS if element.name == "Play" else max(1.0, len(element.text) / _CHARACTERS_A_SECOND)
    return once * max(1, element.number("loop", 1))
