"""Posts alerts to agencies' own addresses, in the form that Slack's incoming webhooks take: `{"text": …}`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Final

from adapters.base import ProviderError
from adapters.destination import ForbiddenAddressError
from adapters.receivers import Receivers
from crypto import Keyring, OpenError
from router.addresses import Addresses
from router.clock import Clock
from router.jobs import Job, JobRunner, RetryPolicy, Turns, ask_for_turn
from router.store.pool import Database
from router.store.sealed import alert_address_context
from router.store.tenants.alerts import (
    Alert,
    AlertSettings,
    DuePost,
    Phase,
    claim_post,
    delete_post,
    find_alert,
    find_next_post,
    find_settings,
    list_agencies_with_posts,
    postpone_post,
)
from router.telemetry import emit
from router.tenants.alerts import POST

POLICY: Final = RetryPolicy(first=timedelta(seconds=30), longest=timedelta(hours=1), attempts=8)
TEST_TEXT: Final = "This is a test. Alerts about keys, credit, calls, numbers and webhooks come here."
_AT_ONCE: Final = 4
_SECONDS: Final = 10.0
_LEASE: Final = timedelta(seconds=30)
_LONGEST: Final = 3000  # characters


@dataclass(frozen=True, slots=True)
class AlertPosts:
    database: Database
    keyring: Keyring = field(repr=False)
    receivers: Receivers
    addresses: Addresses
    turns: Turns
    clock: Clock

    def register(self, runner: JobRunner) -> None:
        runner.handle(POST, self.work, at_once=_AT_ONCE)
        runner.repeat(f"{POST}_overlooked", "* * * * *", self.catch_up)

    async def catch_up(self) -> None:
        """Have posts made whose job was lost."""
        pool = self.database.settings
        for agency_id in await list_agencies_with_posts(pool, self.clock()):
            await ask_for_turn(pool, POST, agency_id)

    async def work(self, job: Job) -> None:
        """One turn of an agency."""
        agency_id = str(job.payload["agency_id"])
        find_next = partial(find_next_post, self.database.settings, agency_id)
        await self.turns.take(job, find_next, partial(self.post_next, agency_id))

    async def post_next(self, agency_id: str) -> bool:
        """Whether there was one. What does not arrive is tried again for some hours."""
        pool, now = self.database.settings, self.clock()
        due = await claim_post(pool, agency_id, now, now + _LEASE)
        if due is None:
            return False
        alert, settings = await find_alert(pool, due.alert_id), await find_settings(pool, agency_id)
        if alert is None or settings.webhook_sealed is None or _is_stale(alert, due):
            await delete_post(pool, due)
            return True
        error = await send_text(self.receivers, self.keyring, settings, self._write(alert, due.phase))
        wait = POLICY.wait(due.tried + 1) if error is not None else None
        if error is not None:
            emit("alert.unposted", agency_id=agency_id, kind=alert.kind, reason=error)
        await (delete_post(pool, due) if wait is None else postpone_post(pool, due, now + wait))
        return True

    def _write(self, alert: Alert, phase: Phase) -> str:
        if phase == "ended":
            return f"Over: {alert.name}: {alert.problem}"
        console = f"{self.addresses.console}/{alert.agency_id}/health"
        return f"{alert.name}: {alert.problem}\n{alert.advice}\n{console}"


def _is_stale(alert: Alert, due: DuePost) -> bool:
    """It was over before its beginning could be told for a while: the end alone tells enough."""
    return due.phase == "began" and due.tried > 0 and alert.ended_at is not None


async def send_text(receivers: Receivers, keyring: Keyring, settings: AlertSettings, text: str) -> str | None:
    """Why it did not arrive, in our words; None: it did."""
    try:
        url = keyring.open(settings.webhook_sealed or "", *alert_address_context(settings.agency_id)).reveal()
        body = json.dumps({"text": _escape(text)[:_LONGEST]}).encode()
        receipt = await receivers.post(url, body, content_type="application/json", limit=_SECONDS)
    except ForbiddenAddressError:
        return "this address is not allowed"
    except ProviderError as failed:
        return failed.kind.value
    except OpenError:
        return "its address can no longer be read"
    return None if receipt.taken else f"it answered {receipt.status}"


def _escape(text: str) -> str:
    """Slack reads these as markup, and a name could hold a link or call a whole channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
