"""What a caller gets when our own code fails, is too slow, or has lost where the call stands: a person or the voicemail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import TypeVar

from router import twiml
from router.calls import legs
from router.calls.documents import Documents
from router.calls.state import CallState
from router.calls.steps import LOST
from router.routing.deadline import Deadline
from router.store.calls.calls import find_call, find_route
from router.store.guard import Guard
from router.store.pool import Database
from router.telemetry import emit

Answer = TypeVar("Answer")


class Recovery:
    """Rescues calls."""

    def __init__(self, database: Database, guard: Guard, documents: Documents) -> None:
        self._database = database
        self._guard = guard
        self._documents = documents

    async def in_time(self, state: CallState, work: Awaitable[Answer], deadline: Deadline) -> Answer | str:
        """What `work` comes to; if it fails or takes too long, the first human rung, from what is at hand."""
        try:
            async with asyncio.timeout(deadline.left_before_rescue()):
                return await work
        except Exception as error:  # noqa: BLE001  the caller goes on to a person or a recorder; we see the bug
            emit("request.failed", exception=error, step=str(state.step), call_sid=state.call_sid)
            return self._documents.serve_human(state).document

    async def recover(self, account_sid: str, call_sid: str, params: Mapping[str, str]) -> str:
        """A callback whose state is lost: a caller who is still there gets the voicemail."""
        if legs.is_caller_gone(params):
            return twiml.nothing()
        call = await self._guard.ask(lambda: find_call(self._database.calls, account_sid, call_sid))
        if call is None or call.ended_at is not None:
            return twiml.hang_up()
        number = call.to_number
        route = await self._guard.ask(lambda: find_route(self._database.calls, account_sid, number))
        if route is None:
            return twiml.hang_up()
        state = CallState(
            call_id=call.id,
            account_sid=account_sid,
            call_sid=call_sid,
            from_number=call.from_number,
            caller=None,
            route=route,
            rungs=(),
            started_at=call.started_at.timestamp(),
            step=LOST,
        )
        return self._documents.serve_human(state).document
