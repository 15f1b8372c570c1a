"""The sandbox: the stand-ins, what was asked of them, what goes wrong, and who answers a leg."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from adapters.sandbox import legs
from adapters.sandbox.api import Asked, Clock, StandIn, utc_now
from adapters.sandbox.bland.api import Bland
from adapters.sandbox.carrier.document import parse_document
from adapters.sandbox.elevenlabs.api import ElevenLabs
from adapters.sandbox.faults import Faults
from adapters.sandbox.legs import LegKind, LegVerdict, parse_sip
from adapters.sandbox.retell.api import Retell
from adapters.sandbox.twilio.api import Twilio
from adapters.sandbox.twilio.records import Account, Call
from adapters.sandbox.vapi.api import Vapi

REQUESTS_KEPT = 5000


def _ignore(_caller: str, _to: str) -> None:
    """A call that a document of the calling side dials leads nowhere, unless somebody places it."""


class Sandbox:
    """Everything the stand-ins know. `clock` lets a test move time past a registration's or session's end."""

    def __init__(self, clock: Clock = utc_now) -> None:
        self.twilio = Twilio(clock)
        self.vapi = Vapi(self.twilio, clock)
        self.retell = Retell(clock)
        self.bland = Bland(self.twilio, clock)
        self.elevenlabs = ElevenLabs(clock)
        self.faults = Faults(tuple(api.name for api in self.apis))
        self.requests: deque[Asked] = deque(maxlen=REQUESTS_KEPT)
        self.stopping = asyncio.Event()
        self._far_ends = {place: answer for api in self.apis for place, answer in api.far_ends().items()}
        self.clock = clock
        self.on_dial: Callable[[str, str], object] = _ignore
        self.twilio.tell_of_calls(self._connect)

    def __getstate__(self) -> dict[str, Any]:
        """All that a restart has to find again: neither what was asked, nor what waits in this process."""
        return self.__dict__ | {
            "requests": deque(maxlen=REQUESTS_KEPT),
            "stopping": asyncio.Event(),
            "on_dial": _ignore,
        }

    @property
    def apis(self) -> tuple[StandIn, ...]:
        return (self.vapi, self.retell, self.bland, self.elevenlabs, self.twilio)

    def requests_to(self, provider: str, path: str | None = None, operation: str | None = None) -> list[Asked]:
        """What a provider was asked, oldest first; `path` is below its prefix."""
        return [
            asked
            for asked in self.requests
            if asked.provider == provider
            and (path is None or asked.path == path)
            and (operation is None or asked.operation == operation)
        ]

    def answer_leg(self, kind: LegKind, address: str, parameters: Mapping[str, str] | None = None) -> LegVerdict:
        """The far end's verdict on a leg of the simulated carrier.

        `address` is a stream's URL, a SIP URI, an E.164 number or the URL of a redirect; `parameters` are those of a
        stream or of the carrier's request, or SIP headers that the URI does not name itself.
        """
        named = parameters or {}
        try:
            sip = parse_sip(address, named) if kind == "sip" else None
            host = "" if kind == "number" else sip.host if sip is not None else urlsplit(address).hostname or ""
        except ValueError as problem:
            return legs.rejected(None, legs.NOT_FOUND, f"not an address ({problem}): {address}")
        if (answer := self._far_ends.get((kind, host))) is None:
            return legs.rejected(None, legs.NOT_FOUND, f"no provider in the sandbox has the host {host}")
        verdict: LegVerdict = answer(address, named) if sip is None else answer(sip)
        return verdict

    def _connect(self, _: Account, call: Call) -> None:
        """A call that an account placed: to a provider, or to a number of the account, whose calling side a document may
        redirect to a provider. Somebody answers such a number.
        """
        document = parse_document((call.document or "<Response/>").encode())
        redirects, dials = document.all("Redirect"), document.all("Dial")
        if dials:  # somebody picks up, and is put through
            call.stands("in-progress", 0, 0)
            for dial in dials:
                self.on_dial(dial.get("callerId") or call.caller, "".join(one.text for one in dial.children))
            return
        if redirects:
            verdict = self.answer_leg("redirect", redirects[0].text.partition("#")[0], {"To": call.to})
        else:
            verdict = self.answer_leg("number" if call.to.startswith("+") else "sip", call.to)
        if verdict.result == "answered":
            call.stands("in-progress", 0, 0)
        else:
            call.stands("completed" if redirects else "failed", 1, 1 if redirects else None)
