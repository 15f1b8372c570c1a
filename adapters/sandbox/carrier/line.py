"""The caller's line during one call: its status, its clock, its timeline, and every request made on its behalf.

The verbs act on it; what they do is in `verbs.py`, `connect.py` and `dial.py`.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias
from urllib.parse import urljoin

from adapters.sandbox.carrier.document import DocumentError, Element, read_reply
from adapters.sandbox.carrier.far_end import FarEnd
from adapters.sandbox.carrier.parameters import inbound_parameters, query_of
from adapters.sandbox.carrier.requests import Reply, Requests
from adapters.sandbox.carrier.rules import check_document
from adapters.sandbox.carrier.script import AiOutcome, Quirks, Script
from adapters.sandbox.carrier.timeline import Entry, EntryKind, Leg, Request, Timeline

PassTime: TypeAlias = Callable[[float], Awaitable[None]]
Status: TypeAlias = Literal["ringing", "in-progress", "completed", "busy", "no-answer", "canceled"]

MAX_DOCUMENTS = 25  # a call that needs more goes round in circles


@dataclass(frozen=True, slots=True)
class Account:
    """The carrier account that a call comes in on, and what is configured for the called number."""

    sid: str
    voice_url: str
    fallback_url: str | None
    status_url: str | None
    numbers: frozenset[str]


@dataclass(slots=True)
class Clock:
    """Virtual seconds since the first call came in; a call that comes in during that call shares it."""

    now: float = 0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all calls of a carrier have in common."""

    account: Account
    requests: Requests
    far_end: FarEnd
    quirks: Quirks
    pass_time: PassTime
    pass_stream_time: PassTime
    call_in: Callable[[Line], Awaitable[None]]  # runs a call from its first request to its end


@dataclass(frozen=True, slots=True)
class Fetch:
    """A document to be requested: where, how, with which parameters beside the normal ones, and what for."""

    url: str
    purpose: str
    method: str = "POST"
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Document:
    """A document that can be executed, and the URL that its relative URLs start from."""

    url: str
    root: Element

    def locate(self, reference: str) -> str:
        """The URL of a reference in this document, without fragment; the document's own for an empty one.

        One that makes no sense comes back as it is: the rules have complained, and requesting it will fail.
        """
        try:
            return urljoin(self.url, reference.strip()).partition("#")[0]
        except ValueError:
            return reference

    def action(self, element: Element, purpose: str, parameters: Mapping[str, str]) -> Fetch:
        """What is requested when an element is done; without an action, this document once more."""
        return Fetch(self.locate(element.get("action")), purpose, element.get("method", "POST"), parameters)


@dataclass(slots=True)
class Line:
    """One caller on the line."""

    surroundings: Surroundings
    script: Script
    clock: Clock
    timeline: Timeline
    forwarded_from: str | None = None
    is_forwarded: bool = False  # the call is another call's leg that came back to us
    status: Status = "ringing"
    answered_at: float | None = None  # when Twilio took the call, to let somebody or a machine speak
    gone: bool = False  # the caller hung up
    broken: bool = False  # the caller heard "application error"
    heard: bool = False  # the caller heard a word of ours
    ai_attempts: int = 0
    after_the_end: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    _call_token: str = field(default_factory=lambda: secrets.token_hex(16))
    _documents: int = 0

    @property
    def quirks(self) -> Quirks:
        return self.surroundings.quirks

    @property
    def account(self) -> Account:
        return self.surroundings.account

    def next_ai_outcome(self) -> AiOutcome:
        """What the script has for the AI leg that is about to be made."""
        self.ai_attempts += 1
        return self.script.ai_outcome(self.ai_attempts - 1)

    async def pass_time(self, seconds: float, *, streaming: bool = False) -> None:
        self.clock.now += seconds
        await (self.surroundings.pass_stream_time if streaming else self.surroundings.pass_time)(seconds)

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

    def reached(self, who: Literal["ai", "owner", "mailbox", "voicemail"], provider: str | None = None) -> None:
        """Somebody or something listens to the caller now."""
        self.timeline.answered_by = who
        self.timeline.provider = provider
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
            account_sid=self.account.sid,
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
        return document if isinstance(document, Document) else await self._fall_back(document, fetch.url)

    async def fetch_for_leg(self, fetch: Fetch, parameters: Mapping[str, str]) -> Document | None:
        """A document for a called leg; None if there is none to execute, and that leg is hung up."""
        document = await self._request(fetch, parameters, screening=True)
        return document if isinstance(document, Document) else None

    async def fetch_for_nobody(self, fetch: Fetch) -> None:
        """The action of a verb that ended because the caller hung up: its document is not executed."""
        await self._request(fetch, self.parameters())

    async def tell(self, fetch: Fetch) -> None:
        """A status callback, which has no normal parameters: only that it is answered matters."""
        reply = await self._send(fetch, fetch.parameters)
        if reply.error is not None:
            self.fail(f"{fetch.purpose}: 15003: {reply.detail}")

    async def _fall_back(self, code: int, failed_url: str) -> Document | None:
        url = self.account.fallback_url
        if url is not None and not self.timeline.fallback_used:
            self.timeline.fallback_used = True
            fetch = Fetch(
                url.partition("#")[0], "fallback", parameters={"ErrorCode": str(code), "ErrorUrl": failed_url}
            )
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
        try:
            root, complaint = read_reply(reply.content_type, reply.body)
        except DocumentError as error:
            self.violate(f"{fetch.purpose}: {error}")
            return error.code
        self.timeline.documents.append(reply.body.decode(errors="replace"))
        if complaint:
            self.violate(f"{fetch.purpose}: {complaint}")
        problems = check_document(root, screening=screening, answered=self.answered_at is not None)
        for problem in problems:
            self.violate(f"{fetch.purpose}: {problem}")
        fatal = next((problem.code for problem in problems if problem.fatal), None)
        return Document(reply.url, root) if fatal is None else fatal

    async def _send(self, fetch: Fetch, parameters: Mapping[str, str]) -> Reply:
        """Several copies of a request count as one: the last answer is taken."""
        sent = query_of(parameters) if fetch.method == "GET" else dict(parameters)
        replies = await self.surroundings.requests.send(fetch.method, fetch.url, sent)
        for copy, reply in enumerate(replies):
            self._keep(
                Request(
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
            )
        return replies[-1]

    def _keep(self, request: Request) -> None:
        self.timeline.requests.append(request)
        self.note("request", request.describe())
