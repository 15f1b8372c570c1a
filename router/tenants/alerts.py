"""Alerts: one message to an agency when something begins to be wrong, and one when it is over.

What is wrong is what `router.tenants.health` tells, and the share of calls that no AI took. Agencies are looked at in
batches, in their order; each message is one letter and one post.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from router.addresses import Addresses
from router.clock import Clock
from router.ids import new_id
from router.jobs import JobRunner, ask_for_turn
from router.mail import Letters, Mail, post
from router.store.numbers.numbers import ABANDONED_AFTER
from router.store.pool import COMMAND_SECONDS, Database
from router.store.tenants.agencies import find_agency
from router.store.tenants.alerts import (
    Alert,
    AlertKind,
    AlertSettings,
    MissedCalls,
    Phase,
    begin_alert,
    delete_old_alerts,
    end_alert,
    find_alert,
    insert_post,
    list_agencies_to_alert,
    list_missed_calls,
    list_open_alerts,
    list_settings,
    note_mailed,
)
from router.store.tenants.troubles import Kind, Trouble, list_troubles
from router.telemetry import emit
from router.tenants.health import HealthViews

LETTER: Final = "alert"
TEST_LETTER: Final = "alert_test"
POST: Final = "alerts.post"

_KINDS: Final[dict[Kind, AlertKind]] = {
    "key_failing": "key_failing",
    "key_unproven": "key_failing",
    "out_of_credit": "low_balance",
    "low_balance": "low_balance",
    "number_pending": "number_unreachable",
    "number_drifted": "number_unreachable",
    "endpoint_failing": "deliveries_failing",
    "endpoint_gone": "deliveries_failing",
}
_MAILED_BY_KEYS: Final[frozenset[Kind]] = frozenset({"key_failing", "key_unproven", "out_of_credit"})
_AT_A_TIME: Final = 100
_SPAN: Final = timedelta(days=1)
_FEWEST_CALLS: Final = 5
_KEPT: Final = timedelta(days=90)
_DELETED_AT_ONCE: Final = 1000

_BEGAN: Final = """\
Hello {agency},

{name}: {problem}

What to do: {advice}
{console}

You get one more email about this when it is over.
"""
_ENDED: Final = """\
Hello {agency},

This is over:

{name}: {problem}
"""
_TEST: Final = """\
Hello {agency},

