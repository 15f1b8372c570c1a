"""What happens to agencies' settings: keys, assistants, numbers, and the API."""

from __future__ import annotations

from typing import Final

from router.telemetry.events.words import (
    ACCOUNT,
    AGENCY,
    CALL_ID,
    CALL_SID,
    CARRIER,
    CLIENT,
    DURATION,
    EXCEPTION,
    HANDOFF_FAILURES,
    KEY_VERSION,
    KIND,
    METHOD,
    NUMBER,
    PROVIDER,
    REASON,
    ROUTE,
    STATUS,
    TO,
    Event,
    Field,
    needed,
)

SETTINGS: Final[tuple[Event, ...]] = (
    Event(
        "number.unknown",
        "warning",
        "A verified call to a number that nobody has set up on that account.",
        (needed(ACCOUNT), TO, CALL_SID),
    ),
    Event(
        "retention.applied",
        "info",
        "What was said longer ago than the agency wants to keep it was deleted, at the carrier too.",
        (
            needed(AGENCY),
            Field("messages", "integer", "how many messages"),
            Field("calls", "integer", "of how many calls"),
            Field("left", "integer", "messages that the carrier did not delete; they are tried again the next day"),
        ),
    ),
    Event(
        "subaccount.made",
        "info",
        "A subaccount of the platform's Twilio account stands for an agency that has none of its own.",
        (needed(AGENCY), needed(ACCOUNT)),
    ),
    Event(
        "number.bought",
        "info",
        "A number was bought for a client.",
        (needed(AGENCY), needed(CLIENT), needed(NUMBER), CARRIER),
    ),
    Event(
        "number.released",
        "info",
        "A number that was bought here was given back.",
        (needed(AGENCY), needed(NUMBER), CARRIER),
    ),
    Event(
        "number.registered",
        "info",
        "A number has its registration at a provider.",
        (needed(AGENCY), CLIENT, needed(NUMBER), needed(PROVIDER)),
    ),
    Event(
        "number.drifted",
        "warning",
        "The carrier's configuration of a number is no longer what we made it.",
        (AGENCY, CLIENT, needed(NUMBER), REASON),
    ),
    Event(
        "key.saved",
        "info",
        "An agency's key was checked and saved.",
        (
            needed(AGENCY),
            needed(KIND),
            Field("version", "integer", "which version it became"),
            Field("status", "string", "what the provider says of it", ("valid", "out_of_credit")),
            Field("active", "boolean", "whether its provider is the agency's active one now"),
        ),
    ),
    Event(
        "key.deleted",
        "info",
        "An agency's key was erased, with all its versions.",
        (needed(AGENCY), needed(KIND), REASON),
    ),
    Event(
        "key.erased",
        "info",
        "A version of a key that was replaced earlier is gone: no call needs it any more.",
        (needed(AGENCY), needed(KIND), KEY_VERSION),
    ),
    Event(
        "key.rejected",
        "warning",
        "A key was offered and not saved.",
        (needed(AGENCY), needed(KIND), needed(REASON, HANDOFF_FAILURES), STATUS),
    ),
    Event(
        "key.failing",
        "error",
        "A saved key no longer works.",
        (needed(AGENCY), needed(KIND), REASON, KEY_VERSION, CALL_ID, CALL_SID),
    ),
    Event(
        "key.recovered",
        "info",
        "A key that had stopped working works again.",
        (needed(AGENCY), needed(KIND), KEY_VERSION),
    ),
    Event(
        "key.unreadable",
        "error",
        "A sealed key did not open: changed, or sealed under a platform key that we don't have.",
        (needed(AGENCY), needed(KIND), REASON, KEY_VERSION, CALL_ID, CALL_SID, CLIENT),
    ),
    Event(
        "assistant.synced",
        "info",
        "A client's assistant is there at a provider.",
        (
            needed(AGENCY),
            needed(CLIENT),
            needed(PROVIDER),
            Field("state", "string", "made by us, or linked", ("synced", "linked")),
            DURATION,
        ),
    ),
    Event("console.signed_in", "info", "Somebody signed in to the console with a token.", (AGENCY,)),
    Event(
        "console.refused",
        "warning",
        "Somebody tried to sign in to the console and could not.",
        (needed(REASON, ("unknown_token", "too_often")),),
    ),
    Event(
        "assistant.failed",
        "warning",
        "A client's assistant could not be put to a provider, or not be deleted there. `tried`: how often by now.",
        (
            needed(AGENCY),
            needed(CLIENT),
            needed(PROVIDER),
            needed(REASON, (*HANDOFF_FAILURES, "counterpart", "key_unreadable", "our_mistake")),
            Field("tried", "integer", "the number of this attempt"),
            EXCEPTION,
        ),
    ),
    Event(
        "assistant.removed",
        "info",
        "An assistant of our making was deleted at a provider.",
        (needed(AGENCY), needed(CLIENT), needed(PROVIDER)),
    ),
    Event(
        "api.request",
        "debug",
        "A request to the API was answered.",
        (needed(METHOD), needed(ROUTE), needed(STATUS), DURATION, AGENCY),
    ),
)
