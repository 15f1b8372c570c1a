"""Events about agencies' settings: keys, assistants, numbers, the API and the console."""

from __future__ import annotations

from typing import Final

from router.telemetry.events.words import HANDOFF_FAILURES, Event, Field, event, needed

SETTINGS: Final[tuple[Event, ...]] = (
    event(
        "number.unknown",
        "warning",
        "A verified call arrived for a number that is not set up in that account.",
        "account_sid! to call_sid",
    ),
    event(
        "retention.applied",
        "info",
        "Content older than the agency's retention period was deleted, at the carrier too.",
        "agency_id!",
        Field("messages", "integer", "the number of messages"),
        Field("calls", "integer", "the number of calls"),
        Field("left", "integer", "messages that the carrier did not delete; they are retried the next day"),
    ),
    event(
        "subaccount.made",
        "info",
        "A subaccount of the platform's Twilio account was created for an agency without its own.",
        "agency_id! account_sid!",
    ),
    event("number.bought", "info", "A number was bought for a client.", "agency_id! client_id! number! carrier"),
    event("number.released", "info", "A number bought by callrouter was released.", "agency_id! number! carrier"),
    event(
        "number.registered", "info", "A number was registered at a provider.", "agency_id! client_id number! provider!"
    ),
    event(
        "number.drifted",
        "warning",
        "The carrier's configuration of a number differs from ours.",
        "agency_id client_id number! reason",
    ),
    event(
        "key.saved",
        "info",
        "An agency's key was checked and saved.",
        "agency_id! kind!",
        Field("version", "integer", "the key's new version"),
        Field("status", "string", "the result of the check", ("valid", "out_of_credit")),
        Field("active", "boolean", "whether its provider is now the agency's active one"),
    ),
    event("key.deleted", "info", "An agency's key was erased, with all its versions.", "agency_id! kind! reason"),
    event(
        "key.erased",
        "info",
        "An old version of a key was erased because no call needs it any more.",
        "agency_id! kind! key_version",
    ),
    event(
        "key.rejected",
        "warning",
        "A key failed its check and was not saved.",
        "agency_id! kind!",
        needed("reason", HANDOFF_FAILURES),
        "status",
    ),
    event(
        "key.failing", "error", "A saved key no longer works.", "agency_id! kind! reason key_version call_id call_sid"
    ),
    event("key.recovered", "info", "A failing key works again.", "agency_id! kind! key_version"),
    event(
        "key.unreadable",
        "error",
        "A sealed key could not be opened: it was modified, or its platform key is missing.",
        "agency_id! kind! reason key_version call_id call_sid client_id",
    ),
    event(
        "assistant.synced",
        "info",
        "A client's assistant is in place at a provider.",
        "agency_id! client_id! provider!",
        Field("state", "string", "created by us, or linked", ("synced", "linked")),
        "duration_ms",
    ),
    event(
        "assistant.failed",
        "warning",
        "A client's assistant could not be created, updated or deleted at a provider, was deleted there by others (gone), or"
        " one of its numbers could not be registered (counterpart).",
        "agency_id! client_id! provider!",
        needed("reason", (*HANDOFF_FAILURES, "counterpart", "gone", "key_unreadable", "our_mistake")),
        "tried exception",
    ),
    event(
        "assistant.removed",
        "info",
        "An assistant that callrouter had created was deleted at a provider.",
        "agency_id! client_id! provider!",
    ),
    event("console.signed_in", "info", "A visitor signed in to the console with a token.", "agency_id"),
    event(
        "console.refused",
        "warning",
        "An attempt to sign in to the console was refused.",
        needed("reason", ("unknown_token", "too_often")),
    ),
    event("api.request", "debug", "A request to the API was answered.", "method! route! status! duration_ms agency_id"),
)
