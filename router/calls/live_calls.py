"""Changes live calls through the carrier's API, with the credentials of the call's account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from adapters.base import ProviderError
from adapters.carrier import Account, Carrier
from crypto import Keyring, OpenError
from router.calls.events import CallEvents
from router.calls.memory import RouteMemory
from router.calls.state import CallState
from router.clock import Clock
from router.store.guard import Guard
from router.store.keys.proofs import find_account_tokens
from router.store.numbers.numbers import find_fallback_url
from router.store.pool import DATABASE_ERRORS, Database
from router.store.sealed import key_context

_REQUEST_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class LiveCalls:
    database: Database
    guard: Guard
    memory: RouteMemory
    keyring: Keyring
    carrier: Carrier
    events: CallEvents
    platform: Account | None
    clock: Clock

    async def limit_talk(self, state: CallState, seconds: int) -> None:
        """Limit the call to `seconds` from now. TwiML has no such limit for a media stream."""
        so_far = self.clock().timestamp() - state.started_at
        try:
            account = await self._account_of(state)
            await self.carrier.limit_call(account, state.call_sid, round(so_far) + seconds, _REQUEST_SECONDS)
        except (*DATABASE_ERRORS, OpenError, ProviderError, LookupError) as error:
            self.events.note(state, "call.unlimited", exception=error)

    async def move(self, state: CallState, url: str, seconds: int, limit: float) -> None:
        """Make the carrier continue with the document at `url` (absolute), for at most `seconds` from now.

        The number's fallback is sent again, because Twilio does not document whether an update keeps it. Raises
        ProviderError, OpenError, LookupError and the database's errors.
        """
        so_far = self.clock().timestamp() - state.started_at
        account = await self._account_of(state)
        fallback = await find_fallback_url(self.database.webhooks, state.account_sid, state.route.number)
        await self.carrier.redirect_call(
            account, state.call_sid, url, fallback_url=fallback, seconds=round(so_far) + seconds, limit=limit
        )

    async def _account_of(self, state: CallState) -> Account:
        """Raises LookupError if the agency has no key for that account any more."""
        if self.platform is not None and state.account_sid == self.platform.sid:
            return self.platform
        tokens = self.memory.find_tokens(state.account_sid)  # usually remembered: one has just signed a request
        if tokens is None:
            tokens = await self.guard.ask(
                lambda: find_account_tokens(self.database.webhooks, state.account_sid, self.clock())
            )
        for token in tokens:
            if token.agency_id == state.route.agency_id:
                secret = self.keyring.open(token.sealed, *key_context(token.agency_id, token.kind, token.version))
                return Account(state.account_sid, secret)
        raise LookupError("no key for the account")
