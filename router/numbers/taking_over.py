"""Taking over a number that exists: POST /v1/agencies/{agency}/numbers with an account.

It is looked up in the carrier account, claimed here, configured there, and only then active. One that a crash left half
way can be taken over again a minute later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from adapters.base import Account, CarrierNumber, ProviderError
from router.api.models import NewNumber, NumberReply
from router.api.operations import Answer, ApiRequest, Changes
from router.api.problems import Problem, invalid
from router.numbers.accounts import find_own_account, find_subaccount
from router.numbers.after import after_new_number
from router.numbers.carriers import REQUEST_SECONDS, configure, make_fallback_url, refusal
from router.services import CARRIER, ApiServices
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
from router.store.tenants.clients import is_personal_phone, lock_client


@dataclass(frozen=True, slots=True)
class _Wish:
    """Which number, where it is, and whose it is to be."""

    e164: str
    account: Literal["platform", "agency"]
    client_id: str


async def take_over(request: ApiRequest[NewNumber]) -> Answer:
    services, wish = request.services, _read_wish(request.body)
    account, there = await _find(services, await _choose_accounts(request, wish), wish.e164)
    async with request.changes() as changes:
        number = await _claim(request, changes, wish, account, there)
    try:
        await configure(services, account, number)
    except ProviderError as error:
        await delete_numbers(services.database.settings, number.agency_id, [number.e164])
        raise refusal(CARRIER, error) from None
    async with request.changes() as changes:
        await lock_agency(changes.connection, number.agency_id)
        client = await lock_client(changes.connection, number.agency_id, number.client_id)
        await activate_number(changes.connection, number.agency_id, number.e164)
        await confirm_fallback(changes.connection, number.agency_id, number.e164, number.fallback_url)
        await changes.record("number.taken_over", number.e164)
        found = await find_number(changes.connection, number.agency_id, number.e164)
        if found is None or client is None:
            raise Problem("conflict", "The number was deleted while it was being set up.")
        await after_new_number(changes.connection, services, client)
        return changes.answer(201, NumberReply.model_validate(found))


def _read_wish(body: NewNumber) -> _Wish:
    if body.e164 is None or body.account is None:  # the model has seen to that
        raise invalid("e164", "is required")
    return _Wish(body.e164, body.account, body.client_id)


async def _find(services: ApiServices, accounts: Sequence[Account], e164: str) -> tuple[Account, CarrierNumber]:
    """Raises Problem."""
    for account in accounts:
        try:
            there = await services.carrier.find_number(account, e164, REQUEST_SECONDS)
        except ProviderError as error:
            raise refusal(CARRIER, error) from None
        if there is not None:
            return account, there
    raise Problem("number-not-found", f"{e164} is not in the account {accounts[0].sid}.")


async def _choose_accounts(request: ApiRequest[NewNumber], wish: _Wish) -> Sequence[Account]:
    """The operator may have moved a number from the platform's main account to the subaccount for this agency.

    Raises Problem, also for an agency that would help itself on the platform's account.
    """
    services = request.services
    if wish.account == "platform":
        if not request.actor.is_admin:
            raise invalid(
                "account", 'must be "agency": only the operator takes over numbers of the platform\'s account'
            )
        if services.platform_account is None:
            raise Problem(
                "no-key", "The platform has no Twilio account: set CALLROUTER_TWILIO_ACCOUNT_SID and _AUTH_TOKEN."
            )
        subaccount = await find_subaccount(services, request.agency_id)
        return [services.platform_account, *([subaccount] if subaccount else [])]
    account = await find_own_account(services, request.agency_id)
    if account is None:
        raise Problem("no-key", f"The agency has no Twilio account here: save one with PUT /keys/{CARRIER} first.")
    return [account]


async def _claim(
    request: ApiRequest[NewNumber], changes: Changes, wish: _Wish, account: Account, there: CarrierNumber
) -> Number:
    """The number is ours from here on, unless somebody else has it. Raises Problem."""
    services = request.services
    await _check_account_unchanged(request, changes, wish, account)
    client = await lock_client(changes.connection, request.agency_id, wish.client_id)
    if client is None:
        raise invalid("client_id", "must be the id of a client of this agency")
    if await is_personal_phone(changes.connection, request.agency_id, wish.e164):
        raise invalid("e164", "is the personal_phone of a client: ringing it would go round in circles")
    number = Number(
        account_sid=account.sid,
        e164=wish.e164,
        agency_id=request.agency_id,
        client_id=client.id,
        carrier=CARRIER,
        account=wish.account,
        number_sid=there.sid,
        voice_url=services.voice_url,
        fallback_url=make_fallback_url(services, client, wish.e164),
        status_url=services.status_url,
        state="pending",
        fallback_state="stale",
        created_at=services.clock(),
    )
    if not await claim_number(changes.connection, number):
        raise Problem("conflict", f"{wish.e164} is set up already, here or on this account.")
    return number


async def _check_account_unchanged(
    request: ApiRequest[NewNumber], changes: Changes, wish: _Wish, account: Account
) -> None:
    """With the agency locked, its token cannot be taken away from under its new number."""
    await lock_agency(changes.connection, request.agency_id)
    if wish.account == "platform":
        return
    key = await find_key_in_use(changes.connection, request.agency_id, CARRIER)
    if key is None or key.account_sid != account.sid:
        raise Problem("conflict", "The agency's Twilio key was changed at the same moment. Try again.")
