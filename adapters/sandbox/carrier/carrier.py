"""The carrier itself: an inbound call from its first request to the status callback after its end."""

from __future__ import annotations

import contextlib
from functools import cache

import httpx

from adapters.sandbox.api import new_id
from adapters.sandbox.carrier.fetching import Document, Fetch, Interrupted
from adapters.sandbox.carrier.line import Clock, Line
from adapters.sandbox.carrier.live import go_on
from adapters.sandbox.carrier.parameters import progress_parameters
from adapters.sandbox.carrier.requests import Requests
from adapters.sandbox.carrier.script import Script
from adapters.sandbox.carrier.setup import Setup
from adapters.sandbox.carrier.timeline import CarrierViolation, Timeline
from adapters.sandbox.carrier.verbs import execute

_ssl_context = cache(httpx.create_ssl_context)  # reading all the certificates takes 20 ms


class Carrier(Setup):
    """Twilio, as far as a router sees it of one account."""

    async def place_call(
        self,
        *,
        to: str,
        from_: str | None,
        script: Script | None = None,
        call_sid: str | None = None,
        forwarded_from: str | None = None,
    ) -> Timeline:
        """One call from beginning to end. `from_` None: the caller withholds the number.

        Raises CarrierViolation, with the timeline, if the carrier is strict and the router broke a rule.
        """
        caller = self.quirks.withheld if from_ is None else from_
        timeline = Timeline(call_sid=call_sid or new_id("CA"), from_=caller, to=to)
        # Idle connections are dropped before servers close them, which they do after five seconds or more.
        limits = httpx.Limits(keepalive_expiry=2)
        given = contextlib.nullcontext(self.client) if self.client else None
        async with given or httpx.AsyncClient(trust_env=False, verify=_ssl_context(), limits=limits) as client:
            requests = Requests(client, self.auth_token, self.quirks)
            await call_in(Line(self, requests, script or Script(), Clock(), timeline, call_in, forwarded_from))
        if self.strict and timeline.violations:
            raise CarrierViolation(timeline)
        return timeline


async def call_in(line: Line) -> None:
    """Run a call to its end: document after document, then the callbacks that follow the end."""
    started = line.clock.now
    line.note("caller", f"a call from {line.timeline.from_ or '(empty)'} to {line.timeline.to}")
    await line.tell_standing()
    document = await line.fetch(Fetch(line.carrier.voice_url.partition("#")[0], "incoming call"))
    while document is not None:
        document = await _next_document(line, document)
    await _finish(line, started)


async def _next_document(line: Line, document: Document) -> Document | None:
    try:
        following = await execute(line, document)
        if isinstance(following, Fetch):
            following = await line.fetch(following)
        if following is None and not line.gone:
            await line.look()  # the call may have been moved while its last document was requested
    except Interrupted as change:
        return await go_on(line, change)
    return following


async def _finish(line: Line, started: float) -> None:
    timeline = line.timeline
    if not line.gone and not line.ended_by_api and timeline.answered_by != "rejected":
        line.status = "no-answer" if line.answered_at is None and not line.broken else "completed"
    _judge(line)
    timeline.final_status = line.status
    timeline.seconds = round(line.clock.now - started, 1)
    timeline.ringing_seconds = round(timeline.ringing_seconds, 1)
    line.note("end", f"the call is over: {timeline.answered_by}, {line.status}")
    await line.tell_standing()
    if line.carrier.status_url:
        talked = 0 if line.answered_at is None else round(line.clock.now - line.answered_at)
        ended = {"CallDuration": str(talked), "Duration": str(-(-talked // 60))} | progress_parameters(0)
        await line.tell(Fetch(line.carrier.status_url, "call status", parameters=line.parameters() | ended))
    for tell in line.after_the_end:
        await tell()


def _judge(line: Line) -> None:
    """Fills in who answered where no one has been noted."""
    timeline = line.timeline
    if line.broken:
        timeline.answered_by = "application-error"
    elif timeline.answered_by != "nobody":
        return
    elif line.gone:
        timeline.answered_by = "abandoned"
    elif line.heard:
        timeline.answered_by = "spoken"
    elif timeline.fallback_used:
        timeline.answered_by = "fallback"
