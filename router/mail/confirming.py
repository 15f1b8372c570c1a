"""Who may be written to: an address gets an agency's mail once its owner has said so.

The address gets a link. The page behind it has a button, because mail scanners open links. An address that the operator
enters counts as confirmed. The link holds agency and address, sealed, so it confirms nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil
from typing import Any, Final

from crypto import Keyring, OpenError
from router.addresses import Addresses
from router.clock import Clock
from router.errors import ConflictError, QuotaError
from router.ids import new_id
from router.mail.letters import Letters, next_hour, post, release
from router.mail.smtp import Mail
from router.store.changes import OURSELVES, Author, Change, Changes
from router.store.messages.addresses import (
    Link,
    claim_link,
    confirm_address,
    find_link,
    find_next_link,
    give_up_link,
    is_confirmed,
    is_hour_used_up,
    is_used,
)
from router.store.pool import Connection
from router.store.tenants.agencies import find_agency, lock_agency

CONFIRM: Final = "confirm"  # the kind of letter
_PURPOSE: Final = "confirm"
_LONGEST: Final = 1000  # characters of a link's token
_UNSAFE: Final = re.compile(r"[^\w &'-]+")
_NAME_LENGTH: Final = 40

_TEXT: Final = """\
Hello,

{agency} uses callrouter, and wants emails about its phone calls to be sent to this address.

To receive them, open this page and press the button there:
{url}

If you do not know why, do nothing: you get no other mail. The link is valid for seven days.
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the owner of `address` is asked to confirm. `agency` is its name."""

    agency_id: str
    agency: str
    address: str
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Confirmations:
    changes: Changes
    keyring: Keyring = field(repr=False)
    addresses: Addresses
    mails_an_hour: int
    clock: Clock

    def register(self, letters: Letters) -> None:
        letters.write(CONFIRM, self.write_link, to_anyone=True)

    async def enter(self, connection: Connection, agency_id: str, address: str | None, author: Author) -> bool | None:
        """For an address that is about to be saved: whether it is confirmed. If not, it gets a link, one in a day.

        None without an address. Call it with the agency's row locked.
        """
        if address is None:
            return None
        if author.is_operator or await is_confirmed(connection, agency_id, address):
            await release(connection, agency_id)
            return True
        await self._post_link(connection, agency_id, address)
        return False

    async def send_again(self, change: Change, agency_id: str, address: str | None) -> str:
        """Another link to a saved address, which is returned. Call it with the agency's row locked.

        Raises ConflictError, QuotaError.
        """
        connection, now = change.connection, self.clock()
        if address is None:
            raise ConflictError("There is no address to confirm: save one first.")
        if await is_confirmed(connection, agency_id, address):
            raise ConflictError("This address has confirmed already.")
        if await is_hour_used_up(connection, agency_id, now, self.mails_an_hour):
            raise QuotaError(
                "The agency has sent all its emails of this hour.", retry_after=_seconds(now, next_hour(now))
            )
        if not await self._post_link(connection, agency_id, address):
            until = await find_next_link(connection, agency_id, address) or now
            raise QuotaError(
                "A link was sent to this address less than a day ago. It is valid for seven days; look for it among spam.",
                retry_after=_seconds(now, until),
            )
        await change.record("confirmation.sent", address)
        return address

    async def _post_link(self, connection: Connection, agency_id: str, address: str) -> bool:
        """Whether it may get one: one in a day."""
        link = Link(new_id("link"), agency_id, address, self.clock())
        if not await claim_link(connection, link):
            return False
        await post(connection, CONFIRM, {"agency_id": agency_id, "link_id": link.id}, once=link.id)
        return True

    async def write_link(self, ids: Mapping[str, Any]) -> Mail | None:
        """None if the agency no longer uses the address, or it has confirmed by now."""
        pool = self.changes.database.settings
        link = await find_link(pool, ids["link_id"])
        if link is None:
            return None
        async with self.changes.begin(OURSELVES, link.agency_id) as change:
            await lock_agency(change.connection, link.agency_id)
            asked = await self._find(change.connection, link.agency_id, link.address)
            if asked is None or asked.confirmed:
                await give_up_link(change.connection, link.id)
                return None
        token = self.keyring.seal(json.dumps([link.agency_id, link.address, int(link.until.timestamp())]), _PURPOSE)
        return Mail(
            id=link.id,
            to=link.address,
            subject="Confirm your email address",
            text=_TEXT.format(agency=asked.agency, url=self.addresses.confirm(token)),
        )

    async def find(self, token: str) -> Asked | None:
        """None: the link is not one of ours or too old, or the agency no longer uses the address."""
        opened = self._open(token)
        return None if opened is None else await self._find(self.changes.database.settings, *opened)

    async def _find(self, connection: Connection, agency_id: str, address: str) -> Asked | None:
        agency = await find_agency(connection, agency_id)
        if agency is None or not await is_used(connection, agency_id, address):
            return None
        return Asked(agency_id, _plain_name(agency.name), address, await is_confirmed(connection, agency_id, address))

    async def confirm(self, token: str) -> Asked | None:
        """What has waited is sent. None as for `find`."""
        asked = await self.find(token)
        if asked is None or asked.confirmed:
            return asked
        async with self.changes.begin(OURSELVES, asked.agency_id) as change:
            await lock_agency(change.connection, asked.agency_id)
            await confirm_address(change.connection, asked.agency_id, asked.address)
            await release(change.connection, asked.agency_id)
            await change.record("email.confirmed", asked.address)
        return await self.find(token)

    def _open(self, token: str) -> tuple[str, str] | None:
        if len(token) > _LONGEST:
            return None
        try:
            agency_id, address, until = json.loads(self.keyring.open_bytes(token, _PURPOSE))
        except (OpenError, ValueError):
            return None
        return (agency_id, address) if self.clock().timestamp() < until else None


def _seconds(now: datetime, until: datetime) -> int:
    return max(1, ceil((until - now).total_seconds()))


def _plain_name(name: str) -> str:
    """An agency chooses its name, and the mail is ours: no links, and no room for a message."""
    return " ".join(_UNSAFE.sub(" ", name).split())[:_NAME_LENGTH] or "An agency"
