"""Carrier accounts and what we set up on their numbers: our addresses, and the static fallback of each number."""

from __future__ import annotations

from typing import Final

from adapters.base import Account, ErrorKind, ProviderError
from crypto import OpenError
from router.api.problems import Problem
from router.calls.fallback import Fallback, fallback_address, open_fallback
from router.particulars import particulars_of
from router.routing.route import Mode
from router.services import ApiServices
from router.store.keys.versions import StoredKey, find_account_key
from router.store.numbers.numbers import Number
from router.store.sealed import open_key
from router.store.tenants.clients import Client, read_routing
from router.telemetry import emit

REQUEST_SECONDS: Final = 8.0


def unreachable(kind: str, error: ProviderError) -> Problem:
    return Problem(
        "provider-unreachable",
        f"{particulars_of(kind).label} could not be asked ({error}). Try again soon.",
        headers={"Retry-After": "5"},
    )


def refusal(kind: str, error: ProviderError) -> Problem:
    """What the agency hears of a failure at a provider or the carrier."""
    if error.kind is not ErrorKind.KEY_REJECTED:
        return unreachable(kind, error)
    particulars = particulars_of(kind)
    said = f" It said: {error.said}." if error.said else ""
    return Problem("key-rejected", f"{particulars.label} refused the key.{said} {particulars.find_key}")


async def open_account(services: ApiServices, agency_id: str, account_sid: str) -> Account | None:
    """The platform's account, the agency's own or its subaccount. None: there is no token for it."""
    platform = services.platform_account
    if platform and platform.sid == account_sid:
        return platform
    key = await find_account_key(services.database.settings, agency_id, account_sid)
    return None if key is None else open_account_key(services, key)


def open_account_key(services: ApiServices, key: StoredKey) -> Account | None:
    """None for one that does not open, which is said loudly."""
    try:
        token = open_key(services.keyring, key.sealed, key.agency_id, key.kind, key.version)
    except OpenError:
        emit("key.unreadable", agency_id=key.agency_id, kind=key.kind, key_version=key.version)
        return None
    return Account(key.account_sid or "", token)


def make_fallback(client: Client, e164: str) -> Fallback:
    """What the carrier is to do when we do not answer: ring the owner, unless the client wants no ringing at all."""
    routing = read_routing(client.routing)
    return Fallback(
        agency_id=client.agency_id,
        client_id=client.id,
        client_name=client.name,
        number=e164,
        phone=None if routing.mode is Mode.VOICEMAIL else client.personal_phone,
        ring_seconds=routing.ring_seconds,
        screen=routing.screen,
        caller_id="number" if client.caller_id == "number" else "caller",
        language=client.language,
        greeting=routing.voicemail_greeting,
        voicemail_seconds=routing.voicemail_seconds,
    )


def make_fallback_url(services: ApiServices, client: Client, e164: str) -> str:
    return fallback_address(services.fallback_keyring, services.fallback_url, make_fallback(client, e164))


def is_fallback_of(services: ApiServices, url: str, client: Client, e164: str) -> bool:
    """Whether this address says of the number what is to be done now. Two such addresses are never equal as texts."""
    try:
        there = open_fallback(services.fallback_keyring, url.rpartition("?t=")[2])
    except OpenError:
        return False
    return url.startswith(services.fallback_url) and there == make_fallback(client, e164)


async def configure(services: ApiServices, account: Account, number: Number) -> None:
    """Point the number at us. Raises ProviderError."""
    await services.carrier.configure_number(
        account,
        number.number_sid,
        voice_url=number.voice_url,
        fallback_url=number.fallback_url,
        status_url=number.status_url,
        limit=REQUEST_SECONDS,
    )
