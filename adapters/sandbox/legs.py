"""The far end's verdict on a leg that the simulated carrier wants to place to a provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import parse_qsl, unquote

LegKind: TypeAlias = Literal["stream", "sip", "number", "redirect"]

OK = 200
UNAUTHORIZED = 401
UNPAID = 402
FORBIDDEN = 403
NOT_FOUND = 404
UNAVAILABLE = 480
BUSY = 486
NOT_ACCEPTABLE = 488


@dataclass(frozen=True, slots=True)
class LegVerdict:
    """Whether a leg's address is good for a call. A stream's `sip_code` is that of a SIP leg in the same trouble."""

    result: Literal["answered", "rejected"]
    sip_code: int = OK
    provider: str | None = None
    reason: str = ""
    provider_call_id: str | None = None


def answered(provider: str, provider_call_id: str | None) -> LegVerdict:
    return LegVerdict("answered", OK, provider, "the assistant answered", provider_call_id)


def rejected(provider: str | None, sip_code: int, reason: str, provider_call_id: str | None = None) -> LegVerdict:
    return LegVerdict("rejected", sip_code, provider, reason, provider_call_id)


@dataclass(frozen=True, slots=True)
class SipAddress:
    """`sip:user@host:port;parameters?headers`, names in lower case, values decoded."""

    user: str
    host: str
    port: int | None
    parameters: dict[str, str]
    headers: dict[str, str]


def parse_sip(uri: str, more_headers: Mapping[str, str]) -> SipAddress:
    """Raises ValueError for anything but a SIP URI (RFC 3261, 19.1.1)."""
    scheme, _, rest = uri.strip().partition(":")
    if scheme.lower() not in {"sip", "sips"} or "@" not in rest:
        raise ValueError("not of the form sip:user@host")
    address, _, headers = rest.partition("?")
    user, _, place = address.rpartition("@")
    host_and_port, *parameters = place.split(";")
    host, _, port = host_and_port.partition(":")
    named = (parameter.partition("=") for parameter in parameters)
    return SipAddress(
        user=unquote(user),
        host=host.lower(),
        port=int(port) if port else None,
        parameters={name.lower(): value for name, _, value in named},
        headers={name.lower(): value for name, value in [*more_headers.items(), *parse_qsl(headers)]},
    )
