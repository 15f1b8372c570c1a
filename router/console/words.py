"""The console's words for the API's names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from babel import Locale

from router.routing.failures import EFFECTS

PLAN_ACTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "create": ("to create", "An assistant is created"),
    "update": ("to update", "Our assistant there is updated"),
    "adopt": ("to reuse", "Our earlier assistant is reused and updated"),
    "keep": ("unchanged", "The assistant is up to date or linked, and stays as it is"),
    "none": ("without an AI", "No assistant, so no AI answers"),
}


@dataclass(frozen=True, slots=True)
class SetupStep:
    """A step of setting an agency up; `place` is its page."""

    name: str
    place: tuple[str, ...]
    title: str
    text: str


SETUP: Final = (
    SetupStep("key", ("keys",), "Save a key", "for the voice provider that answers calls"),
    SetupStep("client", ("clients",), "Create a client", "a business whose calls are answered"),
    SetupStep("assistant", ("clients",), "Describe its assistant", "what it says and what it should find out"),
    SetupStep("number", ("numbers",), "Add a number", "buy one, or take over one that you have"),
    SetupStep("call", ("numbers",), "Place a test call", "on the page of the number"),
    SetupStep("alerts", ("settings",), "Choose where alerts go", "an email address, or a webhook"),
)

STATES: Final[Mapping[str, str]] = {
    "valid": "Working",
    "out_of_credit": "No credit left",
    "failing": "Refused",
}

AREAS: Final[Mapping[str, str]] = {
    "keys": "Keys",
    "balance": "Credit",
    "lines": "Lines",
    "numbers": "Numbers",
    "sync": "Assistants",
    "deliveries": "Webhooks",
    "mail": "Email",
}

MODES: Final[Mapping[str, tuple[str, str]]] = {
    "ai": ("AI answers", "If no AI can answer, calls go where you choose below."),
    "owner_first": ("Owner first, then AI", "The owner's phone rings; if nobody accepts, the AI answers."),
    "ring_through": ("Owner only", "The owner's phone rings, then the voicemail answers."),
    "voicemail": ("Voicemail only", "Every call goes straight to the voicemail."),
}

PLACES: Final[Mapping[str, tuple[str, str]]] = {
    "missing": ("Not created", "plain"),
    "pending": ("Syncing", "warn"),
    "synced": ("Synced", "good"),
    "failed": ("Failed", "bad"),
    "linked": ("Linked", "good"),
    "gone": ("Deleted there", "bad"),
}

OUTCOMES: Final[Mapping[str, tuple[str, str]]] = {
    "ai": ("AI", "good"),
    "owner": ("Owner", "good"),
    "voicemail": ("Voicemail", "warn"),
    "abandoned": ("Caller hung up", "plain"),
    "rejected": ("Rejected", "bad"),
}

DAYS: Final[Mapping[str, str]] = {
    "mon": "Monday",
    "tue": "Tuesday",
    "wed": "Wednesday",
    "thu": "Thursday",
    "fri": "Friday",
    "sat": "Saturday",
    "sun": "Sunday",
}

ANSWERED: Final[Mapping[str, str]] = {
    "ai": "AI",
    "owner": "Owner",
    "voicemail": "Voicemail",
    "nobody": "Caller hung up",
}

STEPS: Final[Mapping[str, str]] = {"ai": "AI", "owner": "Owner's phone", "voicemail": "Voicemail"}

EVENTS: Final[Mapping[str, str]] = {
    "call.received": "The call came in",
    "call.capped": "Too many calls at once: sent to the voicemail",
    "call.loop": "The call came back from the owner's phone",
    "call.answered": "Answered",
    "call.fell_back": "Continued with the next step",
    "call.ended": "The call ended",
    "handoff.requested": "Asked to take the call",
    "handoff.succeeded": "Took the call",
    "handoff.late": "Took the call too late",
    "handoff.failed": "Could not take the call",
    "handoff.skipped": "Not asked",
    "ai.ended": "The AI's part of the call ended",
    "ai.reported": "The provider reported on the call",
    "ai.failed": "The AI failed during the call",
    "owner.ringing": "The owner's phone rang",
    "owner.missed": "The owner did not take the call",
    "owner.accepted": "The owner accepted",
    "call.transferring": "The caller asked for a person: transferring",
    "call.transfer_failed": "The transfer failed: the AI continues",
    "call.unlimited": "No time limit could be set for the call",
    "voicemail.received": "A message was left",
    "voicemail.transcribed": "The message was transcribed",
    "voicemail.delivered": "The message was emailed",
    "voicemail.undelivered": "The message could not be emailed",
    "voicemail.absent": "No message was left",
}

REASONS_OF: Final[Mapping[str, Mapping[str, str]]] = {
    "call.received": {"found_by_sweep": "Found afterwards in the carrier's records: it never reached this service"},
    "call.answered": {"ai": "By the AI", "owner": "By the owner", "voicemail": "By the voicemail"},
    "call.capped": {"caller": "This caller had as many calls as one may", "agency": "The agency had as many as it may"},
    "call.loop": {
        "forwarded": "It was forwarded from the owner's phone, and is rejected so that the first call goes on",
        "suspected": "It came from the same number while the owner's phone was ringing",
    },
    "call.ended": {
        "ai": "Answered by the AI",
        "owner": "Answered by the owner",
        "voicemail": "Neither an AI nor the owner took it: the voicemail answered",
        "abandoned": "The caller hung up before anyone had answered",
        "rejected": "It was rejected",
    },
    "call.transfer_failed": {
        **dict.fromkeys((kind.value for kind in EFFECTS), "Twilio could not be told to move the call"),
        "no_key": "The token of the Twilio account could not be used",
    },
    "owner.ringing": {"transfer": "For the caller whom the AI transferred; it may be another person's phone"},
    "owner.missed": {
        "busy": "Busy, or declined on the phone",
        "declined": "Another key than 1 was pressed",
        "no_answer": "Nobody picked up",
        "not_accepted": "Picked up, but 1 was not pressed: a mailbox, or someone who hung up",
        "unreachable": "The phone could not be reached: it may be off, or the number may be wrong",
        "caller_gone": "The caller hung up first",
    },
}
"""What the reason of an event means, where the same word means something else at another event."""

CONTENT_TYPES: Final[Mapping[str, str]] = {
    "application/json": "application/json, which most programs read",
    "application/cloudevents+json": "application/cloudevents+json, for CloudEvents libraries",
}

DELIVERIES: Final[Mapping[str, tuple[str, str]]] = {
    "waiting": ("Waiting", "plain"),
    "again": ("Failed, will be retried", "warn"),
    "delivered": ("Delivered", "good"),
    "dead": ("Given up", "bad"),
}

REASONS: Final[Mapping[str, str]] = {
    "ready": "Would take the call",
    "stands_by": "Stands by in case the one before it cannot",
    **{kind.value: effect.words for kind, effect in EFFECTS.items()},
    **{outcome: title for outcome, (title, _) in OUTCOMES.items()},
    "circuit_open": "Failed several times in a row; it is tried again shortly",
    "not_synced": "The client's assistant is not synced yet",
    "assistant_gone": "The linked assistant does not exist any more: link another one, or unlink it",
    "not_registered": "The number has no registration there",
    "no_key": "No key is saved for it",
    "no_time": "No time was left to ask",
    "native_number": "This number is answered by the provider that sold it, and by no one else",
    "no_provider": "No provider has a key",
    "destination_refused": "The operator does not allow that number to be rung",
    "no_personal_phone": "The client has no owner's phone",
    "on_failure_is_voicemail": "After the AI, calls go to the voicemail",
    "mode_is_ai": "Skipped: this client's calls go to the AI",
    "mode_is_owner_first": "Skipped: this client's calls go to the owner first",
    "mode_is_ring_through": "Skipped: this client's calls go to the owner only",
    "mode_is_voicemail": "Skipped: this client's calls go to the voicemail only",
    "closed_mode_is_ai": "Skipped while closed: calls go to the AI",
    "closed_mode_is_owner_first": "Skipped while closed: calls go to the owner first",
    "closed_mode_is_ring_through": "Skipped while closed: calls go to the owner only",
    "closed_mode_is_voicemail": "Skipped while closed: calls go to the voicemail only",
    "by_redirect": "Calls are redirected to it",
    "by_sip": "Calls are dialled by SIP",
    "by_number": "Calls are handed over by dialling its own number",
    "awaits_address": "Its import has not written its address on the number yet",
    "no_events": "It reports nothing during the call",
    "no_transfer": "It cannot transfer callers to a person",
}

ACTIONS: Final[Mapping[str, str]] = {
    "agency.created": "Agency created",
    "alerts.changed": "Alerts changed",
    "alerts.tested": "Alerts tested",
    "agency.changed": "Settings changed",
    "agency.deleted": "Agency deleted",
    "assistant.linked": "Assistant linked",
    "assistant.unlinked": "Assistant unlinked",
    "assistants.deleted": "Assistants at a provider deleted",
    "assistants.synced": "Assistants synced again",
    "call.deleted": "Call deleted",
    "client.created": "Client created",
    "confirmation.sent": "Confirmation link sent again",
    "email.confirmed": "Email address confirmed",
    "client.changed": "Client changed",
    "client.deleted": "Client deleted",
    "console.signed_in": "Signed in to the console",
    "endpoint.created": "Webhook address added",
    "endpoint.changed": "Webhook address changed",
    "endpoint.paused": "Webhook address paused",
    "endpoint.resumed": "Webhook address resumed",
    "endpoint.deleted": "Webhook address removed",
    "endpoint.replayed": "Events sent again",
    "endpoint.secret_rotated": "Webhook address got a new secret",
    "endpoint.tested": "Test event sent",
    "delivery.resent": "Event sent again",
    "key.saved": "Key saved",
    "key.deleted": "Key deleted",
    "webhook_token.renewed": "Webhook address renewed",
    "number.bought": "Number bought",
    "number.changed": "Number moved",
    "number.deleted": "Number released",
    "number.taken_over": "Number taken over",
    "number.tried": "Test call placed",
    "registration.saved": "Registration saved",
    "token.created": "Token created",
    "invitation.created": "Person invited",
    "invitation.deleted": "Invitation withdrawn",
    "invitation.used": "Invitation used",
    "token.deleted": "Token deleted",
    "token.refused": "Wrong tokens",
    "voicemail.deleted": "Message deleted",
}

FIELDS: Final[Mapping[str, str]] = {
    "account": "Account",
    "account_sid": "Account SID",
    "activate": "Who answers your clients' calls",
    "alert_email": "Email for alerts",
    "area_code": "Area code",
    "at": "Time",
    "auth_token": "Auth token",
    "caller_id": "Number shown to the owner",
    "client_id": "Client",
    "closed_mode": "While closed",
    "content_type": "Content type",
    "country": "Country",
    "description": "Description",
    "e164": "Number",
    "events": "Which events",
    "failures": "Failed deliveries in a row",
    "fallback_providers": "Order",
    "from": "From",
    "functions": "Functions",
    "greeting": "Greeting",
    "has_hours": "Opening hours",
    "key": "Key",
    "languages": "Languages",
    "low_balance": "Low balance",
    "max_seconds": "Longest call",
    "missed_percent": "Calls without AI",
    "mode": "When a call comes in",
    "name": "Name",
    "notify_email": "Email for messages",
    "numbers_from": "Where new numbers come from",
    "on_failure": "If no AI can answer",
    "person_expires_at": "Expires",
    "person_name": "Name",
    "person_role": "Access",
    "personal_phone": "Owner's phone",
    "phone": "Phone",
    "prompt": "Instructions",
    "provider": "Provider",
    "remote_id": "ID at the provider",
    "retention_days": "Delete recordings and transcripts after",
    "ring_seconds": "Ring the owner's phone for",
    "shared_keys": "Shared keys",
    "signing_secret": "Signing secret",
    "stand_in": "If the active provider cannot answer",
    "timezone": "Time zone",
    "to": "To",
    "token": "Access token",
    "token_expires_at": "Expires",
    "token_name": "Name of the token",
    "token_role": "Access",
    "transfer_to": "Transfer to a person at",
    "url": "Address",
    "voicemail_greeting": "Voicemail greeting",
    "voicemail_seconds": "Longest message",
    "webhook_url": "Slack webhook",
    "webhook_key": "Webhook key",
    "which": "Events",
}
"""What the forms call their fields."""

_ENGLISH: Final = Locale("en")
_HOURS: Final = "hours_"
_KNOWLEDGE: Final = re.compile(r"knowledge_(title|text)_([0-9]+)")
_FUNCTION: Final = re.compile(r"function_([0-9]+)_([a-z]+)")
_VOICE: Final = "voice_"

ROLES: Final[Mapping[str, str]] = {
    "full": "Full access",
    "read": "Reading only",
}

COUNTRIES: Final[Mapping[str, str]] = {
    "US": "United States",
    "CA": "Canada",
    "GB": "United Kingdom",
    "AU": "Australia",
    "AT": "Austria",
    "BE": "Belgium",
    "BR": "Brazil",
    "DK": "Denmark",
    "FI": "Finland",
    "FR": "France",
    "DE": "Germany",
    "HK": "Hong Kong",
    "IN": "India",
    "IE": "Ireland",
    "IL": "Israel",
    "IT": "Italy",
    "JP": "Japan",
    "MX": "Mexico",
    "NL": "Netherlands",
    "NZ": "New Zealand",
    "NO": "Norway",
    "PL": "Poland",
    "PT": "Portugal",
    "SG": "Singapore",
    "ZA": "South Africa",
    "ES": "Spain",
    "SE": "Sweden",
    "CH": "Switzerland",
}

LANGUAGES: Final = tuple(
    "en-US en-GB en-AU en-CA en-IE en-IN en-NZ es-US es-ES es-MX es-419 fr-FR fr-CA fr-BE fr-CH de-DE de-AT de-CH it-IT pt-BR"
    " pt-PT nl-NL nl-BE ar-SA bg-BG ca-ES cs-CZ cy-GB da-DK el-GR fi-FI fil-PH he-IL hi-IN hr-HR hu-HU id-ID ja-JP ko-KR"
    " lt-LT lv-LV ms-MY no-NO pl-PL ro-RO ru-RU sk-SK sl-SI sr-RS sv-SE sw-KE ta-IN th-TH tr-TR uk-UA ur-IN vi-VN yue-HK"
    " zh-CN zh-TW".split()
)
"""What the form of an assistant offers; the API takes others, too."""

ALERTS: Final[Mapping[str, str]] = {
    "key_failing": "a key is refused",
    "low_balance": "a provider's credit is low or used up",
    "calls_missed": "no AI takes many of the calls",
    "number_unreachable": "a number's calls do not arrive here",
    "deliveries_failing": "a webhook address does not accept events",
}

FEATURES: Final[Mapping[str, str]] = {
    "functions": "Function calling (booking, lead capture)",
    "knowledge": "Knowledge base",
    "transfer": "Transfer to a person",
    "voicemail_detection": "Voicemail detection",
    "languages": "Languages",
    "greeting": "Custom greeting",
    "max_seconds": "Call time limit",
    "voice": "Choice of voice",
    "timezone": "The client's time zone",
    "numbers": "Sells phone numbers",
    "events": "Events during the call",
}


def say(name: str | None, names: Mapping[str, str]) -> str:
    """The words for one of the API's names; a name without words is made readable."""
    if name is None:
        return "–"
    return names.get(name) or re.sub("[_-]", " ", name).replace(".", ": ").capitalize()


