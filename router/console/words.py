"""What the console says: one place for the words that stand for the API's names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class KeyKind:
    """One of the four credentials. `fields` are needed; help says what an optional one is for."""

    name: str
    label: str
    fields: tuple[str, ...]
    optional_fields: tuple[str, ...] = ()
    is_voice: bool = True
    tag: str = ""


KEY_KINDS: Final[Mapping[str, KeyKind]] = {
    "vapi": KeyKind("vapi", "Vapi", ("key",), tag="Recommended"),
    "retell": KeyKind("retell", "Retell", ("key",), ("webhook_key",)),
    "bland": KeyKind("bland", "Bland", ("key",), ("signing_secret",)),
    "twilio": KeyKind("twilio", "Twilio", ("account_sid", "auth_token"), is_voice=False, tag="Optional"),
}


@dataclass(frozen=True, slots=True)
class Message:
    """A page that says one thing."""

    title: str
    text: str


MESSAGES: Final[Mapping[str, Message]] = {
    "not_found": Message(
        "There is nothing here",
        "The address may be mistyped, or what was here has been deleted since.",
    ),
    "foreign_form": Message(
        "This form is out of date",
        "It was opened before you signed in again, or did not come from this console. Nothing was changed. "
        "Go back, reload the page and send it once more.",
    ),
    "away": Message(
        "The settings cannot be reached right now",
        "The database does not answer. Calls go on: numbers that were called lately are still answered, and "
        "everything that happens is kept. Try again in a minute.",
    ),
    "own_bug": Message(
        "Something went wrong on our side",
        "It has been noted. Calls are not affected. Try again; if it happens again, tell whoever runs this service.",
    ),
    "refused": Message("That was not possible", ""),
}

REASONS_TO_SIGN_IN: Final[Mapping[str, str]] = {
    "ended": "Your session has ended. Sign in again to go on.",
    "token": "Your token is not valid any more. Sign in with another one.",
    "signed-out": "You are signed out.",
}

NOTICES: Final[Mapping[str, str]] = {
    "key-saved": "The key works and is saved. It is in use from the next call on.",
    "key-deleted": "The key is erased, with all its versions.",
    "activated": "It answers from the next call on. Each client moves as soon as its assistant is there.",
    "retrying": "The failed ones are being tried again.",
    "assistants-deleted": "The assistants that we made there are deleted.",
}


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What is asked before something is lost; the text says what happens."""

    title: str
    text: str
    button: str


CONFIRMATIONS: Final[Mapping[str, Confirmation]] = {
    "key": Confirmation(
        "Delete the {label} key?",
        "All its versions are erased at once. Calls that would need it go to the next provider, the owner's phone or "
        "the voicemail. Nothing changes at {label} itself.",
        "Delete the key",
    ),
    "assistants": Confirmation(
        "Delete our assistants at {label}?",
        "The assistants that were made at {label} for your clients are deleted there. Linked ones stay. If {label} "
        "is made active again, they are made anew.",
        "Delete the assistants",
    ),
}


@dataclass(frozen=True, slots=True)
class AboutCarrier:
    """What people ask about Twilio before they save its key."""

    good_for: str
    find_key: str
    costs: str


TWILIO: Final = AboutCarrier(
    good_for="Your own numbers, caller ID and billing. Without it, numbers come from the platform's account and go back "
    "to it when you leave; those on your own account stay yours.",
    find_key="Account SID and auth token stand on the first page of the Twilio console. An API key will not do.",
    costs="Twilio bills you for numbers and minutes by its own price list.",
)

PLAN_ACTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "create": ("to be made", "An assistant is made"),
    "update": ("to be brought up to date", "Our assistant there is brought up to date"),
    "adopt": ("to be found again", "Our assistant from earlier is found again and brought up to date"),
    "keep": ("linked, stay as they are", "The linked assistant stays as it is"),
    "none": ("stay without an AI", "No assistant, so no AI answers"),
}

STATES: Final[Mapping[str, str]] = {
    "valid": "Working",
    "out_of_credit": "No credit left",
    "failing": "Refused now",
}

FEATURES: Final[Mapping[str, str]] = {
    "functions": "Function calling (booking, lead capture)",
    "knowledge": "Knowledge base",
    "transfer": "Transfer to a person",
    "voicemail_detection": "Voicemail detection",
    "languages": "Languages",
    "greeting": "Greeting of your own",
    "max_seconds": "Limit on a call's length",
    "voice": "Choice of voice",
    "timezone": "The client's time zone",
    "events": "Events during the call",
}


def say(name: str | None, names: Mapping[str, str]) -> str:
    """The words for a name of the API; a name that is new here in plain letters."""
    if name is None:
        return "–"
    return names.get(name) or name.replace("_", " ").replace(".", ": ").capitalize()
