"""The kinds of values that the API takes, each with a message that says how to mend it. No message repeats a value."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Annotated, Final
from urllib.parse import urlsplit
from zoneinfo import available_timezones

import phonenumbers
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from adapters.phone import E164 as PHONE
from adapters.phone import is_e164

_E164: Final = f"^{PHONE}$"
_COUNTRY: Final = r"^[A-Z]{2}$"
_AREA_CODE: Final = r"^[1-9][0-9]{0,5}$"
_EMAIL: Final = r"^[^@\s]{1,64}@[^@\s]+\.[^@\s.]+$"
_LANGUAGE: Final = r"^[A-Za-z]{2,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?$"
_ACCOUNT_SID: Final = r"^AC[0-9a-fA-F]{32}$"
_MAX_SECRET: Final = 1000


class Input(BaseModel):
    """What clients send: nothing that we don't know, nothing of it in an error, and nothing kept in a parser's cache."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True, cache_strings="none")


class Output(BaseModel):
    """What we answer."""

    model_config = ConfigDict(frozen=True, from_attributes=True, json_schema_serialization_defaults_required=True)


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


def _country(text: str) -> str:
    if not re.fullmatch(_COUNTRY, text):
        raise ValueError("must be two capital letters, such as US (ISO 3166-1)")
    return text


def _area_code(text: str) -> str:
    if not re.fullmatch(_AREA_CODE, text, re.ASCII):
        raise ValueError("must be up to six digits, without a leading zero")
    return text


def _email(text: str) -> str:
    if not re.fullmatch(_EMAIL, text):
        raise ValueError("must be an e-mail address, such as owner@example.com")
    return text


def _language(text: str) -> str:
    if not re.fullmatch(_LANGUAGE, text, re.ASCII):
        raise ValueError("must be a BCP 47 language tag, such as en-US")
    return text


def _account_sid(text: str) -> str:
    if not re.fullmatch(_ACCOUNT_SID, text, re.ASCII):
        raise ValueError("must be AC followed by 32 hexadecimal digits")
    return text


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


def _remote_id(text: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]{1,200}", text):
        raise ValueError("must be the id as the provider shows it: 1 to 200 visible ASCII characters")
    return text


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
Country = Annotated[str, AfterValidator(_country), Field(json_schema_extra={"pattern": _COUNTRY})]
AreaCode = Annotated[str, AfterValidator(_area_code), Field(json_schema_extra={"pattern": _AREA_CODE})]
Email = Annotated[
    str, StringConstraints(max_length=254), AfterValidator(_email), Field(json_schema_extra={"pattern": _EMAIL})
]
Language = Annotated[str, AfterValidator(_language), Field(json_schema_extra={"pattern": _LANGUAGE})]
AccountSid = Annotated[str, AfterValidator(_account_sid), Field(json_schema_extra={"pattern": _ACCOUNT_SID})]
Timezone = Annotated[str, AfterValidator(_timezone), Field(description="A name of the IANA time zone database")]
SecretText = Annotated[SecretStr, AfterValidator(_clean_secret)]
RemoteId = Annotated[str, AfterValidator(_remote_id), Field(json_schema_extra={"pattern": r"^[\x21-\x7e]{1,200}$"})]
WebAddress = Annotated[str, StringConstraints(max_length=2000), AfterValidator(_web_address)]
Greeting = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000), AfterValidator(_speakable)
]
