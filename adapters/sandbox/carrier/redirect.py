"""Redirect: the call goes on with another document, of the same server or of somebody else's.

What somebody else's document does is not executed here: the far end says whether that server takes the call, and then its
AI talks. Of the connection overrides in the fragment, those that limit the time count.
Sources: Twilio docs: TwiML Redirect; Webhooks connection overrides; Availability and Reliability.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, urlsplit

from adapters.sandbox.carrier.document import Element
from adapters.sandbox.carrier.fetching import END, Document, Fetch, Outcome
from adapters.sandbox.carrier.line import Line
from adapters.sandbox.carrier.live import CLOSED_AFTER, let_ai_talk
from adapters.sandbox.carrier.timeline import Leg
from adapters.sandbox.legs import LegVerdict

_MOST_SECONDS: Final = 15.0
_REFUSED, _TIMED_OUT = 11200, 11205
_RETRIEVAL_ERRORS: Final = {"busy": "HTTP 503", "fails": "HTTP 502"}
_REQUEST_SECONDS: Final = 1.0  # until a server that works has answered


async def redirect(line: Line, document: Document, element: Element, _index: int) -> Outcome:
    url = document.locate(element.text)
    ours = {_host(each) for each in (line.carrier.voice_url, line.carrier.fallback_url or "", document.url)}
    if _host(url) in ours:
        return Fetch(url, "redirect", element.get("method", "POST"))
    return await _leave(line, url, _time_limit(element.text.partition("#")[2]))


async def _leave(line: Line, url: str, limit: float) -> Outcome:
    verdict = await line.carrier.far_end.leg("redirect", url, line.parameters())
    outcome = line.next_ai_outcome()
    if line.script.caller == "hangs-up-while-ringing":
        await line.ring(_REQUEST_SECONDS / 2)
        line.hang_up("while another server is asked")
        return END
    if verdict.result == "rejected":
        return await _fail(line, url, verdict, _REFUSED, f"HTTP {verdict.sip_code}: {verdict.reason}")
    if outcome in ("no-answer", "never-starts"):
        await line.ring(limit)
        return await _fail(line, url, verdict, _TIMED_OUT, f"no answer within {limit:g} s")
    if outcome in _RETRIEVAL_ERRORS:
        return await _fail(line, url, verdict, _REFUSED, _RETRIEVAL_ERRORS[outcome])
    await line.ring(_REQUEST_SECONDS)
    await _talk(line, url, verdict, closes=outcome == "closes")
    return END


async def _talk(line: Line, url: str, verdict: LegVerdict, *, closes: bool) -> None:
    line.answer()
    line.reached("ai", verdict.provider, verdict.provider_call_id)
    began = line.clock.now
    try:
        await let_ai_talk(line, CLOSED_AFTER if closes else line.script.ai_talks, acts=not closes)
        if line.script.caller == "hangs-up-during-ai" and not closes:
            line.hang_up("while talking to the AI")
    finally:
        _keep(line, url, verdict, "answered", line.clock.now - began)


async def _fail(line: Line, url: str, verdict: LegVerdict, code: int, why: str) -> Outcome:
    """Twilio asks the number's fallback. The address may hold a secret: the timeline does not show it."""
    _keep(line, url, verdict, "failed", reason=why)
    line.note("request", f"redirect: {code}: {why}")
    return await line.fall_back(code, url) or END


def _keep(line: Line, url: str, verdict: LegVerdict, status: str, talked: float = 0, reason: str = "") -> None:
    line.add_leg(
        Leg(
            at=round(line.clock.now - talked, 1),
            kind="redirect",
            address=url.partition("?")[0],
            who="ai",
            provider=verdict.provider,
            status=status,
            ring_seconds=0,
            talk_seconds=round(talked, 1),
            bridged=status == "answered",
            reason=reason,
        )
    )


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _time_limit(overrides: str) -> float:
    """Seconds until Twilio gives the server up."""
    asked = dict(parse_qsl(overrides))
    return min(float(asked[name]) / 1000 if name in asked else _MOST_SECONDS for name in ("rt", "tt"))
