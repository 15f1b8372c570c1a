"""How a call goes on after a verb, and after the carrier's API changed it in the middle of one.

Sources: Twilio docs: Call resource (Update), TwiML Connect and Dial (action); error 15004.
"""

from __future__ import annotations

from collections.abc import Iterator

from adapters.sandbox.carrier.document import Element
from adapters.sandbox.carrier.fetching import END, NEXT, Document, Fetch, Interrupted, Outcome
from adapters.sandbox.carrier.line import Line

CLOSED_AFTER = 1.0  # seconds until an AI that closes at once hangs up
_ADDRESSES = ("action", "url", "statusCallback", "recordingStatusCallback", "transcribeCallback")


async def let_ai_talk(line: Line, seconds: float, *, acts: bool, streaming: bool = False) -> None:
    """Let an AI talk; with `acts`, `during_ai` is called in between. Raises Interrupted."""
    if not acts or line.carrier.during_ai is None:
        await line.pass_time(seconds, streaming=streaming)
        return
    before = min(line.script.ai_acts_after, seconds)
    await line.pass_time(before, streaming=streaming)
    await line.act()
    await line.pass_time(seconds - before, streaming=streaming)


async def end_verb(line: Line, element: Element, action: Fetch, *, after_hangup: bool) -> Outcome:
    """How the call goes on after a verb, with the verb's action if it names one."""
    if "action" not in element.attributes:
        return END if line.gone else NEXT
    if not line.gone:
        return action
    if after_hangup:
        await line.request_unheard(action)
    return END


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
    """Requests the action of the verb that was interrupted. Raises Interrupted again where its document is executed."""
    if change.is_end:
        if after_hangup:
            await line.request_unheard(action)
        return
    match line.quirks.action_after_redirect:
        case "ignored":
            await line.request_unheard(action)
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
