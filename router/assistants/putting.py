"""Syncs one client's assistant to a provider, and stores the result."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from adapters.base import ErrorKind, ProviderError
from adapters.portable import Assistant, Copy, Registration
from crypto import OpenError
from router.assistants.definition import read_assistant
from router.assistants.site import KEY_IS_BAD, POLICY, TOO_MUCH, UNREADABLE, WORK_SECONDS, Site
from router.numbers.credentials import RegistrationError
from router.numbers.registrations import Registrations
from router.store.assistants.leftovers import leave_copy
from router.store.assistants.syncs import Claim, Outcome, fail_pending, keep_copy, let_go, postpone, settle
from router.store.numbers.numbers import list_numbers
from router.store.numbers.registrations import fail_registration
from router.store.pool import DATABASE_ERRORS
from router.telemetry import emit

_OUR_MISTAKE: Final = "This failed because of a fault in callrouter, which has been logged. It is tried again."


async def put_assistant(registrations: Registrations, site: Site, claim: Claim) -> bool:
    """False when the provider itself seems to be in trouble.

    Raises Again when the provider asks for a pause, and DATABASE_ERRORS; then the lease runs out.
    """
    began = time.perf_counter()
    try:
        async with asyncio.timeout(WORK_SECONDS):
            await _put(registrations, site, claim)
    except ProviderError as error:
        return await _note_refusal(site, claim, error)
    except RegistrationError as error:
        tell_failure(site, claim, "counterpart")
        await _note_unregistered(site, claim, error)
        return True
    except OpenError:
        tell_failure(site, claim, "key_unreadable")
        await _fail_all(site, claim, UNREADABLE)
        return True
    except asyncio.CancelledError:
        await let_go(site.database.settings, claim)
        raise
    except TimeoutError:
        return await _note_refusal(site, claim, ProviderError(ErrorKind.TIMEOUT))
    except DATABASE_ERRORS:
        raise
    except Exception as error:  # noqa: BLE001  one client's failure must not delay the others
        tell_failure(site, claim, "our_mistake", error)
        await _try_later(site, claim, _OUR_MISTAKE)
        return True
    if await _settle(site, claim, "synced") == "synced":
        tell_synced(site, claim, duration_ms=(time.perf_counter() - began) * 1000)
    return True


async def register_numbers(registrations: Registrations, site: Site, claim: Claim, copy: Copy) -> None:
    """Register all of the client's numbers, even if one fails; after a refused call, also those that seem registered.

    Raises RegistrationError with all that failed, and ProviderError if the key or the account is at fault.
    """
    problems: list[RegistrationError] = []
    numbers = await list_numbers(site.database.settings, claim.client.agency_id, client_id=claim.client.id)
    for number in numbers:
        try:
            await registrations.ensure(number, site.provider, copy, doubted=claim.refused)
        except RegistrationError as error:
            problems.append(error)
        except ProviderError as error:
            if error.kind in KEY_IS_BAD | TOO_MUCH:
                raise
            again = error.kind is not ErrorKind.BAD_REQUEST
            problems.append(RegistrationError(f"{number.e164} is not registered. {site.explain(error)}", again=again))
    if problems:
        raise RegistrationError(" ".join(map(str, problems)), again=any(error.again for error in problems))


def tell_synced(site: Site, claim: Claim, **fields: float) -> None:
    emit(
        "assistant.synced",
        agency_id=site.key.agency_id,
        client_id=claim.client.id,
        provider=site.provider,
        state="linked" if claim.linked else "synced",
        **fields,
    )


def tell_failure(site: Site, claim: Claim, reason: str, error: Exception | None = None) -> None:
    emit(
        "assistant.failed",
        agency_id=site.key.agency_id,
        client_id=claim.client.id,
        provider=site.provider,
        reason=reason,
        tried=claim.tried + 1,
        exception=error,
    )


async def _put(registrations: Registrations, site: Site, claim: Claim) -> None:
    client = claim.client
    assistant = read_assistant(client, site.provider)
    if assistant is None:  # removed a moment ago, together with its row
        return
    there = await registrations.list_known(client.agency_id, client.id, site.provider)
    copy = await _put_copy(site, claim, assistant, await _find_copy(site, claim, assistant), there)
    problem: RegistrationError | None = None
    try:
        await register_numbers(registrations, site, claim, copy)
    except RegistrationError as error:
        problem = error
    if site.host.lives_on_numbers:
        now_there = await registrations.list_known(client.agency_id, client.id, site.provider)
        if copy.left_out or now_there != there:
            copy = await _put_copy(site, claim, assistant, copy, now_there)
    if problem is None and copy.left_out:
        problem = RegistrationError(" ".join(copy.left_out.values()))
    if problem is not None:
        raise problem


async def _find_copy(site: Site, claim: Claim, assistant: Assistant) -> Copy | None:
    """The known copy. A new key may belong to another account, which may have one, too."""
    known = claim.copy
    if known is not None and claim.key_version == site.key.version:
        return known
    found = await site.host.find_copy(site.open(), assistant.marker)
    return known if found is None or (known and known.remote_id == found.remote_id) else found


async def _put_copy(
    site: Site, claim: Claim, assistant: Assistant, copy: Copy | None, there: list[Registration]
) -> Copy:
    wiring = site.wire()
    copy = await site.host.put_copy(site.open(), assistant, wiring, copy, there)
    pool, client = site.database.settings, claim.client
    if not await keep_copy(pool, claim, copy, site.host.lost_features(assistant), site.key.version):
        await leave_copy(pool, client.agency_id, client.id, site.provider, copy, site.clock())
    for e164, why in copy.left_out.items():
        await fail_registration(
            pool, client.agency_id, e164, site.provider, why, key_version=site.key.version, unclear_since=None
        )
    return copy


async def _note_unregistered(site: Site, claim: Claim, error: RegistrationError) -> None:
    """The assistant is there, and takes the calls to all other numbers."""
    wait = POLICY.wait(claim.tried + 1) if error.again else None
    if wait is None:
        await _settle(site, claim, "synced", str(error))
        return
    now = site.clock()
    await postpone(site.database.settings, claim, str(error), now, now + wait)


async def _note_refusal(site: Site, claim: Claim, error: ProviderError) -> bool:
    if error.kind in TOO_MUCH:
        await let_go(site.database.settings, claim)
        raise await site.pause(error)
    tell_failure(site, claim, error.kind.value)
    text = site.explain(error)
    if error.kind in KEY_IS_BAD:
        await _fail_all(site, claim, text)
        await site.doubt_key()
        return True
    if error.kind is ErrorKind.BAD_REQUEST:
        await _settle(site, claim, "failed", text)
        return True
    await _try_later(site, claim, text)
    return False


async def _fail_all(site: Site, claim: Claim, text: str) -> None:
    """Fail all that wait: none can succeed with this key. With a newer key they are tried again."""
    key = site.key
    failed = await fail_pending(
        site.database.settings, key.agency_id, key.kind, text, site.clock(), key_version=key.version
    )
    if not failed:
        await let_go(site.database.settings, claim)


async def _try_later(site: Site, claim: Claim, text: str) -> None:
    wait = POLICY.wait(claim.tried + 1)
    if wait is None:
        await _settle(site, claim, "failed", text)
        return
    now = site.clock()
    await postpone(site.database.settings, claim, text, now, now + wait)


async def _settle(site: Site, claim: Claim, outcome: Outcome, error: str | None = None) -> str | None:
    async with site.database.settings.acquire() as connection, connection.transaction():
        return await settle(
            connection, site.place, claim, outcome, site.clock(), key_version=site.key.version, error=error
        )
