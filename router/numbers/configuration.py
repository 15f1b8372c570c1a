"""What we set up on a carrier's number: our addresses, and the static fallback that answers when we cannot."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from adapters.carrier import Account, Carrier, CarrierNumber
from crypto import Keyring, OpenError
from router.accounts import REQUEST_SECONDS
from router.addresses import Addresses
from router.calls.fallback import Fallback, as_carried, fallback_address, open_fallback, when_the_owner_rings
from router.dialling import Dialling
from router.store.numbers.numbers import Number
from router.store.tenants.clients import Client, read_routing
from router.telemetry import emit


@dataclass(frozen=True, slots=True)
class FallbackUrls:
    """Addresses that carry a number's static fallback, sealed with `keyring`."""

    keyring: Keyring = field(repr=False)
    addresses: Addresses
    dialling: Dialling

    def make(self, client: Client, e164: str) -> str:
        return fallback_address(self.keyring, self.addresses.fallback_url, self._make_fallback(client, e164))

    def is_current(self, url: str, client: Client, e164: str) -> bool:
        """Whether this address holds the number's current fallback. Addresses for the same one differ as text."""
        try:
            there = open_fallback(self.keyring, url.rpartition("?t=")[2])
        except OpenError:
            return False
        base = self.addresses.fallback_url
        return url.startswith(base) and there == as_carried(self.keyring, base, self._make_fallback(client, e164))

    def _make_fallback(self, client: Client, e164: str) -> Fallback:
        fallback = make_fallback(client, e164)
        return replace(fallback, phone=self.dialling.only(fallback.phone))


def make_fallback(client: Client, e164: str) -> Fallback:
    """What the carrier does when we do not answer: ring the owner when the routing does, and take a message."""
    routing = read_routing(client.routing)
    rings = when_the_owner_rings(routing)
    return Fallback(
        agency_id=client.agency_id,
        client_id=client.id,
        client_name=client.name,
        number=e164,
        phone=client.personal_phone if rings else None,
        ring_seconds=routing.ring_seconds,
        screen=routing.screen,
        caller_id="number" if client.caller_id == "number" else "caller",
        language=client.language,
        greeting=routing.voicemail_greeting,
        voicemail_seconds=routing.voicemail_seconds,
        ring_times=None if isinstance(rings, bool) or client.personal_phone is None else rings,
    )


async def configure(carrier: Carrier, account: Account, number: Number) -> CarrierNumber:
    """Point the number at us. The number as the carrier has it then. Raises ProviderError."""
    return await carrier.configure_number(
        account,
        number.number_sid,
        voice_url=number.voice_url,
        fallback_url=number.fallback_url,
        status_url=number.status_url,
        limit=REQUEST_SECONDS,
    )


def tell_drift(number: Number, reason: str) -> None:
    emit(
        "number.drifted",
        agency_id=number.agency_id,
        client_id=number.client_id,
        number=number.e164,
        reason=reason,
    )
