"""The types of values that the API accepts, each with an error message that says how to fix it, without the value."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from email_validator import EmailNotValidError, validate_email
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
    SecretStr,
    StringConstraints,
)
from pydantic_core import PydanticCustomError, core_schema

from adapters.phone import WITHHELD, is_possible
from router.callers import name_caller
from router.phones import NOT_A_PHONE, TYPED, read_phone

_MAX_SECRET: Final = 1000
_UNENCODED_PLUS: Final = re.compile(r" ([0-9]{2}:?[0-9]{2})\Z")
_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 2199
_ORIGIN: Final = re.compile(r"(https?://)(?:[^/?#\s]*@)?([^/?#\s]*)[^\s\"'<>]*", re.IGNORECASE)

OWN_WORDS: Final = "callrouter"
"""The type of the validation errors with our own messages."""


class Input(BaseModel):
    """A request body: strict types, no unknown fields. Its values enter neither an error nor a parser's cache."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True, frozen=True, cache_strings="none")


def _without_defaults(schema: dict[str, Any]) -> None:
    for field in schema["properties"].values():
        field.pop("default", None)


class Change(Input):
    """A partial update: fields that are left out stay as they are; their defaults here mean nothing."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)


LEFT_OUT: Final[Any] = Field(default="")
"""The default of a field of a Change that cannot be null."""


class Query(BaseModel):
    """Query parameters; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)


class Output(BaseModel):
    """A response body."""

    model_config = ConfigDict(frozen=True, from_attributes=True, json_schema_serialization_defaults_required=True)


def misplaced(field: str, message: str) -> PydanticCustomError:
    """For validators of a whole model: an error about one of its fields."""
    return PydanticCustomError(OWN_WORDS, "{message}", {"field": field, "message": message})


def _drop_zero_fraction(value: Any) -> Any:
    """JSON does not tell 5.0 from 5."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


@dataclass(frozen=True, slots=True)
class WholeNumber:
    """An `int` between two bounds, both included. Comes before other annotations."""

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
    """A `str` that matches the pattern as a whole; `words` is the error. Comes before other annotations."""

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


def _without(categories: set[str], words: str) -> AfterValidator:
    """Refuses characters of these Unicode categories."""

    def check(text: str) -> str:
        if any(unicodedata.category(char) in categories for char in text):
            raise ValueError(words)
        return text

    return AfterValidator(check)


def _possible(e164: str) -> str:
    """A number that is possible in its country's numbering plan, assigned or not."""
    if not is_possible(e164):
        raise ValueError(NOT_A_PHONE)
    return e164


def _caller(text: str) -> str:
    """Carriers send numbers that numbering plans do not list."""
    return WITHHELD if name_caller(text) == WITHHELD and text else name_caller(read_phone(text))


def _with_plus(text: Any) -> Any:
    """A plus sign that was not percent-encoded arrives as a space."""
    return f"+{text[1:]}" if isinstance(text, str) and text.startswith(" ") else text


@cache
def timezones() -> frozenset[str]:
    """Of the IANA database, as it comes with callrouter: what else a machine has, such as `localtime`, differs there."""
    names = resources.files("tzdata").joinpath("zones").read_text().split()
    return frozenset(names) - {"Factory"}  # stands for a machine on which none was chosen


def _timezone(text: str) -> str:
    if text not in timezones():
        raise ValueError("must be a time zone of the IANA database, such as Europe/London")
    return text


def _email(text: str) -> str:
    """In one spelling: the domain in lower case, and in its own alphabet. Mail servers get it in ASCII (router.mail.smtp)."""
    if not text.partition("@")[0].isascii():
        raise ValueError("must have only ASCII characters before the @: many mail servers take no others")
    try:
        # The domains for tests exist in closed networks.
        checked = validate_email(
            text, allow_smtputf8=False, strict=True, check_deliverability=False, test_environment=True
        )
    except EmailNotValidError:
        raise ValueError("must be one e-mail address, such as owner@example.com") from None
    return checked.normalized


def _clean_secret(secret: SecretStr) -> SecretStr:
    """Pasted keys often have white space around them."""
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


def _written_time(value: Any) -> Any:
    """A number is not a time by RFC 3339, nor is one in quotes."""
    return value if isinstance(value, str) and value[4:5] == "-" else ""


def _query_time(value: Any) -> Any:
    """A plus sign that was not percent-encoded arrives as a space."""
    return _UNENCODED_PLUS.sub(r"+\1", value) if isinstance(value, str) else value


def _within_calendars(moment: datetime) -> datetime:
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise ValueError(f"must be a time from {_FIRST_YEAR} to {_LAST_YEAR}")
    return moment


_SHOWN: Final = ContextVar("addresses are shown", default=True)


@contextmanager
def addresses_hidden() -> Iterator[None]:
    """While it is open, the addresses in answers are written without what may be a token in them."""
    before = _SHOWN.set(False)
    try:
        yield
    finally:
        _SHOWN.reset(before)


def _hide(address: str | None) -> str | None:
    return address if _SHOWN.get() else None


def _shorten(address: str) -> str:
    """Its scheme and host: paths, queries and user names may hold tokens."""
    return address if _SHOWN.get() else _ORIGIN.sub(r"\1\2", address)


def _shorten_all(value: Any) -> Any:
    """Also of addresses within an object that an agency wrote."""
    match value:
        case _ if _SHOWN.get():
            return value
        case dict():
            return {name: _shorten_all(inner) for name, inner in value.items()}
        case list():
            return [_shorten_all(inner) for inner in value]
        case str():
            return _ORIGIN.sub(r"\1\2/…", value)
    return value


HiddenAddress = Annotated[str | None, PlainSerializer(_hide, return_type=str | None)]
"""An address of ours with a token in it. Null for tokens that may only read."""

ShortenedAddress = Annotated[str, PlainSerializer(_shorten, return_type=str)]
"""An agency's own address. Its origin for tokens that may only read."""

ShortenedAddresses = Annotated[dict[str, Any] | None, PlainSerializer(_shorten_all, return_type=dict[str, Any] | None)]
"""An object that an agency wrote. Without the paths of addresses in it for tokens that may only read."""

WrittenTime = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_written_time)]
QueryTime = Annotated[WrittenTime, BeforeValidator(_query_time), AfterValidator(_within_calendars)]
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
    _without({"Cc", "Zl", "Zp"}, "must not have line breaks or control characters"),
]
Phone = Annotated[str, AfterValidator(read_phone), Field(json_schema_extra={"pattern": f"^{TYPED}$"})]
"""As people type it; E.164 once it is read. Who stores it judges whether there is such a number."""
E164 = Annotated[Phone, AfterValidator(_possible)]
QueryE164 = Annotated[E164, BeforeValidator(_with_plus)]
QueryCaller = Annotated[
    str,
    BeforeValidator(_with_plus),
    AfterValidator(_caller),
    Field(json_schema_extra={"pattern": f"^({TYPED}|{WITHHELD})$"}),
]
"""The number of a caller, or `withheld`."""
Country = Annotated[str, Matching("[A-Z]{2}", "must be two capital letters, such as US (ISO 3166-1)")]
AreaCode = Annotated[str, Matching("[1-9][0-9]{0,5}", "must be up to six digits, without a leading zero")]
Email = Annotated[
    str, StringConstraints(max_length=254), AfterValidator(_email), Field(json_schema_extra={"format": "idn-email"})
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
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=1000),
    _without({"Cc"}, "must not have line breaks or control characters: it is spoken"),
]
