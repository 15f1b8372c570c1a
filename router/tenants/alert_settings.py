"""What an agency wants to be alerted of, and where; and the test of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from adapters.destination import ForbiddenAddressError
from adapters.receivers import Receivers
from crypto import Keyring, Secret
from router.errors import ConflictError, InvalidError, NotFoundError, QuotaError, require
from router.ids import new_id
from router.mail import post
from router.store.changes import Author, Changes
from router.store.sealed import alert_address_context
from router.store.tenants.agencies import Agency, find_agency, lock_agency
from router.store.tenants.alerts import AlertSettings, find_settings, save_settings
from router.store.tenants.audit import count_entries
from router.tenants.alert_posts import TEST_TEXT, send_text
from router.tenants.alerts import TEST_LETTER

MOST_TESTS: Final = 20  # an hour
_HOUR: Final = timedelta(hours=1)
_TESTED: Final = "alerts.tested"


@dataclass(frozen=True, slots=True)
class Test:
    """`email`: where a letter goes now; None: nowhere. `webhook_error`: why the post did not arrive."""

    email: str | None
    webhook: bool
    webhook_error: str | None


@dataclass(frozen=True, slots=True)
class AlertChoices:
    """`sends_mail`: whether the service has a mail server."""

    changes: Changes
    keyring: Keyring = field(repr=False)
    receivers: Receivers
    sends_mail: bool

    async def show(self, agency_id: str) -> AlertSettings:
        return await find_settings(self.changes.database.settings, agency_id)

    async def change(self, agency_id: str, wanted: Mapping[str, Any], author: Author) -> AlertSettings:
        """`wanted` holds the new values by field, and `webhook_url`. Raises InvalidError for an address that is not allowed."""
        fields = dict(wanted)
        if "webhook_url" in fields:
            fields |= await self._read_address(agency_id, fields.pop("webhook_url"))
        async with self.changes.begin(author, agency_id) as change:
            if await lock_agency(change.connection, agency_id) is None:
                raise NotFoundError("agency")
            before = await find_settings(change.connection, agency_id)
            changed = replace(before, **fields)
            if changed != before:
                await save_settings(change.connection, changed)
                await change.record("alerts.changed", agency_id)
            return change.done(changed)

    async def test(self, agency_id: str, author: Author) -> Test:
        """Raises ConflictError if there is nowhere to send it, QuotaError."""
        async with self.changes.begin(author, agency_id) as change:
            await lock_agency(change.connection, agency_id)
            agency = require(await find_agency(change.connection, agency_id), "agency")
            settings = await find_settings(change.connection, agency_id)
            email = self._mailable(agency)
            if email is None and settings.webhook_sealed is None:
                raise ConflictError("There is no confirmed email address for alerts and no webhook: save one first.")
            since = self.changes.clock() - _HOUR
            if await count_entries(change.connection, agency_id, _TESTED, since, MOST_TESTS) >= MOST_TESTS:
                raise QuotaError(
                    f"An agency may test its alerts {MOST_TESTS} times in an hour.",
                    retry_after=int(_HOUR.total_seconds()),
                )
            await change.record(_TESTED, agency_id)
            if email is not None:
                ids: dict[str, str | int] = {"agency_id": agency_id, "test_id": new_id("test")}
                await post(change.connection, TEST_LETTER, ids, once=f"{TEST_LETTER}/{agency_id}")
        error = None
        if settings.webhook_sealed is not None:
            error = await send_text(self.receivers, self.keyring, settings, TEST_TEXT)
        async with self.changes.begin(author, agency_id) as change:
            return change.done(Test(email, settings.webhook_sealed is not None, error))

    def _mailable(self, agency: Agency) -> str | None:
        return agency.alert_email if self.sends_mail and agency.alert_email_confirmed else None

    async def _read_address(self, agency_id: str, url: str | None) -> dict[str, str | None]:
        """Sealed, because whoever knows it may post there. Raises InvalidError."""
        if url is None:
            return {"webhook_sealed": None, "webhook_shown": None}
        try:
            await self.receivers.check(url)
        except ForbiddenAddressError as forbidden:
            raise InvalidError("webhook_url", str(forbidden)) from None
        parts = urlsplit(url)
        sealed = self.keyring.seal(Secret(url), *alert_address_context(agency_id))
        return {"webhook_sealed": sealed, "webhook_shown": f"{parts.scheme}://{parts.hostname}/…"}
