"""The carrier itself: an inbound call from its first request to the status callback after its end."""

from __future__ import annotations

from collections.abc import Collection

import httpx

from adapters.sandbox.carrier.far_end import FarEnd
from adapters.sandbox.carrier.fetching import Document, Fetch
from adapters.sandbox.carrier.interruption import Interrupted
from adapters.sandbox.carrier.line import Line
from adapters.sandbox.carrier.live import go_on
from adapters.sandbox.carrier.parameters import progress_parameters
from adapters.sandbox.carrier.requests import Requests
from adapters.sandbox.carrier.script import Quirks, Script
from adapters.sandbox.carrier.surroundings import Account, Act, Clock, PassTime, Surroundings
from adapters.sandbox.carrier.timeline import CarrierViolation, Timeline
from adapters.sandbox.carrier.verbs import execute
from adapters.sandbox.ids import new_id
from crypto.secret import Secret


class Carrier:
    """Twilio, as far as a router sees it of one account.

    `voice_url`, `fallback_url`, `status_url`: what is configured for the numbers, the public URLs that requests are
    signed for; a `client` with a transport of its own may lead them elsewhere. `numbers`: the account's other
    numbers, which may be shown as caller ID. `pass_time` is told every virtual second that goes by, and
    `pass_stream_time` (default: the same) those in which a media stream is up or awaited: the only time that a
    router has to measure with its own clock. `strict`: `place_call` raises CarrierViolation.
    `during_ai` is called with the timeline while an AI talks, `ai_acts_after` seconds into it, and may do what an
    assistant would, such as asking for a transfer. What the carrier's API is asked to change takes effect there and
    whenever time goes by; with `watch_every`, also while a stream's time passes, looked for every so many real seconds.
    """

    def __init__(
        self,
        account_sid: str,
        auth_token: Secret,
        voice_url: str,
        *,
        far_end: FarEnd,
        pass_time: PassTime,
        pass_stream_time: PassTime | None = None,
        fallback_url: str | None = None,
        status_url: str | None = None,
        numbers: Collection[str] = (),
        quirks: Quirks | None = None,
        strict: bool = True,
        client: httpx.AsyncClient | None = None,
        during_ai: Act | None = None,
        watch_every: float | None = None,
    ) -> None:
        self._account = Account(account_sid, voice_url, fallback_url, status_url, frozenset(numbers))
        self._auth_token = auth_token
        self._far_end = far_end
        self._pass_time = pass_time
        self._pass_stream_time = pass_stream_time or pass_time
        self._quirks = quirks or Quirks()
        self._strict = strict
        self._client = client
        self._during_ai = during_ai
        self._watch_every = watch_every

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
        caller = self._quirks.withheld if from_ is None else from_
        timeline = Timeline(call_sid=call_sid or new_id("CA"), from_=caller, to=to)
        if self._client is not None:
            await self._place(self._client, timeline, script or Script(), forwarded_from)
        else:
            # Servers close what is idle after five seconds and more: no request of ours may meet such an end.
            limits = httpx.Limits(keepalive_expiry=2)
            async with httpx.AsyncClient(trust_env=False, limits=limits) as client:
                await self._place(client, timeline, script or Script(), forwarded_from)
        if self._strict and timeline.violations:
            raise CarrierViolation(timeline)
        return timeline

    async def _place(
        self, client: httpx.AsyncClient, timeline: Timeline, script: Script, forwarded_from: str | None
    ) -> None:
        surroundings = Surroundings(
            account=self._account,
            requests=Requests(client, self._auth_token, self._quirks),
            far_end=self._far_end,
            quirks=self._quirks,
            pass_time=self._pass_time,
            pass_stream_time=self._pass_stream_time,
            during_ai=self._during_ai,
            watch_every=self._watch_every,
        )
        await call_in(Line(surroundings, script, Clock(), timeline, call_in, forwarded_from))


async def call_in(line: Line) -> None:
    """Run a call to its end: document after document, then the callbacks that follow the end."""
    started = line.clock.now
    line.note("caller", f"a call from {line.timeline.from_ or '(empty)'} to {line.timeline.to}")
    await line.tell_standing()
    document = await line.fetch(Fetch(line.account.voice_url.partition("#")[0], "incoming call"))
    while document is not None:
        document = await _next_document(line, document)
    await _finish(line, started)


async def _next_document(line: Line, document: Document) -> Document | None:
    change: Interrupted
    try:
        fetch = await execute(line, document)
        following = await line.fetch(fetch) if fetch else None
        if following is None and not line.gone:
            await line.look()  # the call may have been moved while its last document was asked for
    except Interrupted as interrupted:
        change = interrupted
    else:
        return following
    return await go_on(line, change)


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
    if line.account.status_url:
        talked = 0 if line.answered_at is None else round(line.clock.now - line.answered_at)
        ended = {"CallDuration": str(talked), "Duration": str(-(-talked // 60))} | progress_parameters(0)
        await line.tell(Fetch(line.account.status_url, "call status", parameters=line.parameters() | ended))
    for tell in line.after_the_end:
        await tell()


def _judge(line: Line) -> None:
    """Who answered, where nobody has been noted: whoever listened last counts."""
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
