"""What the console says: one place for the words that stand for the API's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from router.routing.failures import EFFECTS

PLAN_ACTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "create": ("to be made", "An assistant is made"),
    "update": ("to be brought up to date", "Our assistant there is brought up to date"),
    "adopt": ("to be found again", "Our assistant from earlier is found again and brought up to date"),
    "keep": ("stay as they are", "It is there as it should be, or linked, and stays"),
    "none": ("stay without an AI", "No assistant, so no AI answers"),
}

STATES: Final[Mapping[str, str]] = {
    "valid": "Working",
    "out_of_credit": "No credit left",
    "failing": "Refused now",
}

MODES: Final[Mapping[str, tuple[str, str]]] = {
    "ai": ("AI answers", "If no AI can, what you choose below happens."),
    "owner_first": ("Owner first, then AI", "The owner's phone rings; if nobody accepts, the AI answers."),
    "ring_through": ("Owner only", "The owner's phone rings, then the voicemail listens."),
    "voicemail": ("Voicemail only", "Every call goes straight to the voicemail."),
}

PLACES: Final[Mapping[str, tuple[str, str]]] = {
    "missing": ("Not there", "plain"),
    "pending": ("On its way", "warn"),
    "synced": ("Synced", "good"),
    "failed": ("Failed", "bad"),
    "linked": ("Linked", "good"),
}

OUTCOMES: Final[Mapping[str, tuple[str, str]]] = {
    "ai": ("AI", "good"),
    "owner": ("Owner", "good"),
    "voicemail": ("Voicemail", "warn"),
    "abandoned": ("Caller hung up", "plain"),
    "rejected": ("Not taken", "bad"),
}

ANSWERED: Final[Mapping[str, str]] = {
    "ai": "AI",
    "owner": "Owner",
    "voicemail": "Voicemail",
    "nobody": "Nobody: the caller gave up",
}

STEPS: Final[Mapping[str, str]] = {"ai": "AI", "owner": "Owner's phone", "voicemail": "Voicemail"}

EVENTS: Final[Mapping[str, str]] = {
    "call.received": "The call came in",
    "call.capped": "Too many calls at once: to the voicemail",
    "call.loop": "The call came back from the owner's phone",
    "call.answered": "Answered",
    "call.fell_back": "On to the next step",
    "call.ended": "The call ended",
    "handoff.requested": "Asked to take the call",
    "handoff.succeeded": "Took the call",
    "handoff.late": "Took the call too late",
    "handoff.failed": "Could not take the call",
    "handoff.skipped": "Not asked",
    "ai.ended": "The AI's part ended",
    "ai.reported": "The provider told about the call",
    "ai.failed": "The AI broke off",
    "owner.accepted": "The owner accepted",
    "call.transferring": "The caller asks for a person, and is put through",
    "call.transfer_failed": "Could not be put through: the AI goes on",
    "call.unlimited": "The call could not be given a time limit",
    "voicemail.received": "A message was left",
    "voicemail.transcribed": "The message was written down",
    "voicemail.delivered": "The message was sent by mail",
    "voicemail.undelivered": "The message could not be sent by mail",
    "voicemail.absent": "No message was left",
}

DELIVERIES: Final[Mapping[str, tuple[str, str]]] = {
    "waiting": ("On its way", "plain"),
    "again": ("Tried, comes again", "warn"),
    "delivered": ("Arrived", "good"),
    "dead": ("Given up", "bad"),
}

REASONS: Final[Mapping[str, str]] = {
    "ready": "Would take the call",
    "stands_by": "Stands by, in case the one before it cannot",
    **{kind.value: effect.words for kind, effect in EFFECTS.items()},
    "circuit_open": "Failed several times in a row; it is tried again in a moment",
    "not_synced": "The client's assistant is not there yet",
    "no_key": "There is no key for it",
    "no_time": "No time was left to ask",
    "no_provider": "There is no provider with a key",
    "no_personal_phone": "The client has no owner's phone",
    "on_failure_is_voicemail": "After the AI, this client goes to the voicemail",
    "mode_is_ai": "Left out: this client's calls go to the AI",
    "mode_is_owner_first": "Left out: this client's calls go to the owner first",
    "mode_is_ring_through": "Left out: this client's calls go to the owner only",
    "mode_is_voicemail": "Left out: this client's calls go to the voicemail only",
    "closed_mode_is_ai": "Left out while closed: calls go to the AI",
    "closed_mode_is_owner_first": "Left out while closed: calls go to the owner first",
    "closed_mode_is_ring_through": "Left out while closed: calls go to the owner only",
    "closed_mode_is_voicemail": "Left out while closed: calls go to the voicemail only",
    "no_events": "We hear nothing from it during the call",
    "no_transfer": "It cannot put callers through to a person",
}

ACTIONS: Final[Mapping[str, str]] = {
    "agency.created": "Agency created",
    "agency.changed": "Settings changed",
    "assistant.linked": "Assistant linked",
    "assistant.unlinked": "Assistant unlinked",
    "assistants.deleted": "Assistants at a provider deleted",
    "assistants.synced": "Assistants synced again",
    "call.deleted": "Call deleted",
    "client.created": "Client created",
    "client.changed": "Client changed",
    "client.deleted": "Client deleted",
    "endpoint.created": "Webhook address added",
    "endpoint.deleted": "Webhook address removed",
    "endpoint.replayed": "Events sent again",
    "key.saved": "Key saved",
    "key.deleted": "Key deleted",
    "number.bought": "Number bought",
    "number.changed": "Number moved",
    "number.deleted": "Number let go",
    "number.taken_over": "Number taken over",
    "registration.saved": "Registration saved",
    "token.created": "Token made",
    "token.deleted": "Token deleted",
    "voicemail.deleted": "Message deleted",
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
    "numbers": "Sells phone numbers",
    "events": "Events during the call",
}


def say(name: str | None, names: Mapping[str, str]) -> str:
    """The words for a name of the API; a name that is new here in plain letters."""
    if name is None:
        return "–"
    return names.get(name) or name.replace("_", " ").replace(".", ": ").capitalize()


def mode_choices() -> list[tuple[str, str, str]]:
    """Name, title and explanation of each mode."""
    return [(name, *texts) for name, texts in MODES.items()]


def mode_options() -> list[tuple[str, str]]:
    return [(name, title) for name, (title, _) in MODES.items()]
