"""Changes live calls through the carrier's API, with the credentials of the call's account."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakValueDictionary

from adapters.base import ProviderError
from adapters.carrier import Account, Carrier
from crypto import Keyring, OpenError
from router.calls.events import CallEvents
from router.calls.memory import RouteMemory
from router.calls.state import CallState, open_latest
from router.clock import Clock
from router.store.calls.calls import find_call, find_latest_answer
from router.store.guard import Guard
from router.store.keys.proofs import find_account_tokens
from router.store.numbers.numbers import find_fallback_url
from router.store.pool import DATABASE_ERRORS, Database
from router.store.sealed import key_context

LONGEST_TALK_SECONDS: Final = 4 * 3600  # what Twilio's Dial allows by itself
_REQUEST_SECONDS: Final = 5.0
_CLOSING_SECONDS: Final = 1.0


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
    pauses: Sequence[float] = (0.0, 5.0, 15.0)  # before each attempt to limit a call that is not live yet
    _limiting: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _turns: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary, init=False)

    async def aclose(self) -> None:
        if self._limiting:
            await asyncio.wait(self._limiting, timeout=_CLOSING_SECONDS)
        for task in tuple(self._limiting):
            task.cancel()
        await asyncio.gather(*self._limiting, return_exceptions=True)

    def limit_soon(self, state: CallState, seconds: int) -> None:
        """Likewise, without waiting for it. The carrier may refuse it until it has our document: it is asked again, as long
        as the call stands where `state` says.
        """
        task = asyncio.create_task(self._limit_in_time(state, seconds), name="limit-call")
        self._limiting.add(task)
        task.add_done_callback(self._limiting.discard)

    async def limit_talk(self, state: CallState, seconds: int) -> None:
        """Limit the call to `seconds` from now. TwiML has no such limit for a media stream or a redirect."""
        if (error := await self._limit(state, seconds)) is not None:
            self.events.note(state, "call.unlimited", exception=error)

    async def move(self, state: CallState, url: str, seconds: int, limit: float) -> None:
        """Make the carrier continue with the document at `url` (absolute), for at most `seconds` from now.

        The number's fallback is sent again, because Twilio does not document whether an update keeps it. Raises
        ProviderError, OpenError, LookupError and the database's errors.
        """
        so_far = self.clock().timestamp() - state.started_at
        async with self._turn(state):
            account = await self._account_of(state)
            fallback = await find_fallback_url(self.database.webhooks, state.account_sid, state.route.number)
            await self.carrier.redirect_call(
                account, state.call_sid, url, fallback_url=fallback, seconds=round(so_far) + seconds, limit=limit
            )

    def _turn(self, state: CallState) -> asyncio.Lock:
        """Changes of one call are made one after the other: the latest limit is the one that holds."""
        return self._turns.setdefault(state.call_sid, asyncio.Lock())

    async def _limit_in_time(self, state: CallState, seconds: int) -> None:
        error: Exception | None = None
        for pause in self.pauses:
            await asyncio.sleep(pause)
            if error is not None and not await self._stands_at(state):
                return
            error = await self._limit(state, seconds)
            if error is None:
                return
        self.events.note(state, "call.unlimited", exception=error)

    async def _limit(self, state: CallState, seconds: int) -> Exception | None:
        """Why it failed, if it did."""
        so_far = self.clock().timestamp() - state.started_at
        try:
            async with self._turn(state):
                account = await self._account_of(state)
                await self.carrier.limit_call(account, state.call_sid, round(so_far) + seconds, _REQUEST_SECONDS)
        except (*DATABASE_ERRORS, OpenError, ProviderError, LookupError) as error:
            return error
        return None

    async def _stands_at(self, state: CallState) -> bool:
        """Whether the call is not over, and no later step came. In doubt it does."""
        account_sid, call_sid, _ = state.mark
        try:
            call = await self.guard.ask(lambda: find_call(self.database.calls, account_sid, call_sid))
            latest = await self.guard.ask(lambda: find_latest_answer(self.database.calls, account_sid, call_sid))
        except DATABASE_ERRORS:
            return True
        now = open_latest(self.keyring, latest, account_sid, call_sid)
        return (call is None or call.ended_at is None) and (now is None or now.step == state.step)

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
