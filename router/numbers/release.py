"""Letting go of numbers, at whoever has them, before they are forgotten here.

A number on the agency's own account, and one of the platform's that was only taken over, stays where it is without our
addresses. One that was bought here on the platform's money, or from a voice provider, is given back for good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from adapters.base import ErrorKind, ProviderError
from adapters.portable import NativeNumber
from router.api.problems import Problem
from router.numbers.accounts import close_subaccount
from router.numbers.carriers import REQUEST_SECONDS, open_account, refusal
from router.numbers.former import delete_former_registrations
from router.numbers.provider_keys import open_provider_key
from router.particulars import particulars_of
from router.services import CARRIER, SUBACCOUNT, ApiServices
from router.store.numbers.numbers import Number, delete_numbers
from router.store.numbers.registrations import drop_registrations
from router.store.pool import Connection
from router.telemetry import emit

_AT_ONCE: Final = 10  # requests for one request to us
_MOST_AT_ONCE: Final = 200
_LEAVE_SECONDS: Final = 6.0


async def release_numbers(services: ApiServices, numbers: Sequence[Number]) -> None:
    """May be repeated. Raises Problem; then some may be released."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def release(number: Number) -> None:
        async with gate:
            await _release(services, number)

    for outcome in await asyncio.gather(*(release(number) for number in numbers), return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


async def forget_numbers(connection: Connection, numbers: Sequence[Number]) -> None:
    """Here; their counterparts of ours at providers are deleted by and by."""
    for number in numbers:
        await drop_registrations(connection, number.agency_id, e164=number.e164)
        await delete_numbers(connection, number.agency_id, [number.e164])


async def leave_provider(services: ApiServices, agency_id: str, provider: str) -> None:
    """While there still is a key: our counterparts of the agency's numbers go, as far as a few seconds allow.

    Raises no ProviderError. What stays opens nothing, once its carrier key is revoked.
    """
    async with services.database.settings.acquire() as connection, connection.transaction():
        await drop_registrations(connection, agency_id, provider=provider)
    with suppress(TimeoutError):
        async with asyncio.timeout(_LEAVE_SECONDS):
            await delete_former_registrations(services, agency_id=agency_id, provider=provider, limit=_MOST_AT_ONCE)


async def leave_for_good(services: ApiServices, agency_id: str, numbers: Sequence[Number]) -> None:
    """All that an agency has outside, before it is deleted with its keys. Raises Problem; then some may be gone.

    Counterparts that a provider does not let go of now stay on the agency's own account there, and open nothing.
    """
    await release_numbers(services, numbers)
    async with services.database.settings.acquire() as connection, connection.transaction():
        await forget_numbers(connection, numbers)
    await delete_former_registrations(services, agency_id=agency_id, limit=len(numbers) * len(services.number_hosts))
    try:
        await close_subaccount(services, agency_id)
    except ProviderError as error:
        raise refusal(CARRIER, error) from None


async def _release(services: ApiServices, number: Number) -> None:
    """Raises Problem."""
    try:
        if number.is_native:
            await _release_native(services, number)
        elif number.account == "platform" and number.bought:
            await _release_at_carrier(services, number)
        else:
            await _clear_addresses(services, number)
    except ProviderError as error:
        if error.kind is ErrorKind.BAD_REQUEST:
            raise _explain(number, error) from None
        if error.kind is not ErrorKind.KEY_REJECTED:
            raise refusal(number.carrier, error) from None
        # Whoever has no key for it any more cannot give it back: it is theirs to do where they have one.
        kind = SUBACCOUNT if number.account == "platform" else number.carrier
        emit("key.failing", agency_id=number.agency_id, kind=kind, reason=error.kind.value)


def _explain(number: Number, error: ProviderError) -> Problem:
    """Asking again would not help: somebody has to do something there."""
    label = particulars_of(number.carrier).label
    said = f" It said: {error.said}." if error.said else ""
    return Problem("conflict", f"{label} does not let go of {number.e164}.{said}")


async def _release_native(services: ApiServices, number: Number) -> None:
    key = await open_provider_key(services, number.agency_id, number.carrier)
    host = services.number_hosts.get(number.carrier)
    if key is None or host is None:
        return
    await host.release_native(NativeNumber(number.e164, number.number_sid), key.secret, REQUEST_SECONDS)
    _tell(number)


async def _release_at_carrier(services: ApiServices, number: Number) -> None:
    account = await open_account(services, number.agency_id, number.account_sid)
    if account is None:
        return
    await services.carrier.release_number(account, number.number_sid, REQUEST_SECONDS)
    _tell(number)


async def _clear_addresses(services: ApiServices, number: Number) -> None:
    """Where they are still ours."""
    account = await open_account(services, number.agency_id, number.account_sid)
    if account is None:
        return
    there = await services.carrier.find_number(account, number.e164, REQUEST_SECONDS)
    if there is None or there.voice_url != number.voice_url or there.trunk_sid or there.application_sid:
        return
    await services.carrier.configure_number(
        account,
        there.sid,
        voice_url="",
        fallback_url="",
        status_url="" if there.status_url == number.status_url else there.status_url,
        limit=REQUEST_SECONDS,
    )


def _tell(number: Number) -> None:
    emit("number.released", agency_id=number.agency_id, number=number.e164, carrier=number.carrier)