this is a test. Alerts about keys, credit, calls, numbers and webhooks are sent to this address.
"""


@dataclass(frozen=True, slots=True)
class AlertWatch:
    database: Database
    health: HealthViews
    addresses: Addresses
    clock: Clock

    def register(self, runner: JobRunner, letters: Letters) -> None:
        runner.repeat("alerts.look", "*/2 * * * *", self.look)
        letters.write(LETTER, self.write, sent=self.note_sent)
        letters.write(TEST_LETTER, self.write_test)

    async def look(self) -> None:
        """At all agencies that want to hear of something."""
        pool, last = self.database.settings, ""
        await delete_old_alerts(pool, self.clock() - _KEPT, _DELETED_AT_ONCE)
        while agency_ids := await list_agencies_to_alert(pool, last, _AT_A_TIME):
            await self._look_at(agency_ids)
            last = agency_ids[-1]

    async def _look_at(self, agency_ids: Sequence[str]) -> None:
        pool, now = self.database.settings, self.clock()
        changed = {one.agency_id: one for one in await list_settings(pool, agency_ids)}
        settings = {each: changed.get(each) or AlertSettings(each) for each in agency_ids}
        most = max(one.low_balance for one in settings.values())
        wrong = [
            found
            for trouble in await list_troubles(pool, agency_ids, now - ABANDONED_AFTER, low_balance=most)
            if (found := self._judge(trouble, settings[trouble.agency_id])) is not None
        ]
        wrong += [
            self._tell_missed(missed)
            for missed in await list_missed_calls(pool, agency_ids, now - _SPAN)
            if missed.calls >= _FEWEST_CALLS
            and missed.missed * 100 >= settings[missed.agency_id].missed_percent * missed.calls
        ]
        wanted = {
            (one.agency_id, one.kind, one.target): one for one in wrong if one.kind not in settings[one.agency_id].muted
        }
        known = {(one.agency_id, one.kind, one.target): one for one in await list_open_alerts(pool, agency_ids)}
        for key, alert in wanted.items():
            if key not in known:
                await self._begin(alert, settings[alert.agency_id])
        for key, alert in known.items():
            if key not in wanted:
                await self._end(alert, settings[alert.agency_id])

    async def _begin(self, alert: Alert, settings: AlertSettings) -> None:
        async with self.database.settings.acquire(timeout=COMMAND_SECONDS) as connection, connection.transaction():
            if not await begin_alert(connection, alert):
                return
            if not alert.mailed:
                await post(connection, LETTER, _ids(alert, "began"), once=f"{alert.id}/began")
            if settings.webhook_sealed is not None:
                await insert_post(connection, alert, "began", self.clock())
                await ask_for_turn(connection, POST, alert.agency_id)
        emit("alert.began", agency_id=alert.agency_id, kind=alert.kind, alert_id=alert.id)

    async def _end(self, alert: Alert, settings: AlertSettings) -> None:
        """Nothing is said about what the agency does not want to hear of any more."""
        async with self.database.settings.acquire(timeout=COMMAND_SECONDS) as connection, connection.transaction():
            if not await end_alert(connection, alert.id, self.clock()):
                return
            if alert.kind not in settings.muted:
                await post(connection, LETTER, _ids(alert, "ended"), once=f"{alert.id}/ended")
                if settings.webhook_sealed is not None:
                    await insert_post(connection, alert, "ended", self.clock())
                    await ask_for_turn(connection, POST, alert.agency_id)
        emit("alert.ended", agency_id=alert.agency_id, kind=alert.kind, alert_id=alert.id)

    def _judge(self, trouble: Trouble, settings: AlertSettings) -> Alert | None:
        """None: it is not worth an alert to this agency."""
        kind = _KINDS.get(trouble.kind)
        if kind is None:
            return None
        if trouble.kind == "low_balance" and float(trouble.said or 0) >= settings.low_balance:
            return None
        if trouble.kind == "endpoint_failing" and int(trouble.said or 0) < settings.failures:
            return None
        found = self.health.explain(trouble)
        return Alert(
            id=new_id("alert"),
            agency_id=trouble.agency_id,
            kind=kind,
            target=trouble.target,
            name=_shorten(found.name) if kind == "deliveries_failing" else found.name,
            problem=found.problem,
            advice=found.advice,
            began_at=self.clock(),
            ended_at=None,
            mailed=trouble.kind in _MAILED_BY_KEYS,
        )

    def _tell_missed(self, missed: MissedCalls) -> Alert:
        return Alert(
            id=new_id("alert"),
            agency_id=missed.agency_id,
            kind="calls_missed",
            target="",
            name="Calls",
            problem=f"No AI took {missed.missed} of the latest {missed.calls} calls that one was to answer.",
            advice="Look at the calls and at Health, which says what is wrong.",
            began_at=self.clock(),
            ended_at=None,
            mailed=False,
        )

    async def write(self, ids: Mapping[str, Any]) -> Mail | None:
        """None if the agency wants no mail, if it is over before it was told, or its beginning was not told."""
        alert = await find_alert(self.database.settings, ids["alert_id"])
        agency = await find_agency(self.database.settings, ids["agency_id"])
        if alert is None or agency is None or agency.alert_email is None:
            return None
        began = ids["phase"] == "began"
        if alert.ended_at is not None if began else not alert.mailed:
            return None
        text = (_BEGAN if began else _ENDED).format(
            agency=agency.name,
            name=alert.name,
            problem=alert.problem,
            advice=alert.advice,
            console=f"{self.addresses.console}/{agency.id}/health",
        )
        subject = f"{alert.name}: something is wrong" if began else f"{alert.name}: over"
        return Mail(f"{LETTER}.{alert.id}.{ids['phase']}", agency.alert_email, subject, text)

    async def note_sent(self, ids: Mapping[str, Any]) -> None:
        if ids["phase"] == "began":
            await note_mailed(self.database.settings, ids["alert_id"])

    async def write_test(self, ids: Mapping[str, Any]) -> Mail | None:
        agency = await find_agency(self.database.settings, ids["agency_id"])
        if agency is None or agency.alert_email is None:
            return None
        text = _TEST.format(agency=agency.name)
        return Mail(f"{TEST_LETTER}.{ids['test_id']}", agency.alert_email, "A test of your alerts", text)


def _shorten(url: str) -> str:
    """Messages go through other hands, and the path may hold a token."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}"


def _ids(alert: Alert, phase: Phase) -> dict[str, str | int]:
    return {"agency_id": alert.agency_id, "alert_id": alert.id, "phase": phase}
