"""The sandbox: the four stand-ins, what was asked of them, what goes wrong, and who answers a leg."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping

from adapters.sandbox import bland, legs, retell, vapi
from adapters.sandbox.api import Api, Asked, Clock, utc_now
from adapters.sandbox.bland import Bland
from adapters.sandbox.faults import Faults
from adapters.sandbox.legs import LegKind, LegVerdict, SipAddress, parse_sip
from adapters.sandbox.retell import Retell
from adapters.sandbox.twilio import Twilio
from adapters.sandbox.vapi import Vapi

REQUESTS_KEPT = 5000


class Sandbox:
    """Everything the stand-ins know. `clock` lets a test move time past a registration's or session's end."""

    def __init__(self, clock: Clock = utc_now) -> None:
        self.twilio = Twilio(clock)
        self.vapi = Vapi(self.twilio, clock)
        self.retell = Retell(clock)
        self.bland = Bland(self.twilio, clock)
        self.faults = Faults(tuple(api.name for api in self.apis))
        self.requests: deque[Asked] = deque(maxlen=REQUESTS_KEPT)
        self.stopping = asyncio.Event()
        self.sip_hosts = {vapi.SIP_HOST: "vapi", retell.SIP_HOST: "retell"} | dict.fromkeys(bland.SIP_HOSTS, "bland")
        self.clock = clock

    @property
    def apis(self) -> tuple[Api, ...]:
        return (self.vapi, self.retell, self.bland, self.twilio)

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

        `address` is a stream's URL, a SIP URI or an E.164 number; `parameters` are those of a stream, or SIP headers
        that the URI does not name itself.
        """
        if kind == "stream":
            return self.vapi.answer_stream(address, parameters or {})
        if kind == "number":
            return self.bland.answer_number(address)
        try:
            return self._answer_sip(parse_sip(address, parameters or {}))
        except ValueError as problem:
            return legs.rejected(None, legs.NOT_FOUND, f"no SIP address ({problem}): {address}")

    def _answer_sip(self, address: SipAddress) -> LegVerdict:
        match self.sip_hosts.get(address.host):
            case "vapi":
                return self.vapi.answer_sip(address)
            case "retell":
                return self.retell.answer_sip(address)
            case "bland":
                return self.bland.answer_sip(address)
            case _:
                return legs.rejected(None, legs.NOT_FOUND, f"nobody in the sandbox is called {address.host}")
