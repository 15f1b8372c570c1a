"""The document that a called person hears before being put through to the caller.

It runs on the called leg; an empty rest of it means "put through" (Twilio docs: TwiML Number, `url`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from adapters.sandbox.carrier.document import Element
from adapters.sandbox.carrier.fetching import Document, Fetch
from adapters.sandbox.carrier.legs import PlannedLeg
from adapters.sandbox.carrier.line import MAX_DOCUMENTS, Line
from adapters.sandbox.carrier.speech import speak


async def screen(line: Line, dialled: Document, leg: PlannedLeg, shown: str) -> bool:
    """Whether the called leg is put through. `shown` is the caller ID; the caller hears ringing meanwhile."""
    if "url" not in leg.noun.attributes:
        return True
    parameters = leg.parameters(line, shown, "in-progress")
    fetch = Fetch(dialled.locate(leg.noun.get("url")), "screening", leg.noun.get("method", "POST"))
    keys = _keys_pressed(line, leg)
    for _ in range(MAX_DOCUMENTS):
        document = await line.fetch_for_leg(fetch, parameters)
        if document is None:
            return False
        went_on = await _execute(line, document, keys)
        if not isinstance(went_on, Fetch):
            return went_on == "put through"
        fetch = went_on
    line.violate("the screening goes round in circles")
    return False


def _keys_pressed(line: Line, leg: PlannedLeg) -> list[str]:
    if leg.who != "owner":
        return []
    return {"accepts": [line.script.accept_key], "declines": [line.script.decline_key]}.get(line.script.owner, [])


async def _execute(line: Line, document: Document, keys: list[str]) -> Fetch | Literal["put through", "hung up"]:
    for verb in document.root.children:
        if verb.name == "Hangup":
            line.note("end", "the router hangs up the called leg")
            return "hung up"
        if verb.name == "Gather":
            pressed = await _gather(line, document, verb, keys)
            if pressed is not None:
                return pressed
        elif verb.name in ("Say", "Play"):
            await speak(line, verb, ringing=True)
    return "put through"


async def _gather(line: Line, document: Document, gather: Element, keys: list[str]) -> Fetch | None:
    """What is requested with the key that was pressed; None if none was, and the next verb is executed."""
    for prompt in gather.children:
        await speak(line, prompt, ringing=True)
    if not keys or "dtmf" not in gather.get("input", "dtmf").split():
        await line.ring(gather.number("timeout", 5))
        return None
    key = keys.pop(0)
    line.note("caller", f"the called person presses {key}")
    digits: Mapping[str, str] = {"Digits": "" if key == gather.get("finishOnKey", "#") else key}
    return document.action(gather, "key pressed", digits)
