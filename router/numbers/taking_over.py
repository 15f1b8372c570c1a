"""Taking over a number that exists on a carrier account.

It is looked up in the account, claimed here, configured there, and only then active. An address that a provider's
import wrote on it is kept before ours is written. After a crash in between, it can
be taken over again a minute later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from adapters.base import ProviderError
from adapters.carrier import Account, Carrier, CarrierNumber
from adapters.twilio import ABOUT
from router.accounts import CARRIER, REQUEST_SECONDS, Accounts
from router.errors import ConflictError, InvalidError, NoKeyError, NumberNotFoundError, UnknownClientError
from router.numbers.configuration import FallbackUrls, configure
from router.numbers.redirects import Redirects
from router.refusals import explain_refusal
from router.store.changes import Author, Change, Changes
from router.store.keys.versions import find_key_in_use
from router.store.numbers.numbers import (
    Number,
    activate_number,
    claim_number,
    confirm_fallback,
    delete_numbers,
    find_number,
)
from router.store.tenants.agencies import lock_agency
from router.store.tenants.clients import is_phone_of_a_person, lock_client
from router.wanted import WantedAssistants


@dataclass(frozen=True, slots=True)
class Claim:
    """Which number, on whose account it is, and which client it is for."""

    e164: str
    account: Literal["platform", "agency"]
    client_id: str


@dataclass(frozen=True, slots=True)
class TakingOver:
    changes: Changes
    accounts: Accounts
    carrier: Carrier
    fallback_urls: FallbackUrls
    redirects: Redirects
    wanted: WantedAssistants

    async def take_over(self, agency_id: str, claim: Claim, author: Author) -> Number:
        """The number, configured and active. Raises DomainError."""
        account, there = await self._find(await self._choose_accounts(agency_id, claim, author), claim.e164)
        async with self.changes.begin(author, agency_id) as change:
            number = await self._insert(change, agency_id, claim, account, there)
        await self.redirects.keep(number, there.voice_url)
        try:
            await configure(self.carrier, account, number)
        except ProviderError as error:
            await delete_numbers(self.changes.database.settings, agency_id, [number.e164])
            raise explain_refusal(ABOUT, error) from None
        async with self.changes.begin(author, agency_id) as change:
            return await self._activate(change, number)

    async def _choose_accounts(self, agency_id: str, claim: Claim, author: Author) -> Sequence[Account]:
        """The accounts to look in: the operator may have moved a platform number to the agency's subaccount."""
        if claim.account == "platform":
            if not author.is_operator:
                raise InvalidError(
                    "account", 'must be "agency": only the operator may take over numbers on the platform\'s account'
                )
            if self.accounts.platform is None:
                raise NoKeyError(
                    "The platform has no Twilio account: set CALLROUTER_TWILIO_ACCOUNT_SID and _AUTH_TOKEN."
                )
            subaccount = await self.accounts.find_subaccount(agency_id)
            return [self.accounts.platform, *([subaccount] if subaccount else [])]
        account = await self.accounts.find_own(agency_id)
        if account is None:
            raise NoKeyError(f"The agency has no Twilio account here: save one with PUT /keys/{CARRIER} first.")
        return [account]

    async def _find(self, accounts: Sequence[Account], e164: str) -> tuple[Account, CarrierNumber]:
        for account in accounts:
            try:
                there = await self.carrier.find_number(account, e164, REQUEST_SECONDS)
            except ProviderError as error:
                raise explain_refusal(ABOUT, error) from None
            if there is not None:
                return account, there
        raise NumberNotFoundError(f"{e164} is not in the account {accounts[0].sid}.")

    async def _insert(
        self, change: Change, agency_id: str, claim: Claim, account: Account, there: CarrierNumber
    ) -> Number:
        """Claim the number, unless it is taken."""
        await _check_account_unchanged(change, agency_id, claim, account)
        client = await lock_client(change.connection, agency_id, claim.client_id)
        if client is None:
            raise UnknownClientError
        if await is_phone_of_a_person(change.connection, agency_id, claim.e164):
            raise InvalidError(
                "e164", "is the personal_phone or transfer_to of a client: ringing it would call this service again"
            )
        number = Number(
            account_sid=account.sid,
            e164=claim.e164,
            agency_id=agency_id,
            client_id=client.id,
            carrier=CARRIER,
            account=claim.account,
            number_sid=there.sid,
            voice_url=self.fallback_urls.addresses.voice,
            fallback_url=self.fallback_urls.make(client, claim.e164),
            status_url=self.fallback_urls.addresses.status,
            state="pending",
            fallback_state="stale",
            created_at=self.changes.clock(),
        )
        if not await claim_number(change.connection, number):
            raise ConflictError(f"{claim.e164} is set up already, here or on this account.")
        return number

    async def _activate(self, change: Change, number: Number) -> Number:
        await lock_agency(change.connection, number.agency_id)
        client = await lock_client(change.connection, number.agency_id, number.client_id)
        await activate_number(change.connection, number.agency_id, number.e164)
        await confirm_fallback(change.connection, number.agency_id, number.e164, number.fallback_url)
        await change.record("number.taken_over", number.e164)
        found = await find_number(change.connection, number.agency_id, number.e164)
        if found is None or client is None:
            raise ConflictError("The number was deleted while it was being set up.")
        await self.wanted.want_client(change.connection, client)
        return change.done(found)


async def _check_account_unchanged(change: Change, agency_id: str, claim: Claim, account: Account) -> None:
    """Lock the agency, so that its Twilio key cannot be replaced while the number is claimed."""
    await lock_agency(change.connection, agency_id)
    if claim.account == "platform":
        return
    key = await find_key_in_use(change.connection, agency_id, CARRIER)
    if key is None or key.account_sid != account.sid:
        raise ConflictError("The agency's Twilio key was changed at the same time. Try again.")
