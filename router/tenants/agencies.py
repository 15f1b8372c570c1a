"""Creates, changes and deletes agencies, with everything that they have here and outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from adapters.registry import Providers
from router.assistants.removing import Removal
from router.errors import InvalidError, UnfinishedError, UnreachableError, require
from router.ids import new_id
from router.keys.saving import activate_provider
from router.mail import Confirmations
from router.messages.retention import Retention
from router.numbers.leftover_keys import LeftoverKeys
from router.numbers.release import Release
from router.refusals import explain_no_key
from router.store.changes import Author, Changes
from router.store.keys.versions import find_key_in_use
from router.store.numbers.numbers import list_numbers
from router.store.pool import Connection
from router.store.tenants.agencies import (
    Agency,
    NumbersFrom,
    delete_agency,
    find_agency,
    insert_agency,
    lock_agency,
    update_agency,
)
from router.wanted import WantedAssistants

_RECORDINGS_SECONDS: Final = 8.0
_REMOVE_SECONDS: Final = 9.0
_CALLS_SECONDS: Final = 6.0  # of the thirty seconds that a request may take


@dataclass(frozen=True, slots=True)
class Agencies:
    changes: Changes
    providers: Providers
    wanted: WantedAssistants
    retention: Retention
    release: Release
    leftover_keys: LeftoverKeys
    removal: Removal
    confirmations: Confirmations

    async def find(self, agency_id: str) -> Agency:
        """Raises NotFoundError."""
        return require(await find_agency(self.changes.database.settings, agency_id), "agency")

    async def create(self, name: str, alert_email: str | None, numbers_from: NumbersFrom, author: Author) -> Agency:
        agency = Agency(
            id=new_id("agency"),
            name=name,
            alert_email=alert_email,
            active_provider=None,
            former_provider=None,
            fallback_providers=None,
            created_at=self.changes.clock(),
            numbers_from=numbers_from,
        )
        async with self.changes.begin(author, agency.id) as change:
            if alert_email is not None:  # only the operator creates agencies
                agency = replace(agency, alert_email_confirmed=True)
            await insert_agency(change.connection, agency)
            await change.record("agency.created", agency.id)
            return change.done(agency)

    async def change(self, agency_id: str, wanted: Mapping[str, Any], author: Author) -> Agency:
        """`wanted` holds the new values by field. Raises DomainError."""
        self._check_providers(wanted)
        async with self.changes.begin(author, agency_id) as change:
            agency = require(await lock_agency(change.connection, agency_id), "agency")
            active = wanted.get("active_provider")
            if active is not None and await find_key_in_use(change.connection, agency.id, active) is None:
                raise explain_no_key(active, self.providers.label(active))
            changed = _merge(agency, wanted)
            if "alert_email" in wanted:
                confirmed = await self.confirmations.enter(change.connection, agency.id, changed.alert_email, author)
                changed = replace(changed, alert_email_confirmed=confirmed)
            if changed.alert_email != agency.alert_email:
                changed = replace(changed, alert_email_problem=None)
            await update_agency(change.connection, changed)
            await self._want_newly_reached(change.connection, agency, changed)
            await change.record("agency.changed", agency.id)
            return change.done(changed)

    async def send_link(self, agency_id: str, author: Author) -> str:
        """Ask `alert_email` again to confirm; returns the address. Raises DomainError."""
        async with self.changes.begin(author, agency_id) as change:
            agency = require(await lock_agency(change.connection, agency_id), "agency")
            return change.done(await self.confirmations.send_again(change, agency_id, agency.alert_email))

    async def delete(self, agency_id: str, author: Author) -> None:
        """Recordings first, then numbers, assistants, calls, the other rows, and the API keys that we made at Twilio.

        Raises DomainError; then some may be gone.
        """
        deleted = await self.retention.delete_messages(agency_id, None, _RECORDINGS_SECONDS)
        if deleted.left:
            raise UnreachableError(f"{deleted.left} messages could not be deleted at Twilio yet. Try again soon.")
        numbers = await list_numbers(self.changes.database.settings, agency_id)
        await self.release.leave_for_good(agency_id, numbers)
        await self.removal.remove_all(agency_id, _REMOVE_SECONDS)
        if not await self.retention.delete_calls(agency_id, _CALLS_SECONDS):
            raise UnfinishedError("Some calls are still to be deleted. Repeat the request to go on.", retry_after=1)
        async with self.changes.begin(author, None) as change:
            require(await lock_agency(change.connection, agency_id), "agency")
            left = await self.leftover_keys.leave(change.connection, agency_id)
            await delete_agency(change.connection, agency_id)
            await change.record("agency.deleted", agency_id)
            change.done(None)
        await self.leftover_keys.revoke(left)

    async def _want_newly_reached(self, connection: Connection, before: Agency, after: Agency) -> None:
        """Want assistants at a newly activated provider, and at new fallback providers."""
        reached: list[str | None] = []
        if after.active_provider != before.active_provider:
            reached.append(after.active_provider)
        if after.fallback_providers is None and before.fallback_providers is not None:
            reached += self.providers
        elif after.fallback_providers is not None:
            reached += [name for name in after.fallback_providers if name not in (before.fallback_providers or ())]
        await self.wanted.want_after_switch(connection, after, reached)

    def _check_providers(self, wanted: Mapping[str, Any]) -> None:
        known = ", ".join(self.providers)
        if wanted.get("active_provider") is not None and wanted["active_provider"] not in self.providers:
            raise InvalidError("active_provider", f"must be one of {known}")
        if any(provider not in self.providers for provider in wanted.get("fallback_providers") or ()):
            raise InvalidError("fallback_providers", f"may only contain {known}")


def _merge(agency: Agency, wanted: Mapping[str, Any]) -> Agency:
    fields = dict(wanted)
    if "active_provider" in fields:
        agency = activate_provider(agency, fields.pop("active_provider"))
    if fields.get("fallback_providers") is not None:
        fields["fallback_providers"] = tuple(fields["fallback_providers"])
    return replace(agency, **fields)
