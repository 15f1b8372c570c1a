"""The bodies of the API: what is sent and what is answered. Validation within one body only."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from router.definitions import AssistantDefinition, RoutingSettings
from router.fields import E164, AreaCode, Country, Email, Input, Name, Output, RemoteId

_Item = TypeVar("_Item")


def _distinct(values: list[str]) -> list[str]:
    if len(set(values)) != len(values):
        raise ValueError("must not name one twice")
    return values


def _without_defaults(schema: dict[str, Any]) -> None:
    """What is left out of a change stays as it is, whatever stands for it here."""
    for field in schema["properties"].values():
        field.pop("default", None)


class Change(Input):
    """What is left out stays as it is; null clears."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)


_LEFT_OUT: Any = Field(default="")


class ListOf(Output, Generic[_Item]):
    """One page of a list. `next_cursor` null: the last one."""

    items: list[_Item]
    next_cursor: str | None = None


class NewAgency(Input):
    name: Name
    alert_email: Email | None = None


class AgencyChange(Change):
    """What is left out stays as it is."""

    name: Name = _LEFT_OUT
    alert_email: Email | None = None
    active_provider: Annotated[str | None, Field(description="null: none")] = None
    fallback_providers: Annotated[
        Annotated[list[str], Field(max_length=20), AfterValidator(_distinct)] | None,
        Field(description="In this order; null: every other with a key"),
    ] = None
    retention_days: Annotated[
        int | None,
        Field(
            ge=1, le=3650, description="Messages and what was said on calls are deleted after so many days; null: kept"
        ),
    ] = None


class AgencyReply(Output):
    id: str
    name: str
    active_provider: str | None
    fallback_providers: list[str] | None
    alert_email: str | None
    retention_days: int | None
    created_at: datetime


class AgencyList(ListOf[AgencyReply]):
    pass


class NewToken(Input):
    name: Name


class TokenCreated(Output):
    """The only time that the token is shown."""

    id: str
    name: str
    token: str


class TokenReply(Output):
    id: str
    name: str
    created_at: datetime


class TokenList(ListOf[TokenReply]):
    pass


class OwnToken(Output):
    """Whose the token of the request is."""

    name: Annotated[str, Field(description="The token's id; admin: the operator's")]
    admin: bool
    agency_id: Annotated[str | None, Field(description="The one agency that it reaches; null: all")]


class SyncReply(Output):
    """How many of the agency's clients have their assistant at the provider."""

    state: Literal["idle", "running", "done", "failed"]
    done: int
    total: int
    failed: int


class LinesReply(Output):
    """Calls at once, as the provider counts them; `used` null: it does not tell."""

    limit: int
    used: int | None


class KeyReply(Output):
    """What may be shown of a key. `webhook_url` is for assistants that were linked by hand."""

    kind: str
    last4: str
    status: Annotated[
        Literal["valid", "out_of_credit", "failing"], Field(description="failing: refused since it was saved")
    ]
    problem: Annotated[str | None, Field(description="What the provider says is wrong")]
    failing_since: datetime | None
    checked_at: datetime
    balance: Annotated[float | None, Field(description="In US dollars, where the provider tells")]
    lines: Annotated[LinesReply | None, Field(description="How many calls it takes at once, where it tells")]
    version: int
    active: Annotated[bool, Field(description="Whether it is the agency's active voice provider's")]
    sync: SyncReply
    webhook_url: Annotated[str | None, Field(description="null: it cannot be read any more; save the key again")]


class KeyList(ListOf[KeyReply]):
    pass


class NewClient(Input):
    name: Name
    personal_phone: Annotated[E164 | None, Field(description="The owner's phone; needed by rungs that ring")] = None
    notify_email: Email | None = None
    provider: Annotated[str | None, Field(description="null: the agency's active one")] = None
    caller_id: Annotated[
        Literal["caller", "number"], Field(description="Whose number the owner sees: the caller's or the client's")
    ] = "caller"
    routing: RoutingSettings | None = None
    assistant: AssistantDefinition | None = None


class ClientChange(Change):
    """What is left out stays as it is; null clears."""

    name: Name = _LEFT_OUT
    personal_phone: E164 | None = None
    notify_email: Email | None = None
    provider: str | None = None
    caller_id: Literal["caller", "number"] = _LEFT_OUT
    routing: Annotated[RoutingSettings | None, Field(description="Replaced as a whole; null: the defaults")] = None
    assistant: AssistantDefinition | None = None


class ClientReply(Output):
    id: str
    agency_id: str
    name: str
    personal_phone: str | None
    notify_email: str | None
    provider: str | None
    caller_id: Literal["caller", "number"]
    routing: RoutingSettings
    assistant: Annotated[dict[str, Any] | None, Field(description="As it was sent")]
    created_at: datetime


class ClientList(ListOf[ClientReply]):
    pass


class NewLink(Input):
    remote_id: RemoteId
    manage: Annotated[
        list[Literal["webhook", "transfer"]],
        AfterValidator(_distinct),
        Field(default_factory=list, description="What we set on it"),
    ]


class AssistantReply(Output):
    provider: str
    remote_id: str | None
    state: Literal["missing", "pending", "synced", "failed", "linked"]
    error: str | None
    lost: list[str]


