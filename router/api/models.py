"""The bodies of the API: what is sent and what is answered. Validation within one body only."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from router.api.pages import ListOf
from router.definitions import AssistantDefinition, RoutingSettings
from router.fields import E164, AreaCode, Country, Email, Input, Name, Output, RemoteId, WholeNumber, misplaced


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


AgencyName = Annotated[Name, Field(description="The agency's name", examples=["Acme Voice"])]
AlertEmail = Annotated[
    Email | None,
    Field(description="Who gets an email when a key stops working; null: no emails", examples=["alerts@example.com"]),
]
ClientName = Annotated[Name, Field(description="The business's name", examples=["Bella's Salon"])]
PersonalPhone = Annotated[
    E164 | None,
    Field(description="The owner's phone; required when the routing rings the owner", examples=["+14155550123"]),
]
NotifyEmail = Annotated[
    Email | None,
    Field(description="Who gets an email about each message; null: no emails", examples=["owner@example.com"]),
]
OwnProvider = Annotated[
    str | None,
    Field(description="The voice provider that takes its calls; null: the agency's active one", examples=["vapi"]),
]
CallerIdChoice = Annotated[
    Literal["caller", "number"], Field(description="Whose number the owner sees: the caller's or the client's")
]


class NewAgency(Input):
    """An agency to be created."""

    name: AgencyName
    alert_email: AlertEmail = None


class AgencyChange(Change):
    """What is left out stays as it is."""

    name: AgencyName = _LEFT_OUT
    alert_email: AlertEmail = None
    active_provider: Annotated[
        str | None, Field(description="The voice provider that takes calls; null: none", examples=["vapi"])
    ] = None
    fallback_providers: Annotated[
        Annotated[list[str], Field(max_length=20), AfterValidator(_distinct)] | None,
        Field(
            description="Who takes calls when the active provider cannot, in this order; null: every other with a key",
            examples=[["retell"]],
        ),
    ] = None
    retention_days: Annotated[
        Annotated[int, WholeNumber(1, 3650)] | None,
        Field(description="Messages and what was said on calls are deleted after so many days; null: kept"),
    ] = None


class AgencyReply(Output):
    """An agency."""

    id: Annotated[str, Field(description="The agency's id", examples=["agency_4xq2vyp3bfzk7d5ma6tj"])]
    name: Annotated[str, Field(description="The agency's name", examples=["Acme Voice"])]
    active_provider: Annotated[str | None, Field(description="The voice provider that takes calls", examples=["vapi"])]
    fallback_providers: Annotated[
        list[str] | None, Field(description="Who takes calls when it cannot; null: every other with a key")
    ]
    alert_email: Annotated[str | None, Field(description="Who gets an email when a key stops working")]
    retention_days: Annotated[
        int | None, Field(description="After how many days what was said is deleted; null: never")
    ]
    created_at: Annotated[datetime, Field(description="When it was created")]


class AgencyList(ListOf[AgencyReply]):
    """One page of agencies, oldest first."""


class SyncReply(Output):
    """How many of the agency's clients have their assistant at the provider."""

    state: Annotated[
        Literal["idle", "running", "done", "failed"],
        Field(description="idle: nothing to do; failed: done, but for some clients"),
    ]
    done: Annotated[int, Field(description="Clients whose assistant is there")]
    total: Annotated[int, Field(description="Clients whose assistant is to be there")]
    failed: Annotated[int, Field(description="Clients for whom it failed")]


class LinesReply(Output):
    """Calls at once, as the provider counts them."""

    limit: Annotated[int, Field(description="How many it takes")]
    used: Annotated[int | None, Field(description="How many there are now; null: it does not tell")]


