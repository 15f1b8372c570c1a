"""Transfers a caller to a person when the AI asks for it. Providers cannot, because our carrier holds the line.

The transfer is recorded first. Then the carrier is told to continue with our document, which rings the person like an
owner, with the voicemail as the next rung. If the carrier refuses, the AI is told that no one is available and goes on
talking. The end of the AI's leg by a transfer counts against no provider (router.calls.legs).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from adapters.base import ProviderError, TransferAsked
from crypto import Keyring, OpenError
from router.callers import name_caller
from router.calls import legs
from router.calls.answers import Answers
from router.calls.claims import Claims
from router.calls.documents import Documents
from router.calls.events import CallEvents
from router.calls.live_calls import LONGEST_TALK_SECONDS, LiveCalls
from router.calls.recorder import Recorder
from router.calls.state import CallState, open_latest
from router.clock import Clock
from router.dialling import Dialling
from router.routing.deadline import REPLY_SECONDS, Deadline
from router.store.calls.calls import (
    Fact,
    StoredCall,
    find_agency_call,
    find_facts,
    find_latest_answer,
    find_live_call,
    find_route,
)
from router.store.calls.reports import find_providers_call
from router.store.pool import DATABASE_ERRORS, Database

_LIVE: Final = timedelta(hours=3)
_TELLING_SECONDS: Final = 1.5  # the least time for the request to the carrier


@dataclass(frozen=True, slots=True)
class Transfers:
    """Moves live calls from their AI to a person. `base_url` is our public address."""

    database: Database
    keyring: Keyring
    claims: Claims
    answers: Answers
    documents: Documents
    live_calls: LiveCalls
    recorder: Recorder
    events: CallEvents
    dialling: Dialling
    base_url: str
    clock: Clock

    async def put_through(self, provider: str, agency_id: str, asked: TransferAsked, deadline: Deadline) -> bool:
        """Whether the caller is being transferred. False: no one is available, and the AI goes on."""
        try:
            call = await self._find_call(provider, agency_id, asked)
            if call is None:
                return False
            facts = await find_facts(self.database.calls, call.id)
            latest = await find_latest_answer(self.database.calls, call.account_sid, call.call_sid)
            state = open_latest(self.keyring, latest, call.account_sid, call.call_sid)
            if state is None:
                return False
            if state.transfer_to is not None:
                return legs.is_being_moved(facts)
            if state.rung is None or state.rung.provider != provider:
                return False
            return await self._move(state, facts, deadline)
        except DATABASE_ERRORS:
            return False

    async def _find_call(self, provider: str, agency_id: str, asked: TransferAsked) -> StoredCall | None:
        """The agency's live call: by our id of it; if the provider did not send that, by its own id, or else by the
        caller's number.
        """
        pool = self.database.calls
        call = None
        if asked.call_id is not None:
            call = await find_agency_call(pool, agency_id, asked.call_id)
        elif asked.provider_call_id is not None:
            call = await find_providers_call(pool, agency_id, asked.provider_call_id)
        if call is not None or asked.call_id is not None:
            return call if call is not None and call.ended_at is None else None
        if asked.caller is None:
            return None
        return await find_live_call(pool, agency_id, provider, name_caller(asked.caller), self.clock() - _LIVE)

    async def _move(self, state: CallState, facts: tuple[Fact, ...], deadline: Deadline) -> bool:
        route = await find_route(self.database.calls, state.account_sid, state.route.number) or state.route
        phone = self.dialling.only(route.transfer_to) or self.dialling.only(route.personal_phone)
        if phone is None:
            return False
        claim = await self.claims.claim_step(state)
        if not claim.claimed:
            return False  # the AI's leg is over, or the caller is gone
        answer = self.documents.put_through(state, phone, attempt=legs.count_transfers(facts))
        moved = answer.state or state
        self.events.note(moved, "call.transferring", provider=state.provider)
        await self.answers.keep(state, answer, deadline)
        try:
            limit = max(deadline.left_for_work(), _TELLING_SECONDS)
            await self.live_calls.move(moved, self._url(moved), LONGEST_TALK_SECONDS, limit)
        except (*DATABASE_ERRORS, OpenError, ProviderError, LookupError) as error:
            await self._give_up(state, moved, error)
            return False
        return True

    async def _give_up(self, state: CallState, moved: CallState, error: Exception) -> None:
        """The AI still has the caller. Release its step, so that the end of its leg is judged as usual."""
        reason = error.kind if isinstance(error, ProviderError) else "no_key"
        self.events.note(moved, "call.transfer_failed", timeline_reason=str(reason), cause=str(reason))
        await self.recorder.flush(REPLY_SECONDS)
        await self.answers.forget(state)

    def _url(self, state: CallState) -> str:
        """An absolute URL, as the carrier's API requires. Our paths include that of the public URL."""
        base = urlsplit(self.base_url)
        return f"{base.scheme}://{base.netloc}{self.documents.transfer_path(state)}"
