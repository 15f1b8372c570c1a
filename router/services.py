"""What the API is handed: everything that reaches outside, made by the composition root."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Final

from adapters.base import Account, Carrier, VoiceProvider
from adapters.portable import AssistantHost, LineTeller, NumberHost
from adapters.receivers import Receivers
from crypto import Keyring, Secret
from router.addresses import Addresses
from router.calls.claims import Caps
from router.composition.areas import Areas, make_areas
from router.events.feed import EventFeed
from router.routing.dispatch import Dispatcher
from router.store.pool import Database

_ID_BYTES: Final = 15  # 24 characters of base32, no padding


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class ApiServices:
    """`voice` by name, in the order in which providers stand in for each other. URLs have no slash at the end.

    `dispatcher` and `caps` are those of live calls: what is explained is what they would do. A provider without a host
    keeps nothing for us: its assistants are linked, its numbers registered by hand.
    """

    database: Database
    keyring: Keyring
    fallback_keyring: Keyring
    voice: Mapping[str, VoiceProvider]
    carrier: Carrier
    dispatcher: Dispatcher
    caps: Caps
    feed: EventFeed
    receivers: Receivers
    platform_account: Account | None
    admin_token: Secret
    public_url: str
    fallback_url: str
    assistant_hosts: Mapping[str, AssistantHost] = field(default_factory=dict)
    number_hosts: Mapping[str, NumberHost] = field(default_factory=dict)
    line_tellers: Mapping[str, LineTeller] = field(default_factory=dict)
    clock: Callable[[], datetime] = utc_now
    random: Callable[[int], bytes] = os.urandom

    def new_id(self, prefix: str) -> str:
        """An opaque id that nobody can guess."""
        return f"{prefix}_{base64.b32encode(self.random(_ID_BYTES)).decode().lower()}"

    def new_secret(self, prefix: str) -> Secret:
        """256 random bits, after a prefix by which leaked ones can be found."""
        return Secret(f"{prefix}_{base64.urlsafe_b64encode(self.random(32)).decode().rstrip('=')}")

    @property
    def voice_url(self) -> str:
        """Where the carrier announces calls."""
        return f"{self.public_url}/webhooks/twilio/voice"

    @property
    def status_url(self) -> str:
        return f"{self.public_url}/webhooks/twilio/status"

    @cached_property
    def areas(self) -> Areas:
        return make_areas(
            database=self.database,
            keyring=self.keyring,
            fallback_keyring=self.fallback_keyring,
            addresses=Addresses(self.public_url, self.fallback_url),
            carrier=self.carrier,
            platform=self.platform_account,
            providers=self.voice,
            assistant_hosts=self.assistant_hosts,
            number_hosts=self.number_hosts,
            line_tellers=self.line_tellers,
            clock=self.clock,
        )
