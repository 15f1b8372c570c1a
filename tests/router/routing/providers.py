"""Providers at the network's edge, as a test wants them to behave: what the router asks of one on a call, and nothing behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from adapters.base import Handoff, InboundCall, SipHandoff, Target
from adapters.provider import Provider
from crypto import Secret
from router.routing.route import Access, Route

Client: TypeAlias = tuple[Secret, float]

NAMES = ("one", "two", "three")


@dataclass
class FakeProvider:
    """Answers with `answer`, or raises it, once `release` is set; remembers what it was asked."""

    name: str
    answer: Handoff | BaseException
    ends_calls: bool = True
    end_fails: Exception | None = None
    release: asyncio.Event | None = None
    asked: list[tuple[InboundCall, Target, str, float]] = field(default_factory=list)
    ended: list[tuple[str, str]] = field(default_factory=list)
    cancelled: int = 0

    @property
    def calls(self) -> FakeProvider:
        return self

    @property
    def end_call(self) -> Callable[[Client, str], Awaitable[None]] | None:
        return self._end if self.ends_calls else None

    def open(self, key: Secret, limit: float) -> Client:
        return key, limit

    def missing(self, target: Target) -> Literal["assistant", "registration"] | None:
        return None if target.assistant_id else "assistant"

    async def hand_off(self, client: Client, call: InboundCall, target: Target) -> Handoff:
        key, limit = client
        self.asked.append((call, target, key.reveal(), limit))
        try:
            if self.release is not None:
                await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    async def _end(self, client: Client, provider_call_id: str) -> None:
        self.ended.append((provider_call_id, client[0].reveal()))
        if self.end_fails is not None:
            raise self.end_fails


def handoff_of(name: str) -> SipHandoff:
    return SipHandoff(f"sip:{name}@example.com", provider_call_id=f"call-at-{name}")


def make_providers(*names: str) -> dict[str, FakeProvider]:
    return {name: FakeProvider(name, handoff_of(name)) for name in names or NAMES}


def as_protocol(providers: dict[str, FakeProvider]) -> Mapping[str, Provider[Any]]:
    """The fakes as the router is handed providers: they have as much of one as it asks for on a call."""
    return dict(providers)  # type: ignore[arg-type]


def make_access(name: str, *, key: bool = True, assistant: bool = True, version: int = 1) -> Access:
    target = Target(f"assistant-{name}") if assistant else Target()
    return Access(name, target, f"sealed-{name}" if key else None, version)


def make_route(*accesses: Access, **changes) -> Route:
    values = {"agency_id": "agency_1", "client_id": "client_1", "client_name": "Acme", "account_sid": "AC1"}
    return Route(**{**values, "number": "+15005550001", "accesses": accesses, **changes})
