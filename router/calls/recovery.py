"""What a caller gets if our code fails, is too slow, or has lost the call's state: a person or the voicemail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from router import twiml
from router.calls import legs
from router.calls.documents import Documents
from router.calls.events import state_of
from router.calls.state import Agencies, CallState, require_proof
from router.calls.steps import LOST
from router.routing.deadline import Deadline
from router.store.calls.calls import find_call, find_route
from router.store.guard import Guard
from router.store.pool import Database
from router.telemetry import emit

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Recovery:
    database: Database
    guard: Guard
    documents: Documents

    async def in_time(self, state: CallState, work: Awaitable[Answer], deadline: Deadline) -> Answer | str:
        """The result of `work`; if it fails or takes too long, the document of the first human rung."""
        try:
            async with asyncio.timeout(deadline.left_before_rescue()):
                return await work
        except Exception as error:  # noqa: BLE001  the caller gets a person or the voicemail; the log has the bug
            emit("request.failed", exception=error, step=str(state.step), call_sid=state.call_sid)
            return self.documents.serve_human(state).document

    async def recover(self, account_sid: str, call_sid: str, params: Mapping[str, str], agencies: Agencies) -> str:
        """A callback without its state: a caller who is still on the line gets the voicemail. Raises ForeignCallError."""
        if legs.is_caller_gone(params):
            return twiml.nothing()
        call = await self.guard.ask(lambda: find_call(self.database.calls, account_sid, call_sid))
        if call is None or call.ended_at is not None:
            return twiml.hang_up()
        require_proof(agencies, call.agency_id)
        to = call.to_number
        route = await self.guard.ask(lambda: find_route(self.database.calls, account_sid, to))
        if route is None:
            return twiml.hang_up()
        return self.documents.serve_human(replace(state_of(call, LOST), route=route)).document
