"""The far end of a leg: the sandbox of the providers, asked over HTTP, or a stand-in that takes every leg.

Also the control client of that sandbox: faults, and recordings for the carrier's API to serve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol
from urllib.parse import quote

import httpx

from adapters.sandbox.legs import LegKind, LegVerdict
from crypto.secret import Secret


@dataclass(frozen=True, slots=True)
class Standing:
    """How a call stands. Seconds are virtual: since its beginning, and since its answer (None without one)."""

    account_sid: str
    call_sid: str
    caller: str
    to: str
    status: str
    seconds: float
    talked: int | None
    forwarded_from: str | None


class FarEnd(Protocol):
    """Says who is at an address. `parameters` are a stream's Parameters, or the headers of a SIP address."""

    async def leg(self, kind: LegKind, address: str, parameters: Mapping[str, str]) -> LegVerdict:
        """A number that no provider has is answered with `provider` None: it is a person's phone."""
        ...

    async def keep_recording(self, account_sid: str, call_sid: str, recording_sid: str, seconds: int) -> None:
        """Have a recording where the carrier's API serves it."""
        ...

    async def keep_call(self, standing: Standing) -> Sequence[Mapping[str, str]]:
        """Have the carrier's API show the call as it is. Returns the updates that it was sent there meanwhile, oldest
        first, each once (Twilio docs: Call resource, Update).
        """
        ...


class Anybody:
    """Takes every leg: for a router whose providers are real or unknown. Numbers are people's phones."""

    async def leg(self, kind: LegKind, address: str, parameters: Mapping[str, str]) -> LegVerdict:  # noqa: ARG002
        return LegVerdict("answered")

    async def keep_recording(self, account_sid: str, call_sid: str, recording_sid: str, seconds: int) -> None:
        """Without a sandbox, no API serves it."""

    async def keep_call(self, standing: Standing) -> Sequence[Mapping[str, str]]:  # noqa: ARG002
        """Without a sandbox, no API updates it."""
        return ()


class SandboxError(Exception):
    """The sandbox can't be reached or refused a request. The text is meant for people."""


@dataclass(frozen=True, slots=True)
class NumberAddresses:
    """What is configured for a number at the carrier; empty where nothing is."""

    voice_url: str
    fallback_url: str
    status_url: str


@dataclass(frozen=True, slots=True)
class NumberOwner:
    """The carrier account that has a number, or the voice provider that sold it; neither for an unknown number."""

    account_sid: str | None = None
    auth_token: str | None = field(default=None, repr=False)
    provider: str | None = None


class SandboxControl:
    """A client of a running sandbox. `base_url`: without `/vapi` or the like. Every method raises SandboxError."""

    def __init__(self, base_url: str, client: httpx.AsyncClient) -> None:
        self._base_url = base_url.rstrip("/")
        self._client = client

    async def leg(self, kind: LegKind, address: str, parameters: Mapping[str, str]) -> LegVerdict:
        leg = {"kind": kind, "address": address, "parameters": dict(parameters)}
        return LegVerdict(**await self._ask("POST", "control/legs", leg))

    async def keep_recording(self, account_sid: str, call_sid: str, recording_sid: str, seconds: int) -> None:
        sids = {"account_sid": account_sid, "call_sid": call_sid, "recording_sid": recording_sid}
        await self._ask("POST", "control/recordings", sids | {"seconds": seconds})

    async def keep_call(self, standing: Standing) -> Sequence[Mapping[str, str]]:
        said = await self._ask("PUT", "control/calls", asdict(standing))
        return list(said["updates"])

    async def set_faults(self, faults: Mapping[str, str]) -> None:
        """Make providers fail from now on, e.g. {"vapi": "503"}."""
        await self._ask("PUT", "control/faults", dict(faults))

    async def clear_faults(self) -> None:
        await self._ask("DELETE", "control/faults")

    async def find_number(self, account_sid: str, auth_token: Secret, e164: str) -> NumberAddresses | None:
        """What the carrier's own API says of a number (Twilio docs: IncomingPhoneNumber resource)."""
        path = f"twilio/2010-04-01/Accounts/{account_sid}/IncomingPhoneNumbers.json?PhoneNumber={quote(e164)}"
        said = await self._ask("GET", path, auth=(account_sid, auth_token.reveal()))
        for number in said.get("incoming_phone_numbers") or []:
            if number.get("phone_number") == e164:
                names = ("voice_url", "voice_fallback_url", "status_callback")
                return NumberAddresses(*(number.get(name) or "" for name in names))
        return None

    async def find_owner(self, e164: str) -> NumberOwner:
        """Whose a number is in the sandbox."""
        return NumberOwner(**await self._ask("GET", f"control/numbers/{quote(e164, safe='')}"))

    async def _ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, auth: tuple[str, str] | None = None
    ) -> dict[str, Any]:
        url = f"{self._base_url}/{path}"
        try:
            response = await self._client.request(method, url, json=body, auth=auth, timeout=10)
        except httpx.HTTPError as error:
            raise SandboxError(f"the sandbox at {self._base_url} cannot be reached ({type(error).__name__})") from None
        if not response.is_success:
            asked = f"{method} /{path.partition('?')[0]}"
            raise SandboxError(f"the sandbox answered {asked} with HTTP {response.status_code}: {_reason(response)}")
        said = response.json() if response.content else {}
        return said if isinstance(said, dict) else {}


def _reason(response: httpx.Response) -> str:
    try:
        said = response.json()
    except ValueError:
        said = None
    reason = (said.get("error") or said.get("message")) if isinstance(said, dict) else None
    return str(reason or response.text)[:300].strip()
