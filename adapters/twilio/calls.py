"""Calls at Twilio: moving, limiting and ending live ones, and looking up how others went.

Twilio docs: Voice / Call resource.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final

from adapters.base import bad_request
from adapters.carrier import Account, CallOver, CarrierCall
from adapters.replies import find, text
from adapters.twilio.rest import (
    Resource,
    beginning_of_day,
    check_sid,
    home,
    malformed_record,
    read_seconds,
    read_sid,
    read_time,
)

MAX_TWIML: Final = 4000  # characters


class Calls(Resource):
    """`CarrierCalls`."""

    async def limit_call(self, account: Account, call_sid: str, seconds: int, limit: float) -> None:
        await self._update(account, call_sid, {"TimeLimit": str(seconds)}, limit)

    async def redirect_call(
        self,
        account: Account,
        call_sid: str,
        url: str,
        *,
        fallback_url: str | None = None,
        seconds: int | None = None,
        limit: float,
    ) -> None:
        form = {"Url": url, "Method": "POST"} | _options(fallback_url, seconds)
        await self._update(account, call_sid, form, limit)

    async def end_call(self, account: Account, call_sid: str, limit: float) -> None:
        try:
            await self._update(account, call_sid, {"Status": "completed"}, limit)
        except CallOver:
            return

    async def place_call(
        self, account: Account, caller: str, to: str, twiml: str, *, seconds: int, limit: float
    ) -> str:
        if len(twiml) > MAX_TWIML:
            raise bad_request(f"TwiML may have {MAX_TWIML} characters")
        form = {"From": caller, "To": to, "Twiml": twiml, "TimeLimit": str(seconds)}
        return read_sid("CA", await self._rest.ask(account, "POST", f"{home(account)}/Calls.json", limit, form))

    async def find_call(self, account: Account, call_sid: str, limit: float) -> CarrierCall | None:
        answer = await self._rest.ask_for(account, _path(account, call_sid), limit)
        return None if answer is None else _read_call(answer)

    async def list_calls(
        self, account: Account, to: str | None, since: datetime, limit: float
    ) -> AsyncIterator[CarrierCall]:
        query = {"StartTime>": beginning_of_day(since)} | ({} if to is None else {"To": to})
        async for record in self._rest.records(account, f"{home(account)}/Calls.json", query, "calls", limit):
            call = _read_call(record)
            # Twilio's filter is documented for days only.
            if (call.started_at is None or call.started_at >= since) and to in (None, call.to):
                yield call

    async def _update(self, account: Account, call_sid: str, form: dict[str, str], limit: float) -> None:
        await self._rest.ask(account, "POST", _path(account, call_sid), limit, form, gone=CallOver)


def _path(account: Account, call_sid: str) -> str:
    check_sid("CA", call_sid)
    return f"{home(account)}/Calls/{call_sid}.json"


def _options(fallback_url: str | None, seconds: int | None) -> dict[str, str]:
    fallback = {} if fallback_url is None else {"FallbackUrl": fallback_url, "FallbackMethod": "POST"}
    return fallback | ({} if seconds is None else {"TimeLimit": str(seconds)})


def _read_call(record: Any) -> CarrierCall:
    status = text(find(record, "status"))
    if not status:
        raise malformed_record()
    return CarrierCall(
        sid=read_sid("CA", record),
        caller=text(find(record, "from")) or "",
        to=text(find(record, "to")) or "",
        status=status,
        inbound=find(record, "direction") == "inbound",
        started_at=read_time(find(record, "start_time")),
        ended_at=read_time(find(record, "end_time")),
        seconds=read_seconds(find(record, "duration")),
        parent_sid=text(find(record, "parent_call_sid")),
        forwarded_from=text(find(record, "forwarded_from")),
    )
