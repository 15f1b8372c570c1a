"""A live call that the carrier's API changes: what it goes on with, and whether the action that it leaves is asked for.

Sources: Twilio docs: Call resource (Update), TwiML Connect and Dial (action); error 15004.
"""

from __future__ import annotations

from collections.abc import Iterator

from adapters.sandbox.carrier.document import Element
from adapters.sandbox.carrier.fetching import Document, Fetch
from adapters.sandbox.carrier.interruption import Interrupted
from adapters.sandbox.carrier.line import Line

_ADDRESSES = ("action", "url", "statusCallback", "recordingStatusCallback", "transcribeCallback")


async def let_ai_talk(line: Line, seconds: float, *, acts: bool, streaming: bool = False) -> None:
    """Let an AI talk; after a while it, or somebody for it, may act on the call. Raises Interrupted."""
    if not acts or line.surroundings.during_ai is None:
        await line.pass_time(seconds, streaming=streaming)
        return
    before = min(line.script.ai_acts_after, seconds)
    await line.pass_time(before, streaming=streaming)
    await line.act()
    await line.pass_time(seconds - before, streaming=streaming)


async def go_on(line: Line, change: Interrupted) -> Document | None:
    """The document that an update has the call go on with; None if it is over."""
    update = change.update
    if change.is_end:
        return None
    if "FallbackUrl" in update or not line.quirks.redirect_keeps_fallback:
        line.fallback_url = update.get("FallbackUrl")
    if "Twiml" not in update:
        return await line.fetch(Fetch(update["Url"], "redirected", update.get("Method", "POST")))
    document = await line.read(update["Twiml"])
    for reference in _relative(document.root) if document else ():
        line.violate(f"15004: {reference!r} in an update's TwiML is not absolute")
    return document


async def ask_action(line: Line, action: Fetch, change: Interrupted, *, after_hangup: bool) -> None:
    """The action of the verb that was interrupted. Raises Interrupted anew where the action has the last word."""
    if change.is_end:
        if after_hangup:
            await line.fetch_for_nobody(action)
        return
    match line.quirks.action_after_redirect:
        case "ignored":
            await line.fetch_for_nobody(action)
        case "executed":
            await go_on(line, change)
            raise Interrupted({"Url": action.url, "Method": action.method})
        case "not asked":
            return


def _relative(element: Element) -> Iterator[str]:
    for name in _ADDRESSES:
        reference = element.get(name)
        if reference and "://" not in reference:
            yield reference
    for child in element.children:
        yield from _relative(child)