def say_actor(actor: str, tokens: Mapping[str, str]) -> str:
    """Who changed something; `tokens` are names by id."""
    if actor == "admin":
        return "The operator"
    if actor == "unknown":
        return "–"
    return tokens.get(actor) or ("A deleted token" if tokens and actor.startswith("token_") else actor)


def mode_choices() -> list[tuple[str, str, str]]:
    """Name, title and explanation of each mode."""
    return [(name, *texts) for name, texts in MODES.items()]


def mode_options() -> list[tuple[str, str]]:
    return [(name, title) for name, (title, _) in MODES.items()]


def name_field(field: str) -> str:
    """What people call a form's field; those of a provider have its name before them."""
    if field.startswith(_HOURS):
        return f"Opening hours, {DAYS.get(field.removeprefix(_HOURS), 'a day')}"
    if field.startswith(_VOICE):
        return "Voice"
    if found := _KNOWLEDGE.fullmatch(field):
        return f"Knowledge, {found[1]} {int(found[2]) + 1}"
    if found := _FUNCTION.fullmatch(field):
        return f"Function {int(found[1]) + 1}, {found[2]}"
    name = field.rpartition("-")[2].split(".")[-1]
    return FIELDS.get(name) or say(name, {})


def name_language(tag: str) -> str:
    """English (United States) for en-US. What is no language stays as it is."""
    language, *parts = tag.split("-")
    name = _ENGLISH.languages.get(language.lower())
    if name is None:
        return tag
    more = [_ENGLISH.territories.get(part.upper()) or _ENGLISH.scripts.get(part.title()) or part for part in parts]
    return f"{name} ({', '.join(more)})" if more else str(name)


@cache
def language_options() -> list[tuple[str, str]]:
    """Tags with their names, by name."""
    return sorted(((tag, name_language(tag)) for tag in LANGUAGES), key=lambda option: option[1])


def say_email(hint: str, confirmed: bool | None, *, sends_mail: bool) -> str:
    """The hint of a field with an email address."""
    if not sends_mail:
        return f"{hint} This service sends no emails yet: its operator has not set a mail server."
    if confirmed is not False:
        return hint
    return f"{hint} Not confirmed yet: emails wait for up to 7 days."
