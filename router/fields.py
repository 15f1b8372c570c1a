"""The kinds of values that the API takes, each with a message that says how to mend it. No message repeats a value."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Final
from urllib.parse import urlsplit
from zoneinfo import available_timezones

import phonenumbers
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    SecretStr,
    StringConstraints,
)
from pydantic_core import PydanticCustomError, core_schema

from adapters.phone import E164 as PHONE
from adapters.phone import is_e164

_E164: Final = f"^{PHONE}$"
_MAX_SECRET: Final = 1000

OWN_WORDS: Final = "callrouter"
"""The type of those validation errors whose message is ours."""


class Input(BaseModel):
    """What clients send: of exactly these types, nothing that we don't know, nothing of it in an error, and nothing
    kept in a parser's cache.
    """

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True, frozen=True, cache_strings="none")


def _without_defaults(schema: dict[str, Any]) -> None:
    for field in schema["properties"].values():
        field.pop("default", None)


class Change(Input):
    """What is left out stays as it is, whatever default stands for it here."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)


LEFT_OUT: Final[Any] = Field(default="")
"""The default of a field of a Change that is never null."""


class Query(BaseModel):
    """The parameters behind a path's question mark: no others."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)


class Output(BaseModel):
    """What we answer."""

    model_config = ConfigDict(frozen=True, from_attributes=True, json_schema_serialization_defaults_required=True)


def misplaced(field: str, message: str) -> PydanticCustomError:
    """For validators of a whole model: which of its fields is to blame."""
    return PydanticCustomError(OWN_WORDS, "{message}", {"field": field, "message": message})


def _drop_zero_fraction(value: Any) -> Any:
    """JSON does not tell 5.0 from 5."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


@dataclass(frozen=True, slots=True)
class WholeNumber:
    """An `int` between two bounds, both included. Stands before other annotations: they go on from it."""

    least: int
    most: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.custom_error_schema(
            core_schema.no_info_before_validator_function(
                _drop_zero_fraction, core_schema.int_schema(ge=self.least, le=self.most)
            ),
            OWN_WORDS,
            custom_error_message="must be a whole number from {least} to {most}",
            custom_error_context={"least": self.least, "most": self.most},
        )


@dataclass(frozen=True, slots=True)
class Matching:
    """A `str` that looks so from its first character to its last; `words` say how. Likewise before others."""

    pattern: str
    words: str
    max_length: int | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.custom_error_schema(
            core_schema.str_schema(pattern=f"^{self.pattern}$", max_length=self.max_length),
            OWN_WORDS,
            custom_error_message=self.words,
        )


def distinct(values: list[Any]) -> list[Any]:
    if len(set(values)) != len(values):
        raise ValueError("must not name one twice")
    return values


def _one_line(text: str) -> str:
    if any(unicodedata.category(char) in {"Cc", "Zl", "Zp"} for char in text):
        raise ValueError("must not have line breaks or control characters")
    return text


def _speakable(text: str) -> str:
    if any(unicodedata.category(char) == "Cc" for char in text):
        raise ValueError("must not have line breaks or control characters: it is spoken")
    return text


def _e164(text: str) -> str:
    """A number that a country's plan leaves room for. Whether it is assigned is not for us to know."""
    try:
        number = phonenumbers.parse(text, None)
        canonical = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        fine = is_e164(text) and canonical == text and phonenumbers.is_possible_number(number)
    except phonenumbers.NumberParseException:
        fine = False
    if not fine:
        raise ValueError("must be a phone number in E.164 form, such as +14155550123")
    return text


def _with_plus(text: Any) -> Any:
    """A plus sign that was not encoded arrives as a space; no number begins with one."""
    return f"+{text[1:]}" if isinstance(text, str) and text.startswith(" ") else text


@cache
def _timezones() -> frozenset[str]:
    return frozenset(available_timezones())


def _timezone(text: str) -> str:
    if text not in _timezones():
        raise ValueError("must be a time zone of the IANA database, such as Europe/London")
    return text


def _clean_secret(secret: SecretStr) -> SecretStr:
    """Pasted keys often bring white space with them."""
    text = secret.get_secret_value().strip()
    if not text:
        raise ValueError("must not be empty")
    if not text.isascii() or not text.isprintable():
        raise ValueError("must be ASCII without control characters: was all of it copied, and nothing else?")
    if len(text) > _MAX_SECRET:
        raise ValueError(f"must have {_MAX_SECRET} characters at most")
    return SecretStr(text)


def _web_address(text: str) -> str:
    try:
        parts = urlsplit(text)
        fine = parts.scheme in {"http", "https"} and bool(parts.hostname) and text.isascii() and text.isprintable()
    except ValueError:
        fine = False
    if not fine or " " in text:
        raise ValueError("must be an address that starts with https://")
    return text


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(_one_line)]
E164 = Annotated[str, AfterValidator(_e164), Field(json_schema_extra={"pattern": _E164})]
QueryE164 = Annotated[E164, BeforeValidator(_with_plus)]
Country = Annotated[str, Matching("[A-Z]{2}", "must be two capital letters, such as US (ISO 3166-1)")]
AreaCode = Annotated[str, Matching("[1-9][0-9]{0,5}", "must be up to six digits, without a leading zero")]
Email = Annotated[
    str,
    # Control characters are named because dialects differ in which of them are white space.
    Matching(
        r"[^@\s\x00-\x1f\x7f-\x9f\ufeff]{1,64}@[^@\s\x00-\x1f\x7f-\x9f\ufeff]+\.[^@\s.\x00-\x1f\x7f-\x9f\ufeff]+",
        "must be an e-mail address, such as owner@example.com",
        254,
    ),
]
Language = Annotated[
    str,
    Matching("[A-Za-z]{2,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?", "must be a BCP 47 language tag, such as en-US"),
]
AccountSid = Annotated[str, Matching("AC[0-9a-fA-F]{32}", "must be AC followed by 32 hexadecimal digits")]
Timezone = Annotated[str, AfterValidator(_timezone), Field(description="A name of the IANA time zone database")]
SecretText = Annotated[SecretStr, AfterValidator(_clean_secret)]
RemoteId = Annotated[
    str,
    Matching(r"[\x21-\x7e]{1,200}", "must be the id as the provider shows it: 1 to 200 visible ASCII characters"),
]
WebAddress = Annotated[str, StringConstraints(max_length=2000), AfterValidator(_web_address)]
Greeting = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000), AfterValidator(_speakable)
]
