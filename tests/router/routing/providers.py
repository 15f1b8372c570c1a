"""Providers at the network's edge, as a test wants them to behave: the protocol of adapters.base and nothing behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from adapters.base import (
    Capabilities,
    Handoff,
    InboundCall,
    KeyCheck,
    ProviderEvent,
    SipHandoff,
    Target,
    VoiceProvider,
)
from crypto import Secret
from router.routing.route import Access, Route

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
    def capabilities(self) -> Capabilities:
        return Capabilities(self.ends_calls, "none")

    def missing(self, target: Target) -> Literal["assistant", "registration"] | None:
        return None if target.assistant_id else "assistant"

    async def hand_off(self, call: InboundCall, target: Target, key: Secret, limit: float) -> Handoff:
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

    async def end_call(self, provider_call_id: str, key: Secret, limit: float) -> None:  # noqa: ARG002
        self.ended.append((provider_call_id, key.reveal()))
        if self.end_fails is not None:
            raise self.end_fails

    async def check_key(self, key: Secret, limit: float) -> KeyCheck:  # noqa: ARG002
        return KeyCheck("valid")

    def verify_webhook(
        self,
        headers: Mapping[str, str],  # noqa: ARG002
        body: bytes,  # noqa: ARG002
        secrets: Sequence[Secret],  # noqa: ARG002
        now: datetime,  # noqa: ARG002
    ) -> bool:
        return False

    def read_event(self, body: bytes) -> ProviderEvent:
        raise ValueError(body)

    def answer_question(
        self, event: ProviderEvent, assistant_id: str, variables: Mapping[str, str], metadata: Mapping[str, str]
    ) -> dict[str, Any]:
        raise ValueError(event, assistant_id, variables, metadata)


def handoff_of(name: str) -> SipHandoff:
    return SipHandoff(f"sip:{name}@example.com", provider_call_id=f"call-at-{name}")


def make_providers(*names: str) -> dict[str, FakeProvider]:
    return {name: FakeProvider(name, handoff_of(name)) for name in names or NAMES}


def as_protocol(providers: dict[str, FakeProvider]) -> Mapping[str, VoiceProvider]:
    """What mypy would say if it looked: the fakes are what the router is handed."""
    return dict(providers)


def make_access(name: str, *, key: bool = True, assistant: bool = True, version: int = 1) -> Access:
    target = Target(f"assistant-{name}") if assistant else Target()
    return Access(name, target, f"sealed-{name}" if key else None, version)


def make_route(*accesses: Access, **changes) -> Route:
    values = {"agency_id": "agency_1", "client_id": "client_1", "client_name": "Acme", "account_sid": "AC1"}
    return Route(**{**values, "number": "+15005550001", "accesses": accesses, **changes})