class KeyReply(Output):
    """What may be shown of a key."""

    kind: Annotated[str, Field(description="A voice provider's name, or twilio", examples=["vapi"])]
    last4: Annotated[str, Field(description="Its last four characters, or fewer of a short one", examples=["x7Qa"])]
    status: Annotated[
        Literal["valid", "out_of_credit", "failing"], Field(description="failing: refused since it was saved")
    ]
    problem: Annotated[str | None, Field(description="What the provider says is wrong")]
    failing_since: Annotated[datetime | None, Field(description="Since when it is refused")]
    checked_at: Annotated[datetime, Field(description="When it was last tried")]
    balance: Annotated[float | None, Field(description="In US dollars, where the provider tells")]
    lines: Annotated[LinesReply | None, Field(description="How many calls it takes at once, where it tells")]
    version: Annotated[int, Field(description="Counted up each time that one of this kind is saved")]
    active: Annotated[bool, Field(description="Whether it is the agency's active voice provider's")]
    sync: Annotated[SyncReply, Field(description="How far the agency's assistants are there")]
    webhook_url: Annotated[
        str | None,
        Field(
            description="Where the provider tells of calls: for assistants that were linked by hand. null: it cannot be "
            "read any more; save the key again"
        ),
    ]


class KeyList(ListOf[KeyReply]):
    """All keys of an agency."""


class NewClient(Input):
    """A client to be created."""

    name: ClientName
    personal_phone: PersonalPhone = None
    notify_email: NotifyEmail = None
    provider: OwnProvider = None
    caller_id: CallerIdChoice = "caller"
    routing: Annotated[RoutingSettings | None, Field(description="How its calls are answered; null: the defaults")] = (
        None
    )
    assistant: Annotated[
        AssistantDefinition | None, Field(description="What answers its calls; null: no assistant of ours")
    ] = None


class ClientChange(Change):
    """What is left out stays as it is; null clears."""

    name: ClientName = _LEFT_OUT
    personal_phone: PersonalPhone = None
    notify_email: NotifyEmail = None
    provider: OwnProvider = None
    caller_id: CallerIdChoice = _LEFT_OUT
    routing: Annotated[RoutingSettings | None, Field(description="Replaced as a whole; null: the defaults")] = None
    assistant: Annotated[AssistantDefinition | None, Field(description="Replaced as a whole; null: none")] = None


class ClientReply(Output):
    """A client."""

    id: Annotated[str, Field(description="The client's id", examples=["client_h5xk3m7qy2wd4bnr6fto"])]
    agency_id: Annotated[str, Field(description="Its agency")]
    name: Annotated[str, Field(description="The business's name", examples=["Bella's Salon"])]
    personal_phone: Annotated[str | None, Field(description="The owner's phone", examples=["+14155550123"])]
    notify_email: Annotated[str | None, Field(description="Who gets an email about each message")]
    provider: OwnProvider
    caller_id: CallerIdChoice
    routing: Annotated[RoutingSettings, Field(description="How its calls are answered")]
    assistant: Annotated[dict[str, Any] | None, Field(description="As it was sent")]
    created_at: Annotated[datetime, Field(description="When it was created")]


class ClientList(ListOf[ClientReply]):
    """One page of clients, oldest first."""


class NewLink(Input):
    """An assistant that exists at the provider, to be used as it is."""

    remote_id: Annotated[RemoteId, Field(description="Its id at the provider")]
    manage: Annotated[
        list[Literal["webhook", "transfer"]],
        AfterValidator(_distinct),
        Field(default_factory=list, description="What we set on it"),
    ]


class AssistantReply(Output):
    """A client's assistant at one provider."""

    provider: Annotated[str, Field(description="The provider's name", examples=["vapi"])]
    remote_id: Annotated[str | None, Field(description="Its id there; null: it is not there")]
    state: Annotated[
        Literal["missing", "pending", "synced", "failed", "linked"],
        Field(description="linked: somebody made it at the provider, and we leave it as it is"),
    ]
    error: Annotated[str | None, Field(description="Why it failed")]
    lost: Annotated[
        list[str], Field(description="What of the definition the provider cannot do", examples=[["knowledge"]])
    ]


class AssistantList(ListOf[AssistantReply]):
    """A client's assistants, one for each provider."""