class AssistantList(ListOf[AssistantReply]):
    pass


class NewNumber(Input):
    """With `country`, a number is bought: any that fits, or the one in `e164` out of those available. Without, the
    number in `e164` is taken over from the agency's own Twilio account, or from the platform's.
    """

    client_id: str
    e164: E164 | None = None
    account: Annotated[Literal["platform", "agency"] | None, Field(description="Where a number to take over is")] = None
    country: Annotated[Country | None, Field(description="Where to buy one")] = None
    area_code: Annotated[AreaCode | None, Field(description="What its national number is to begin with")] = None
    carrier: Annotated[
        Literal["twilio", "retell", "bland"] | None,
        Field(
            description="Who sells it. Left out: Twilio, where the agency or the platform has an account; else the "
            "active provider"
        ),
    ] = None

    @model_validator(mode="after")
    def _buy_or_take_over(self) -> Self:
        if self.country is not None:
            if self.account is not None:
                raise _misplaced("account", "goes with a number to take over; where one is bought is known already")
            return self
        for name in ("area_code", "carrier"):
            if getattr(self, name) is not None:
                raise _misplaced("country", f"is required to buy a number, to which {name} belongs")
        for name in ("e164", "account"):
            if getattr(self, name) is None:
                raise _misplaced(name, "is required to take a number over; to buy one, say in which country")
        return self


def _misplaced(field: str, message: str) -> PydanticCustomError:
    return PydanticCustomError("number", "{message}", {"field": field, "message": message})


class AvailableReply(Output):
    """`e164` null: the seller chooses the number."""

    carrier: str
    country: str
    e164: str | None
    locality: str | None
    region: str | None


class NotSoldReply(Output):
    carrier: str
    reason: str


class AvailableList(Output):
    items: list[AvailableReply]
    not_sold: list[NotSoldReply]
    next_cursor: str | None = None


class NumberChange(Input):
    client_id: str


class RegistrationReply(Output):
    """A number's counterpart at a provider."""

    remote_id: str
    mode: str | None = Field(default=None, exclude_if=lambda mode: mode is None)


class NumberReply(Output):
    """`fallback` stale: the carrier has not been given the newest fallback address yet. `drift`: what the carrier has
    otherwise than we want it, as far as it could not be mended. A number that was bought from a voice provider
    (`carrier`) is on no account and has no addresses.
    """

    e164: str
    client_id: str
    carrier: str
    account_sid: Annotated[str | None, Field(validation_alias="carrier_account_sid")]
    account: Annotated[
        Literal["platform", "agency"] | None,
        Field(validation_alias="whose_account", description="Whose Twilio account it is on"),
    ]
    voice_url: str
    fallback_url: str
    status_url: str
    registrations: dict[str, RegistrationReply]
    state: Literal["pending", "active"]
    fallback: Annotated[Literal["ok", "stale"], Field(validation_alias="fallback_state")]
    drift: str | None
    checked_at: Annotated[datetime | None, Field(description="When the carrier's configuration was last looked at")]
    problems: Annotated[list[str], Field(description="Why it has no counterpart at a provider that needs one")]


class NumberList(ListOf[NumberReply]):
    pass


class CallReply(Output):
    """A call; `outcome` null while it is on. `seconds` is its length, `cost` in US dollars."""

    id: str
    call_sid: str
    client_id: str
    caller: Annotated[str, Field(validation_alias="from_number", serialization_alias="from")]
    to: Annotated[str, Field(validation_alias="to_number")]
    provider: str | None
    outcome: Literal["ai", "owner", "voicemail", "abandoned", "rejected"] | None
    started_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    seconds: int | None
    cost: float | None


class CallList(ListOf[CallReply]):
    pass


class EventReply(Output):
    id: str
    at: datetime
    event: str
    step: str | None
    provider: str | None
    reason: str | None
    duration_ms: int | None


class CallWithEvents(CallReply):
    """With what the provider told: `end_reason` is its own word, `ai_seconds` how long it had the call."""

    provider_call_id: str | None
    end_reason: str | None
    summary: str | None
    transcript: str | None
    ai_seconds: float | None
    events: list[EventReply]


class RungReply(Output):
    """`reason` "ready": this rung would take the call; else why it would not, or why the voicemail has to."""

    step: Literal["ai", "owner", "voicemail"]
    provider: str | None
    would_take: bool
    reason: str
    notes: Annotated[
        list[str], Field(description='What its assistant there does without, such as "no_events" or "no_transfer"')
    ]


class Explanation(Output):
    """In the order in which they would be tried; those that are not on the ladder at all come last."""

    rungs: list[RungReply]


class VoicemailReply(Output):
    id: str
    call_id: str
    client_id: str
    caller: Annotated[str, Field(validation_alias="from_number", serialization_alias="from")]
    at: datetime
    seconds: int
    transcript: str | None
    recording_sid: str


class VoicemailList(ListOf[VoicemailReply]):
    pass


class AuditReply(Output):
    """Who changed what. `actor` is "admin" or a token's id."""

    id: str
    at: datetime
    actor: str
    action: str
    target: str
    address: str | None


class AuditList(ListOf[AuditReply]):
    pass
