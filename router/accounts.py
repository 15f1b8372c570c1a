"""Carrier accounts opened for one piece of work: the platform's, an agency's own, or the subaccount made for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from adapters.carrier import Account
from crypto import OpenError
from router.store.keys.versions import StoredKey, find_account_key, find_key_in_use
from router.store.pool import Connection
from router.vault import Vault

CARRIER: Final = "twilio"
"""The kind of key that opens a carrier account."""

SUBACCOUNT: Final = "subaccount"
"""The kind of key that opens the subaccount that the platform made for an agency; agencies do not see it."""

REQUEST_SECONDS: Final = 8.0
"""For one request to the carrier, or to a provider about a number, while an agency waits."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """`pool` is the settings pool, or one connection. Without a `platform` account, only agencies' own accounts work."""

    pool: Connection
    vault: Vault
    platform: Account | None = field(repr=False)

    async def open(self, agency_id: str, account_sid: str) -> Account | None:
        """None: there is no key for it."""
        if self.is_platform(account_sid):
            return self.platform
        key = await find_account_key(self.pool, agency_id, account_sid)
        return None if key is None else self.open_key(key)

    async def find_own(self, agency_id: str) -> Account | None:
        """The agency's own account, if it saved a key for one."""
        return await self.find(self.pool, agency_id, CARRIER)

    async def find_subaccount(self, agency_id: str) -> Account | None:
        """The platform's subaccount for this agency, if one has been made."""
        return await self.find(self.pool, agency_id, SUBACCOUNT)

    async def find(self, connection: Connection, agency_id: str, kind: str) -> Account | None:
        key = await find_key_in_use(connection, agency_id, kind)
        return None if key is None or key.account_sid is None else self.open_key(key)

    def open_key(self, key: StoredKey) -> Account | None:
        """None if it does not open."""
        try:
            return Account(key.account_sid or "", self.vault.open_key(key))
        except OpenError:
            return None

    def is_platform(self, account_sid: str) -> bool:
        """Whether this is the platform's main account, which never goes to a provider."""
        return self.platform is not None and self.platform.sid.lower() == account_sid.lower()
