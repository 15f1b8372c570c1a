"""How a client's calls are answered: routing settings, and the portable definition of an assistant."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from router.fields import Greeting, Input, Language, Matching, Name, Phone, Timezone, WebAddress, WholeNumber, distinct
from router.routing.ladder import order_kinds
from router.routing.route import Hours, Mode, OnFailure, Routing

_USUAL: Final = Routing()
_CLOSED_MODE: Final = Hours("UTC").closed_mode
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def _object_schema(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type") != "object":
        raise ValueError('must be a JSON Schema with "type": "object"')
    if not isinstance(schema.get("properties", {}), dict):
        raise ValueError("properties must be an object")  # noqa: TRY004 - pydantic wants ValueError
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise ValueError("required must be a list of names")
    return schema


class OpenHours(Input):
    """A span of time on some weekdays. `to` is not included; earlier than `from`, it is on the next day."""

    days: Annotated[
        list[Day],
        Field(min_length=1, max_length=7, description="On these weekdays", examples=[["mon", "tue", "wed"]]),
        AfterValidator(distinct),
    ]
    start: Annotated[
        str,
        Matching("([01][0-9]|2[0-3]):[0-5][0-9]", "must be a time of day from 00:00 to 23:59"),
        Field(alias="from", description="When it opens", examples=["09:00"]),
    ]
    end: Annotated[
        str,
        Matching("(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)", "must be a time of day from 00:00 to 24:00"),
        Field(alias="to", description="When it closes; not included", examples=["17:00"]),
    ]

    @model_validator(mode="after")
    def _has_length(self) -> Self:
        if self.start == self.end:
            raise ValueError("from and to must differ; all day is from 00:00 to 24:00")
        return self


class HoursSettings(Input):
    """When a client is open, in its own time zone; at other times `closed_mode` orders the rungs."""

    timezone: Annotated[Timezone, Field(examples=["Europe/London"])]
    open: Annotated[list[OpenHours], Field(max_length=50, description="Spans in which it is open")]
    closed_mode: Annotated[Mode, Field(description="In which order rungs are tried while it is closed")] = _CLOSED_MODE


class RoutingSettings(Input):
    """Which rungs a call goes down, and how."""

    mode: Annotated[
        Mode,
        Field(
            description="In which order rungs are tried: ai = AI, then on_failure; owner_first = owner, AI, voicemail; "
            "ring_through = owner, voicemail; voicemail = voicemail"
        ),
    ] = _USUAL.mode
    on_failure: Annotated[OnFailure, Field(description="After the AI, in mode ai")] = _USUAL.on_failure
    ring_seconds: Annotated[int, WholeNumber(5, 60), Field(description="How long the owner's phone rings")] = (
        _USUAL.ring_seconds
    )
    screen: Annotated[bool, Field(description="The owner presses 1 to accept, so that no mailbox takes the call")] = (
        _USUAL.screen
    )
    voicemail_greeting: Annotated[
        Greeting | None, Field(description="What the voicemail says; null: a standard text")
    ] = None
    voicemail_seconds: Annotated[int, WholeNumber(10, 600), Field(description="The longest message")] = (
        _USUAL.voicemail_seconds
    )
    transcribe: Annotated[
        bool, Field(description="By Twilio, which charges for it: messages in US English of up to two minutes")
    ] = _USUAL.transcribe
    hours: Annotated[HoursSettings | None, Field(description="null: always open")] = None

    @property
    def rings(self) -> str | None:
        """The field that lets the owner's phone ring, if one does."""
        if "owner" in order_kinds(self.mode, "voicemail"):
            return "routing.mode"
        if self.on_failure == "ring_through":
            return "routing.on_failure"
        if self.hours and "owner" in order_kinds(self.hours.closed_mode, "voicemail"):
            return "routing.hours.closed_mode"
        return None


_OURS: Final = "callrouter_"


def _not_ours(name: str) -> str:
    """A provider tells functions apart by their names alone."""
    if name.lower().startswith(_OURS):
        raise ValueError(f"must not begin with {_OURS}: such names are for functions of callrouter itself")
    return name


class FunctionDefinition(Input):
    """Something that the assistant may ask of the agency's own software during a call."""

    name: Annotated[
        str,
        Matching("[A-Za-z0-9_-]{1,64}", "must have 1 to 64 letters, digits, _ or -"),
        AfterValidator(_not_ours),
        Field(description="By which the assistant knows it", examples=["book_appointment"]),
    ]
    description: Annotated[str, Field(max_length=2000, description="For the assistant: when to use it")] = ""
    parameters: Annotated[
        dict[str, Any], AfterValidator(_object_schema), Field(description="A JSON Schema of type object")
    ]
    url: Annotated[WebAddress, Field(description="Where the provider sends the request during the call")]


class Knowledge(Input):
    """A text that the assistant may draw on."""

    title: Annotated[Name, Field(description="What it is about", examples=["Prices"])]
    text: Annotated[str, Field(min_length=1, max_length=100_000, description="What the assistant may use")]


class AssistantDefinition(Input):
    """The portable assistant: what is common to all providers, and a voice for each."""

    prompt: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=100_000),
        Field(description="What the assistant is told to do", examples=["You answer the phone of a hair salon."]),
    ]
    greeting: Annotated[
        Greeting | None, Field(description="What it says first", examples=["Bella's Salon, how can I help?"])
    ] = None
    languages: Annotated[
        Annotated[list[Language], Field(min_length=1, max_length=20), AfterValidator(distinct)] | None,
        Field(description="Which it speaks, the main one first", examples=[["en-US"]]),
    ] = None
    voice: Annotated[
        dict[str, dict[str, Any]] | None, Field(description="By provider: the provider's own voice settings")
    ] = None
    transfer_to: Annotated[
        Phone | None, Field(description="Whom it may put callers through to", examples=["+14155550123"])
    ] = None
    functions: Annotated[
        Annotated[list[FunctionDefinition], Field(max_length=50)] | None,
        Field(description="What it may ask of the agency's own software"),
    ] = None
    knowledge: Annotated[
        Annotated[list[Knowledge], Field(max_length=50)] | None, Field(description="Texts that it may draw on")
    ] = None
    voicemail_detection: Annotated[
        bool | None, Field(description="Whether it hangs up when a machine answers; null: the provider's default")
    ] = None
    max_seconds: Annotated[
        Annotated[int, WholeNumber(60, 7200)] | None, Field(description="How long a call may take")
    ] = None

    @model_validator(mode="after")
    def _functions_have_own_names(self) -> Self:
        names = [function.name for function in self.functions or ()]
        if len(set(names)) != len(names):
            raise ValueError("functions must not have the same name twice")
        return self
