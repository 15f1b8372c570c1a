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
            if claim.linked:
                await site.host.manage_link(site.open(), claim.remote_id or "", claim.manage, site.wire())
            else:
                await _put(registrations, site, claim)
    except ProviderError as error:
        return await _note_refusal(site, claim, error)
    except RegistrationError as error:
        _tell(site, claim, "counterpart")
        await (_try_later(site, claim, str(error)) if error.again else _settle(site, claim, "failed", str(error)))
        return True
    except OpenError:
        _tell(site, claim, "key_unreadable")
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
        _tell(site, claim, "our_mistake", error)
        await _try_later(site, claim, _OUR_MISTAKE)
        return True
    if await _settle(site, claim, "synced") in {"synced", "linked"}:
        emit(
            "assistant.synced",
            agency_id=site.key.agency_id,
            client_id=claim.client.id,
            provider=site.provider,
            state="linked" if claim.linked else "synced",
            duration_ms=(time.perf_counter() - began) * 1000,
        )
    return True


async def _put(registrations: Registrations, site: Site, claim: Claim) -> None:
    client = claim.client
    assistant = read_assistant(client, site.provider)
    if assistant is None:  # removed a moment ago, together with its row
        return
    there = await registrations.list_known(client.agency_id, client.id, site.provider)
    copy = await _put_copy(site, claim, assistant, await _find_copy(site, claim, assistant), there)
    await _register_numbers(registrations, site, claim, copy)
    if site.host.lives_on_numbers:
        now_there = await registrations.list_known(client.agency_id, client.id, site.provider)
        if now_there != there:
            await _put_copy(site, claim, assistant, copy, now_there)


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
    return copy


async def _register_numbers(registrations: Registrations, site: Site, claim: Claim, copy: Copy) -> None:
    """Register all numbers, even if one fails. Raises RegistrationError, ProviderError."""
    problems: list[RegistrationError] = []
    numbers = await list_numbers(site.database.settings, claim.client.agency_id, client_id=claim.client.id)
    for number in numbers:
        try:
            await registrations.ensure(number, site.provider, copy)
        except RegistrationError as error:
            problems.append(error)
    if problems:
        raise RegistrationError(" ".join(map(str, problems)), again=any(error.again for error in problems))


async def _note_refusal(site: Site, claim: Claim, error: ProviderError) -> bool:
    if error.kind in TOO_MUCH:
        await let_go(site.database.settings, claim)
        raise await site.pause(error)
    _tell(site, claim, error.kind.value)
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
    if claim.linked:
        await _settle(site, claim, "failed", text)
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


def _tell(site: Site, claim: Claim, reason: str, error: Exception | None = None) -> None:
    emit(
        "assistant.failed",
        agency_id=site.key.agency_id,
        client_id=claim.client.id,
        provider=site.provider,
        reason=reason,
        tried=claim.tried + 1,
        exception=error,
    )
