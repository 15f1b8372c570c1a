"""The caller's line during one call: its status, its clock, its timeline, and every request made on its behalf.

The verbs act on it; what they do is in `verbs.py`, `connect.py` and `dial.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from adapters.sandbox.api import new_id
from adapters.sandbox.carrier.document import DocumentError, read_reply
from adapters.sandbox.carrier.far_end import Standing
from adapters.sandbox.carrier.fetching import Document, Fetch, Interrupted
from adapters.sandbox.carrier.parameters import inbound_parameters, query_of
from adapters.sandbox.carrier.requests import Reply, Requests
from adapters.sandbox.carrier.rules import check_document
from adapters.sandbox.carrier.script import AiOutcome, Quirks, Script
from adapters.sandbox.carrier.setup import Setup
from adapters.sandbox.carrier.timeline import Entry, EntryKind, Leg, Request, Timeline

Status: TypeAlias = Literal["ringing", "in-progress", "completed", "busy", "no-answer", "canceled"]

MAX_DOCUMENTS = 25  # a call that needs more goes round in circles


@dataclass(slots=True)
class Clock:
    """Virtual seconds since the first call came in; a call that comes in during that call shares it."""

    now: float = 0


@dataclass(slots=True)
class Line:
    """One caller on the line."""

    carrier: Setup
    requests: Requests
    script: Script
    clock: Clock
    timeline: Timeline
    call_in: Callable[[Line], Awaitable[None]]  # runs a call, be it this one or one that this one causes, to its end
    forwarded_from: str | None = None
    is_forwarded: bool = False  # the call is another call's leg that came back to us
    status: Status = "ringing"
    answered_at: float | None = None  # when Twilio took the call, to let somebody or a machine speak
    gone: bool = False  # the caller hung up
    broken: bool = False  # the caller heard "application error"
    heard: bool = False  # the caller heard a word of ours
    ai_attempts: int = 0
    after_the_end: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    ended_by_api: bool = False
    began_at: float = field(init=False)
    fallback_url: str | None = field(init=False)
    time_limit: int | None = None  # seconds from the beginning, set by the carrier's API
    _call_token: str = field(default_factory=new_id)
    _documents: int = 0

    def __post_init__(self) -> None:
        self.began_at = self.clock.now
        self.fallback_url = self.carrier.fallback_url

    @property
    def quirks(self) -> Quirks:
        return self.carrier.quirks

    @property
    def ids(self) -> dict[str, str]:
        """The parameters by which every callback names the call."""
        return {"AccountSid": self.carrier.account_sid, "CallSid": self.timeline.call_sid}

    def next_ai_outcome(self) -> AiOutcome:
        """What the script has for the AI leg that is about to be made."""
        self.ai_attempts += 1
        return self.script.ai_outcome(self.ai_attempts - 1)

    async def pass_time(self, seconds: float, *, streaming: bool = False) -> None:
        """Raises Interrupted if the call's time is up meanwhile, or the carrier's API was asked to change it."""
        left = seconds if self.time_limit is None else max(0, self.began_at + self.time_limit - self.clock.now)
        passing = min(seconds, left)
        pass_time = (self.carrier.pass_stream_time if streaming else None) or self.carrier.pass_time
        if streaming and self.carrier.watch_every is not None:
            await self._watch(asyncio.ensure_future(pass_time(passing)), passing, self.carrier.watch_every)
        else:
            self.clock.now += passing
            await pass_time(passing)
        await self.look()
        if left < seconds:
            self.note("end", f"the call is cut off after {self.time_limit} s, its TimeLimit")
            self.end("completed")
            raise Interrupted({"Status": "completed"})

    async def act(self) -> None:
        """Run `during_ai` with an up-to-date call in the carrier's API. Raises Interrupted if it changed the call."""
        if self.carrier.during_ai is not None:
            await self.look()
            await self.carrier.during_ai(self.timeline)
            await self.look()

    async def look(self) -> None:
        """Report the call to the carrier's API and apply the updates that it received. Raises Interrupted."""
        change: Mapping[str, str] | None = None
        for update in await self.tell_standing():
            if "TimeLimit" in update:
                self.time_limit = int(update["TimeLimit"])
            if update.keys() & {"Url", "Twiml", "Status"}:
                change = update
        if change is None or self.gone:
            return
        if "Status" in change:
            self.note("update", "the call is ended through the carrier's API")
            self.end("completed" if self.answered_at is not None else "canceled")
        else:
            self.note("update", "the call is moved through the carrier's API")
        raise Interrupted(change)

    async def tell_standing(self) -> Sequence[Mapping[str, str]]:
        """Report the call to the carrier's API; returns the updates that it received meanwhile."""
        standing = Standing(
            account_sid=self.carrier.account_sid,
            call_sid=self.timeline.call_sid,
            caller=self.timeline.from_,
            to=self.timeline.to,
            status=self.status,
            seconds=self.clock.now - self.began_at,
            talked=None if self.answered_at is None else round(self.clock.now - self.answered_at),
            forwarded_from=self.forwarded_from,
        )
        return await self.carrier.far_end.keep_call(standing)

    def end(self, status: Status) -> None:
        """The carrier itself ends the call."""
        self.status = status
        self.ended_by_api = True

    async def ring(self, seconds: float, *, streaming: bool = False) -> None:
        """Time in which the caller waits for somebody to answer."""
        self.timeline.ringing_seconds += seconds
        await self.pass_time(seconds, streaming=streaming)

    def answer(self) -> None:
        """Twilio takes the call: from here on the caller pays."""
        if self.answered_at is None:
            self.answered_at = self.clock.now
            self.status = "in-progress"

    def hang_up(self, when: str) -> None:
        """The caller hangs up."""
        self.gone = True
        self.status = "completed" if self.answered_at is not None else self.quirks.abandoned_status
        self.note("caller", f"the caller hangs up {when}")

    def reached(
        self,
        who: Literal["ai", "owner", "mailbox", "voicemail"],
        provider: str | None = None,
        provider_call_id: str | None = None,
    ) -> None:
        """Somebody or something listens to the caller now."""
        self.timeline.answered_by = who
        self.timeline.provider = provider
        self.timeline.provider_call_id = provider_call_id
        self.timeline.answered_at = round(self.clock.now, 1)

    def note(self, kind: EntryKind, text: str) -> None:
        self.timeline.entries.append(Entry(round(self.clock.now, 1), kind, text))

    def violate(self, text: str) -> None:
        self.timeline.violations.append(text)
        self.note("violation", text)

    def fail(self, text: str) -> None:
        self.timeline.failures.append(text)
        self.note("failure", text)

    def add_leg(self, leg: Leg) -> None:
        self.timeline.legs.append(leg)
        self.note("leg", leg.describe())

    def parameters(self) -> dict[str, str]:
        """The normal parameters of a request about this line as it is now."""
        return inbound_parameters(
            account_sid=self.carrier.account_sid,
            call_sid=self.timeline.call_sid,
            caller=self.timeline.from_,
            called=self.timeline.to,
            status=self.status,
            token=self._call_token,
            forwarded_from=self.forwarded_from,
        )

    async def fetch(self, fetch: Fetch) -> Document | None:
        """The next document of this line, or the fallback's in its place; None if there is none to execute."""
        self._documents += 1
        if self._documents > MAX_DOCUMENTS:
            self.violate(f"more than {MAX_DOCUMENTS} documents: the call goes round in circles")
            return None
        document = await self._request(fetch, self.parameters())
        return document if isinstance(document, Document) else await self.fall_back(document, fetch.url)

    async def read(self, twiml: str) -> Document | None:
        """Likewise a document that was given with an update of the call, and so has no URL."""
        document = self._read("update", "", "text/xml", twiml.encode())
        return document if isinstance(document, Document) else await self.fall_back(document, "")

    async def fetch_for_leg(self, fetch: Fetch, parameters: Mapping[str, str]) -> Document | None:
        """A document for a called leg; None if there is none to execute, and that leg is hung up."""
        document = await self._request(fetch, parameters, screening=True)
        return document if isinstance(document, Document) else None

    async def request_unheard(self, fetch: Fetch) -> None:
        """The action of a verb that ended because the caller hung up: its document is not executed."""
        await self._request(fetch, self.parameters())

    async def tell(self, fetch: Fetch) -> None:
        """A status callback, which has no normal parameters: only that it is answered matters."""
        reply = await self._send(fetch, fetch.parameters)
        if reply.error is not None:
            self.fail(f"{fetch.purpose}: 15003: {reply.detail}")

    async def fall_back(self, code: int, failed_url: str) -> Document | None:
        """The fallback's document after an error; None if there is none to execute."""
        url = self.fallback_url
        if url is not None and not self.timeline.fallback_used:
            self.timeline.fallback_used = True
            error = {"ErrorCode": str(code), "ErrorUrl": failed_url}
            fetch = Fetch(url.partition("#")[0], "fallback", parameters=error)
            document = await self._request(fetch, self.parameters())
            if isinstance(document, Document):
                return document
        self.broken = True
        why = "there is no fallback URL" if url is None else "the fallback failed as well"
        self.fail(f"the caller hears that an application error has occurred: {why}")
        return None

    async def _request(self, fetch: Fetch, normal: Mapping[str, str], *, screening: bool = False) -> Document | int:
        """A document, or the code of the error that Twilio logs in its place."""
        reply = await self._send(fetch, dict(normal) | dict(fetch.parameters))
        if reply.error is not None:
            self.fail(f"{fetch.purpose}: {reply.error}: {reply.detail}")
            return reply.error
        return self._read(fetch.purpose, reply.url, reply.content_type, reply.body, screening=screening)

    def _read(
        self, purpose: str, url: str, content_type: str, body: bytes, *, screening: bool = False
    ) -> Document | int:
        try:
            root, complaint = read_reply(content_type, body)
        except DocumentError as error:
            self.violate(f"{purpose}: {error}")
            return error.code
        self.timeline.documents.append(body.decode(errors="replace"))
        if complaint:
            self.violate(f"{purpose}: {complaint}")
        problems = check_document(root, screening=screening, answered=self.answered_at is not None)
        for problem in problems:
            self.violate(f"{purpose}: {problem}")
        fatal = next((problem.code for problem in problems if problem.fatal), None)
        return Document(url, root) if fatal is None else fatal

    async def _send(self, fetch: Fetch, parameters: Mapping[str, str]) -> Reply:
        """Several copies of a request count as one: the last answer is taken."""
        sent = query_of(parameters) if fetch.method == "GET" else dict(parameters)
        replies = await self.requests.send(fetch.method, fetch.url, sent)
        for copy, reply in enumerate(replies):
            request = Request(
                at=round(self.clock.now, 1),
                purpose=fetch.purpose,
                method=fetch.method,
                url=fetch.url,
                parameters=sent,
                status=reply.status,
                ms=reply.ms,
                body=reply.body.decode(errors="replace"),
                copy=copy,
            )
            self.timeline.requests.append(request)
            self.note("request", request.describe())
        return replies[-1]

    async def _watch(self, passing: asyncio.Future[None], seconds: float, every: float) -> None:
        """Wait until a stream's time has passed, which may be real time, and look at the call now and then."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            while not (await asyncio.wait({passing}, timeout=every))[0]:
                await self.look()
        except Interrupted:
            self.clock.now += min(seconds, loop.time() - began)
            raise
        finally:
            passing.cancel()
        await passing
        self.clock.now += seconds
