"""The console's words for the API's names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from router.routing.failures import EFFECTS

PLAN_ACTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "create": ("to create", "An assistant is created"),
    "update": ("to update", "Our assistant there is updated"),
    "adopt": ("to reuse", "Our earlier assistant is reused and updated"),
    "keep": ("unchanged", "The assistant is up to date or linked, and stays as it is"),
    "none": ("without an AI", "No assistant, so no AI answers"),
}

STATES: Final[Mapping[str, str]] = {
    "valid": "Working",
    "out_of_credit": "No credit left",
    "failing": "Refused",
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
    "key.saved": "Key saved",
    "key.deleted": "Key deleted",
    "webhook_token.renewed": "Webhook address renewed",
    "number.bought": "Number bought",
    "number.changed": "Number moved",
    "number.deleted": "Number released",
    "number.taken_over": "Number taken over",
    "registration.saved": "Registration saved",
    "token.created": "Token created",
    "token.deleted": "Token deleted",
    "token.refused": "Wrong tokens",
    "voicemail.deleted": "Message deleted",
}

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


def mode_choices() -> list[tuple[str, str, str]]:
    """Name, title and explanation of each mode."""
    return [(name, *texts) for name, texts in MODES.items()]


def mode_options() -> list[tuple[str, str]]:
    return [(name, title) for name, (title, _) in MODES.items()]


def say_email(hint: str, confirmed: bool | None) -> str:
    """The hint of a field with an email address."""
    if confirmed is not False:
        return hint
    return f"{hint} Not confirmed yet: emails wait for up to 7 days."
