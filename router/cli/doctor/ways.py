"""Calls straight to a provider, by a way that no client's calls take now: whether it works with the agency's account there.

The provider is asked as for a client's call, and what it answers is called from one of the account's numbers. Nothing is
changed, here or there. By redirect, Twilio rings the client's number, and gives the calling side to the provider: the
assistant that answers the client now talks to the provider's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from adapters.base import (
    ErrorKind,
    Handoff,
    InboundCall,
    NumberHandoff,
    OpenedTarget,
    ProviderError,
    RedirectHandoff,
    SipHandoff,
    Target,
)
from adapters.carrier import ENDED, Account, Carrier
from adapters.provider import Provider
from crypto import OpenError
from router.cli.doctor.findings import Finding, fine, hint, problem
from router.routing.route import Route
from router.store.keys.versions import find_key_in_use
from router.store.pool import Connection
from router.twiml import AiLeg, hand_over
from router.vault import Vault

LISTEN_SECONDS: Final = 20
LONGEST_SECONDS: Final = 60
REQUEST_SECONDS: Final = 10.0
LISTEN: Final = f'<Response><Pause length="{LISTEN_SECONDS}"/><Hangup/></Response>'
_SETTLED_SECONDS: Final = 8.0  # a redirected call that lasts so long was taken
_POLL_SECONDS: Final = 1.0
_ID: Final = "callrouter-doctor"
_LEG: Final = AiLeg("", int(REQUEST_SECONDS), LONGEST_SECONDS, "", "")

_NATIVE: Final = (
    "SELECT e164 FROM numbers WHERE agency_id = $1 AND carrier = $2 AND state = 'active' ORDER BY e164 LIMIT 1"
)

_MISSING: Final = {
    "redirect": (
        "no number has an address that an import wrote",
        "import a client's number there, or let a client use it: callrouter then registers the number",
    ),
    "sip": (
        "it has none of the numbers attached to a SIP trunk",
        "attach one there; if no SIP settings are offered, ask its support to enable SIP",
    ),
    "number": ("no number was bought there", "buy one there, or through callrouter"),
}

OpenAccount = Callable[[str, str], Awaitable[Account | None]]


@dataclass(frozen=True, slots=True)
class _Candidate:
    route: Route
    caller: str
    client: Any
    target: Target


@dataclass(frozen=True, slots=True)
class Ways:
    """Tries them. `open_account` opens an agency's carrier account by agency id and SID."""

    connection: Connection
    carrier: Carrier
    vault: Vault
    open_account: OpenAccount

    async def look(
        self, subject: str, provider: Provider[Any], mode: str, routes: Iterable[tuple[Route, str]], patience: float
    ) -> Finding:
        """`routes`: of numbers that an AI answers now, each with a number of its account to call from."""
        unplaced = "no client's calls go there now, so none was placed"
        keyed = False
        for route, caller in routes:
            key = await find_key_in_use(self.connection, route.agency_id, provider.name)
            if key is None:
                continue
            try:
                client = provider.open(self.vault.open_key(key), REQUEST_SECONDS)
                target = await self._target(provider, client, mode, route)
                keyed = True
                if target is not None:
                    return await self._try(subject, provider, _Candidate(route, caller, client, target), patience)
            except OpenError:
                continue
            except ProviderError as error:
                return problem(subject, f"{provider.label} takes no call this way: {_quote(error)}", "fix what it says")
        if not keyed:
            mend = "set up a client whose calls go there: `callrouter explain` shows what is missing"
            return hint(subject, unplaced, mend)
        why, mend = _MISSING[mode]
        return hint(subject, f"{unplaced}; {why}", mend)

    async def _target(self, provider: Provider[Any], client: Any, mode: str, route: Route) -> Target | None:
        there = route.access(provider.name).target
        match mode:
            case "redirect":
                if there.sealed_address is None:
                    return None
                url = self.vault.open_registration_address(
                    there.sealed_address, route.agency_id, route.number, provider.name
                )
                return None if url is None else OpenedTarget(None, route.number, mode, there.sealed_address, url)
            case "sip":
                for e164 in filter(None, dict.fromkeys((there.registration, route.number))):
                    attached = provider.imports and await provider.imports.is_attached(client, e164)
                    if attached is None:
                        raise ProviderError(ErrorKind.UNREACHABLE)
                    if attached:
                        return Target(None, e164, mode)
                return None
            case _:
                bought: str | None = await self.connection.fetchval(_NATIVE, route.agency_id, provider.name)
                number = there.registration if there.mode == mode else bought
                return None if number is None else Target(None, number, mode)

    async def _try(self, subject: str, provider: Provider[Any], candidate: _Candidate, patience: float) -> Finding:
        route = candidate.route
        account = await self.open_account(route.agency_id, route.account_sid)
        if account is None:
            return problem(subject, "the account's token is missing or cannot be opened", "save the Twilio key again")
        call = InboundCall(
            _ID,
            _ID,
            route.agency_id,
            route.client_id,
            route.client_name,
            candidate.caller,
            route.number,
            LONGEST_SECONDS,
        )
        handoff = await provider.calls.hand_off(candidate.client, call, candidate.target)
        to, document = _place_to(handoff, route.number)
        try:
            sid = await self.carrier.place_call(
                account, candidate.caller, to, document, seconds=LONGEST_SECONDS, limit=REQUEST_SECONDS
            )
        except ProviderError as error:
            return problem(subject, f"Twilio did not place it: {error}", "fix the reason that Twilio gives")
        settled = min(_SETTLED_SECONDS, patience / 4) if isinstance(handoff, RedirectHandoff) else 0.0
        try:
            said = await self._watch(account, sid, settled, patience)
            await self.carrier.end_call(account, sid, REQUEST_SECONDS)
        except ProviderError as error:
            return problem(subject, f"Twilio does not say how the call went: {error}", "try again")
        number = candidate.target.registration
        if said is None:
            return fine(subject, f"{provider.label} takes calls to {number}; no client's calls go there now")
        mend = f"calls of clients that were set up this way would go to the next rung; ask {provider.label}'s support"
        return problem(subject, f"{provider.label} did not take the call to {number}: {said}", mend)

    async def _watch(self, account: Account, sid: str, settled: float, patience: float) -> str | None:
        """None once it was answered, and `settled` seconds later is still on; else how it ended."""
        until, answered_at = time.monotonic() + patience, None
        while time.monotonic() < until:
            call = await self.carrier.find_call(account, sid, REQUEST_SECONDS)
            status = "" if call is None else call.status
            if status == "in-progress":
                answered_at = answered_at or time.monotonic()
                if time.monotonic() - answered_at >= settled:
                    return None
            elif status in ENDED:
                if settled:
                    return f"it ended at once ({status})"
                return None if call is not None and call.seconds else status
            await asyncio.sleep(min(_POLL_SECONDS, patience / 10))
        return "it was not answered in time"


def _place_to(handoff: Handoff, number: str) -> tuple[str, str]:
    """Whom to call, and the document of the calling side."""
    if isinstance(handoff, SipHandoff):
        return handoff.uri, LISTEN
    if isinstance(handoff, NumberHandoff):
        return handoff.e164, LISTEN
    return number, hand_over(handoff, _LEG)


def _quote(error: ProviderError) -> str:
    return f"{error} ({error.said})" if error.said else str(error)
