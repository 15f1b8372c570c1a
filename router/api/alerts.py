"""Alerts of an agency, and what it wants to be alerted of: /v1/agencies/{agency}/alerts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints

from router.api.asking import By, OwnAgency, Pool, Use
from router.api.pages import Listed, ListOf, PageQuery
from router.api.route import resource
from router.fields import LEFT_OUT, Change, Output, WholeNumber, distinct
from router.store.tenants import alerts as store
from router.store.tenants.alerts import AlertKind, AlertSettings
from router.tenants.alert_settings import AlertChoices, Test

_PATH: Final = "/v1/agencies/{agency}/alerts"

router = resource("agencies")

Work = Annotated[AlertChoices, Use(AlertChoices)]
Muted = Annotated[
    list[AlertKind], Field(max_length=5, description="Kinds of alerts that are not sent"), AfterValidator(distinct)
]
LowBalance = Annotated[
    float, Field(ge=0, le=100_000, description="Alert when a provider's balance is below this many US dollars")
]
MissedPercent = Annotated[
    int,
    WholeNumber(1, 100),
    Field(
        description="Alert when no AI took that share of the latest 20 calls that one was to answer, of the last 24 hours; "
        "fewer than five calls tell nothing"
    ),
]
Failures = Annotated[
    int, WholeNumber(1, 100), Field(description="Alert when that many deliveries to an endpoint failed in a row")
]


class AlertReply(Output):
    """Something that is wrong, or was."""

    id: Annotated[str, Field(description="The alert's id")]
    kind: Annotated[AlertKind, Field(description="What it is about")]
    target: Annotated[
        str, Field(description="Which key (its kind), number or endpoint (its id); empty: the agency's calls")
    ]
    name: Annotated[str, Field(description="The same as people know it; of an endpoint, its host")]
    problem: Annotated[str, Field(description="What is wrong, in sentences")]
    advice: Annotated[str, Field(description="What to do about it")]
    began_at: Annotated[datetime, Field(description="When it was noticed")]
    ended_at: Annotated[datetime | None, Field(description="When it was over; null: it is not")]


class AlertList(ListOf[AlertReply]):
    """One page of alerts, newest first."""


class AlertSettingsReply(Output):
    """What an agency is alerted of, and where besides `alert_email`."""

    webhook: Annotated[
        str | None,
        Field(validation_alias="webhook_shown", description="Where alerts are posted, without the path; null: nowhere"),
    ]
    muted: Muted
    low_balance: LowBalance
    missed_percent: MissedPercent
    failures: Failures


class AlertSettingsChange(Change):
    """Fields that are left out do not change."""

    webhook_url: Annotated[
        Annotated[str, StringConstraints(max_length=2000)] | None,
        Field(
            description='Where alerts are posted as `{"text": …}`, as Slack\'s incoming webhooks take it: https, on the '
            "public internet. It is stored sealed and never shown again; null: nowhere",
            examples=["https://hooks.slack.com/services/T000/B000/XXXX"],
        ),
    ] = None
    muted: Muted = LEFT_OUT
    low_balance: LowBalance = LEFT_OUT
    missed_percent: MissedPercent = LEFT_OUT
    failures: Failures = LEFT_OUT


class TestReply(Output):
    """Where the test went."""

    email: Annotated[str | None, Field(description="The address that gets an email now; null: none")]
    webhook: Annotated[bool, Field(description="Whether it was posted to a webhook")]
    webhook_error: Annotated[str | None, Field(description="Why it did not arrive there; null: it did")]


@router.get(_PATH, summary="List alerts, newest first", response_model=AlertList)
async def list_alerts(agency: OwnAgency, page: PageQuery, pool: Pool) -> Listed[store.Alert]:
    """Each is sent once when it begins and once when it is over, and kept for 90 days after that."""
    return await page.read(store.list_alerts, pool, agency, position=lambda row: (row.began_at, row.id))


@router.get(_PATH + "/settings", summary="Show what is alerted of", response_model=AlertSettingsReply)
async def show_alert_settings(agency: OwnAgency, work: Work) -> AlertSettings:
    return await work.show(agency)


@router.patch(_PATH + "/settings", summary="Change what is alerted of", response_model=AlertSettingsReply)
async def change_alert_settings(agency: OwnAgency, body: AlertSettingsChange, author: By, work: Work) -> AlertSettings:
    wanted = body.model_dump(exclude_unset=True)
    if "muted" in wanted:
        wanted["muted"] = tuple(wanted["muted"])
    return await work.change(agency, wanted, author)


@router.post(_PATH + "/test", summary="Send a test alert", response_model=TestReply)
async def send_test_alert(agency: OwnAgency, author: By, work: Work) -> Test:
    """By email to `alert_email` once it has confirmed, and to the webhook. 409 if there is neither; 20 in an hour."""
    return await work.test(agency, author)