class NewNumber(Input):
    """With `country`, a number is bought: any that fits, or the one in `e164` out of those available. Without, the
    number in `e164` is taken over from the agency's own Twilio account, or from the platform's.
    """

    client_id: Annotated[str, Field(description="The client whose calls come in on it")]
    e164: Annotated[E164 | None, Field(description="Which number", examples=["+14155550123"])] = None
    account: Annotated[Literal["platform", "agency"] | None, Field(description="Where a number to take over is")] = None
    country: Annotated[Country | None, Field(description="Where to buy one", examples=["US"])] = None
    area_code: Annotated[
        AreaCode | None, Field(description="What its national number is to begin with", examples=["415"])
    ] = None
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
                raise misplaced("account", "goes with a number to take over; where one is bought is known already")
            return self
        for name in ("area_code", "carrier"):
            if getattr(self, name) is not None:
                raise misplaced("country", f"is required to buy a number, to which {name} belongs")
        for name in ("e164", "account"):
            if getattr(self, name) is None:
                raise misplaced(name, "is required to take a number over; to buy one, say in which country")
        return self


class AvailableReply(Output):
    """A number that could be bought."""

    carrier: Annotated[str, Field(description="Who sells it", examples=["twilio"])]
    country: Annotated[str, Field(description="In which country it is (ISO 3166-1)", examples=["US"])]
    e164: Annotated[str | None, Field(description="null: the seller chooses the number")]
    locality: Annotated[str | None, Field(description="In which town", examples=["San Francisco"])]
    region: Annotated[str | None, Field(description="In which state or region", examples=["CA"])]


class NotSoldReply(Output):
    """A seller without an offer."""

    carrier: Annotated[str, Field(description="Who", examples=["retell"])]
    reason: Annotated[str, Field(description="Why not")]


class AvailableList(Output):
    """What could be bought, and from whom."""

    items: Annotated[list[AvailableReply], Field(description="The offers of all sellers")]
    not_sold: Annotated[list[NotSoldReply], Field(description="Sellers without an offer")]
    next_cursor: Annotated[str | None, Field(description="Always null: there is one page")] = None


class NumberChange(Input):
    """Whose calls come in on a number."""

    client_id: Annotated[str, Field(description="The client that it is given to")]


class RegistrationReply(Output):
    """A number's registration at a provider."""

    remote_id: Annotated[str, Field(description="Its id there, or the number there")]
    mode: Annotated[
        str | None,
        Field(
            default=None,
            exclude_if=lambda mode: mode is None,
            description="How it is reached, where there are several ways",
        ),
    ]


class NumberReply(Output):
    """A phone number. One that was bought from a voice provider is on no account and has no addresses."""

    e164: Annotated[str, Field(description="The number", examples=["+14155550123"])]
    client_id: Annotated[str, Field(description="The client whose calls come in on it")]
    carrier: Annotated[str, Field(description="Who sold it: twilio or a voice provider", examples=["twilio"])]
    account_sid: Annotated[
        str | None, Field(validation_alias="carrier_account_sid", description="The Twilio account that it is on")
    ]
    account: Annotated[
        Literal["platform", "agency"] | None,
        Field(validation_alias="whose_account", description="Whose Twilio account it is on"),
    ]
    voice_url: Annotated[str, Field(description="Where the carrier announces calls")]
    fallback_url: Annotated[str, Field(description="Where it goes when we do not answer")]
    status_url: Annotated[str, Field(description="Where it tells how calls end")]
    registrations: Annotated[
        dict[str, RegistrationReply], Field(description="By provider: the number's registration there")
    ]
    state: Annotated[Literal["pending", "active"], Field(description="active: the carrier sends its calls here")]
    fallback: Annotated[
        Literal["ok", "stale"],
        Field(
            validation_alias="fallback_state",
            description="stale: the carrier has not been given the newest fallback address yet",
        ),
    ]
    drift: Annotated[
        str | None, Field(description="What the carrier has otherwise than we want it, and could not be corrected")
    ]
    checked_at: Annotated[datetime | None, Field(description="When the carrier's configuration was last looked at")]
    problems: Annotated[list[str], Field(description="Why it has no registration at a provider that needs one")]


class NumberList(ListOf[NumberReply]):
    """One page of numbers, oldest first."""
