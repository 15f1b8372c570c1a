"""A test call: the carrier rings a phone of somebody at the agency, and puts whoever picks up through to the number.

What follows is a call like any other, with that phone as the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from adapters.base import ProviderError
from adapters.carrier import Carrier
from adapters.twilio import ABOUT
from router import twiml
from router.accounts import REQUEST_SECONDS, Accounts
from router.dialling import Dialling
from router.errors import ConflictError, InvalidError, NoKeyError, QuotaError, require
from router.refusals import explain_refusal
from router.store.changes import Author, Changes
from router.store.numbers.numbers import Number, find_number, is_answered_here
from router.store.tenants.agencies import lock_agency
from router.store.tenants.audit import count_entries

_ACTION: Final = "number.tried"
_MOST_AN_HOUR: Final = 10
_HOUR: Final = timedelta(hours=1)
_LONGEST_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class PlacedCall:
    """A test call that the carrier has taken."""

    call_sid: str
    phone: str


@dataclass(frozen=True, slots=True)
class TrialCalls:
    changes: Changes
    accounts: Accounts
    carrier: Carrier
    dialling: Dialling

    async def place(self, agency_id: str, e164: str, phone: str, author: Author) -> PlacedCall:
        """Ring `phone`. Raises DomainError."""
        number = require(await find_number(self.changes.database.settings, agency_id, e164), "number")
        await self._check(number, phone)
        account = await self.accounts.open(agency_id, number.account_sid)
        if account is None:
            raise NoKeyError("The token of the number's Twilio account cannot be opened: save the Twilio key again.")
        await self._count(agency_id, e164, author)
        try:
            sid = await self.carrier.place_call(
                account, e164, phone, twiml.put_through(e164, phone), seconds=_LONGEST_SECONDS, limit=REQUEST_SECONDS
            )
        except ProviderError as error:
            raise explain_refusal(ABOUT, error) from None
        async with self.changes.begin(author, agency_id) as change:
            return change.done(PlacedCall(sid, phone))

    async def _check(self, number: Number, phone: str) -> None:
        if number.is_native:
            raise ConflictError("The provider that sold this number answers it: call it from your own phone.")
        if number.is_elsewhere or number.state != "active":
            raise ConflictError("The number's calls do not come here yet.")
        self.dialling.check("phone", phone)
        if await is_answered_here(self.changes.database.settings, number.agency_id, phone):
            raise InvalidError("phone", "must be a phone of yours, and no number that is answered here")

    async def _count(self, agency_id: str, e164: str, author: Author) -> None:
        """Each one costs money and rings somebody: so many an hour. Raises QuotaError."""
        async with self.changes.begin(author, agency_id) as change:
            await lock_agency(change.connection, agency_id)
            since = self.changes.clock() - _HOUR
            if await count_entries(change.connection, agency_id, _ACTION, since, _MOST_AN_HOUR) >= _MOST_AN_HOUR:
                raise QuotaError(
                    f"An agency may place {_MOST_AN_HOUR} test calls in an hour.",
                    retry_after=int(_HOUR.total_seconds()),
                )
            await change.record("number.tried", e164)
