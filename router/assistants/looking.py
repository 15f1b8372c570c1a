"""Looks again at what stands at a provider: whether a client's assistant is still there and can take calls.

People delete assistants in the provider's dashboard, and publish older drafts of linked ones, which drops our webhook and
transfer. What we may set is set again; a copy of ours is put there again; anything else is told.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

from adapters.base import ErrorKind, GoneError, ProviderError
from crypto import OpenError
from router.assistants.putting import register_numbers, tell_failure, tell_synced
from router.assistants.site import KEY_IS_BAD, TOO_MUCH, WORK_SECONDS, Site
from router.numbers.credentials import RegistrationError
from router.numbers.registrations import Registrations
from router.store.assistants.places import LOOK
from router.store.assistants.syncs import Claim, let_go, look_again, note_look
from router.store.pool import DATABASE_ERRORS

_SOON: Final = timedelta(minutes=5)


async def look_at_assistant(registrations: Registrations, site: Site, claim: Claim) -> bool:
    """False when the provider itself seems to be in trouble.

    Raises Again when the provider asks for a pause, and DATABASE_ERRORS; then the lease runs out.
    """
    pool, now = site.database.settings, site.clock()
    try:
        async with asyncio.timeout(WORK_SECONDS):
            repaired = await _look(registrations, site, claim)
    except GoneError:
        tell_failure(site, claim, "gone")
        await note_look(pool, claim, now, now + LOOK, error=_explain_gone(site, claim), gone=True)
        return True
    except (ProviderError, TimeoutError) as error:
        return await _note_refusal(site, claim, error)
    except RegistrationError as error:
        tell_failure(site, claim, "counterpart")
        await note_look(pool, claim, now, now + LOOK, error=str(error))
        return True
    except OpenError:
        await look_again(pool, claim, now + LOOK)
        return True
    except asyncio.CancelledError:
        await let_go(pool, claim)
        raise
    except DATABASE_ERRORS:
        raise
    except Exception as error:  # noqa: BLE001  it must not delay the others
        tell_failure(site, claim, "our_mistake", error)
        await look_again(pool, claim, now + LOOK)
        return True
    form = site.place.form if claim.linked and claim.manage else None
    await note_look(pool, claim, now, now + LOOK, error=None, form=form)
    if claim.linked and (repaired or not claim.usable):
        tell_synced(site, claim)
    return True


async def _look(registrations: Registrations, site: Site, claim: Claim) -> bool:
    """Whether something had to be set again."""
    remote_id, repaired = claim.remote_id or "", False
    if claim.linked and claim.manage:
        numbers = await registrations.list_known(claim.client.agency_id, claim.client.id, site.provider)
        repaired = await site.host.manage_link(site.open(), remote_id, claim.manage, site.wire(), numbers)
    else:
        await site.host.check_link(site.open(), remote_id)
    if claim.refused and claim.copy is not None:
        await register_numbers(registrations, site, claim, claim.copy)
    return repaired


async def _note_refusal(site: Site, claim: Claim, error: ProviderError | TimeoutError) -> bool:
    pool, now = site.database.settings, site.clock()
    if isinstance(error, TimeoutError):
        error = ProviderError(ErrorKind.TIMEOUT)
    if error.kind in TOO_MUCH:
        await let_go(pool, claim)
        raise await site.pause(error)
    if error.kind is ErrorKind.BAD_REQUEST:
        tell_failure(site, claim, error.kind.value)
        await note_look(pool, claim, now, now + LOOK, error=site.explain(error))
        return True
    if error.kind in KEY_IS_BAD:
        await look_again(pool, claim, now + LOOK)
        await site.doubt_key()
        return True
    await look_again(pool, claim, now + _SOON)
    return False


def _explain_gone(site: Site, claim: Claim) -> str:
    """What to do about it."""
    if not claim.linked:
        return f"It was deleted at {site.label}, and is created again."
    gone = f"The linked assistant does not exist at {site.label} any more."
    if claim.client.assistant is None:
        return f"{gone} Link another one, or unlink it and describe the client's assistant."
    return f"{gone} Link another one, or unlink it: then one is created from the client's description."
