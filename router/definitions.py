"""How a client's calls are answered: routing settings, and the portable definition of an assistant."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from router.fields import E164, Greeting, Input, Language, Name, Timezone, WebAddress

Mode = Literal["ai", "owner_first", "ring_through", "voicemail"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def _distinct(values: list[Any]) -> list[Any]:
    if len(set(values)) != len(values):
        raise ValueError("must not name one twice")
    return values


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

    days: Annotated[list[Day], Field(min_length=1, max_length=7), AfterValidator(_distinct)]
    start: Annotated[str, Field(alias="from", pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    end: Annotated[str, Field(alias="to", pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]

    @model_validator(mode="after")
    def _has_length(self) -> Self:
        if self.start == self.end:
            raise ValueError("from and to must differ; all day is from 00:00 to 24:00")
        return self


class HoursSettings(Input):
    """When a client is open, in its own time zone; at other times `closed_mode` orders the rungs."""

    timezone: Timezone
    open: Annotated[list[OpenHours], Field(max_length=50)]
    closed_mode: Mode = "voicemail"


class RoutingSettings(Input):
    """Which rungs a call goes down, and how."""

    mode: Mode = "ai"
    on_failure: Annotated[Literal["ring_through", "voicemail"], Field(description="After the AI, in mode ai")] = (
        "voicemail"
    )
    ring_seconds: Annotated[int, Field(ge=5, le=60, description="How long the owner's phone rings")] = 15
    screen: Annotated[bool, Field(description="The owner presses 1 to accept, so that no mailbox takes the call")] = (
        True
    )
    voicemail_greeting: Greeting | None = None
    voicemail_seconds: Annotated[int, Field(ge=10, le=600, description="The longest message")] = 120
    transcribe: Annotated[
        bool, Field(description="By Twilio, which charges for it: messages in US English of up to two minutes")
    ] = True
    hours: HoursSettings | None = None

    @property
    def rings(self) -> str | None:
        """The field that lets the owner's phone ring, if one does."""
        if self.mode in {"owner_first", "ring_through"}:
            return "routing.mode"
        if self.on_failure == "ring_through":
            return "routing.on_failure"
        if self.hours and self.hours.closed_mode in {"owner_first", "ring_through"}:
            return "routing.hours.closed_mode"
        return None


class FunctionDefinition(Input):
    """Something that the assistant may ask of the agency's own software during a call."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    description: Annotated[str, Field(max_length=2000)] = ""
    parameters: Annotated[
        dict[str, Any], AfterValidator(_object_schema), Field(description="A JSON Schema of type object")
    ]
    url: WebAddress


class Knowledge(Input):
    """A text that the assistant may draw on."""

    title: Name
    text: Annotated[str, Field(min_length=1, max_length=100_000)]


class AssistantDefinition(Input):
    """The portable assistant: what is common to all providers, and a voice for each."""

    prompt: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100_000)]
    greeting: Greeting | None = None
    languages: Annotated[list[Language], Field(min_length=1, max_length=20), AfterValidator(_distinct)] | None = None
    voice: Annotated[dict[str, dict[str, Any]], Field(description="Each provider's own voice settings")] | None = None
    transfer_to: E164 | None = None
    functions: Annotated[list[FunctionDefinition], Field(max_length=50)] | None = None
    knowledge: Annotated[list[Knowledge], Field(max_length=50)] | None = None
    voicemail_detection: bool | None = None
    max_seconds: Annotated[int, Field(ge=60, le=7200, description="How long a call may take")] | None = None

    @model_validator(mode="after")
    def _functions_have_own_names(self) -> Self:
        names = [function.name for function in self.functions or ()]
        if len(set(names)) != len(names):
            raise ValueError("functions must not have the same name twice")
        return self
