"""Events on calls and around them: handoffs, circuits, refusals, the fallback."""

from __future__ import annotations

from typing import Final

from router.telemetry.events.words import (
    HANDOFF_FAILURES,
    OWNER_MISSES,
    REJECTIONS,
    SKIP_REASONS,
    Event,
    Field,
    call_event,
    event,
    needed,
)

CALL_PATH: Final[tuple[Event, ...]] = (
    call_event(
        "call.received",
        "info",
        "A verified call to one of our numbers has arrived.",
        Field("caller", "number_e164", "the caller's number"),
        "to",
    ),
    call_event(
        "call.answered",
        "info",
        "Someone or something answered the call.",
        Field("by", "string", "who answered", ("ai", "owner", "voicemail"), required=True),
    ),
    call_event("call.fell_back", "warning", "A rung did not take the call. `step` is the next one.", "step!"),
    call_event(
        "call.unlimited",
        "warning",
        "The call's time limit could not be set at the carrier; only the provider's own limit applies.",
        "exception",
    ),
    call_event(
        "call.capped",
        "warning",
        "This caller or agency has too many calls at once: the call goes to voicemail.",
        Field("of", "string", "whose limit was reached", ("caller", "agency"), required=True),
    ),
    call_event(
        "call.loop",
        "warning",
        "The owner's phone forwarded the call back to us.",
        Field("kind", "string", "stated by the carrier, or assumed", ("forwarded", "suspected"), required=True),
    ),
    call_event("call.transferring", "info", "The AI was asked for a person: the call is being transferred."),
    call_event(
        "call.transfer_failed",
        "warning",
        "The carrier did not transfer the call; the AI continues with the caller.",
        Field("cause", "string", "why", required=True),
    ),
    call_event(
        "call.ended",
        "info",
        "The call is over.",
        Field(
            "outcome", "string", "how it ended", ("ai", "owner", "voicemail", "abandoned", "rejected"), required=True
        ),
        "seconds",
    ),
    call_event("handoff.requested", "info", "A provider is asked to take the call.", "provider! key_version"),
    call_event(
        "handoff.succeeded",
        "info",
        "The provider accepted the call, and the carrier is told how to reach it.",
        "provider!",
        Field("handoff", "string", "how the provider is reached", ("stream", "sip", "number")),
        "provider_call_id",
    ),
    call_event(
        "handoff.late",
        "warning",
        "The provider answered after its time limit, when the call had moved on.",
        "provider! provider_call_id",
        Field("ended", "boolean", "whether the call could be ended at the provider"),
    ),
    call_event(
        "handoff.failed",
        "warning",
        "The provider did not take the call.",
        "provider!",
        needed("reason", HANDOFF_FAILURES),
        "status key_version",
    ),
    call_event(
        "handoff.skipped",
        "warning",
        "A provider on the ladder was skipped without a request.",
        "provider!",
        needed("reason", SKIP_REASONS),
    ),
    call_event(
        "ai.ended",
        "info",
        "The provider reports that its part of the call is over. `reason` is the provider's own word.",
        "provider! provider_call_id seconds",
    ),
    call_event(
        "ai.failed",
        "warning",
        "The provider reports that its part of the call ended because of a failure of its own. "
        "`reason` is the provider's own word.",
        "provider! provider_call_id seconds",
    ),
    call_event(
        "ai.reported",
        "info",
        "The provider sent another report about the call. `reason` is its name at the provider; each is noted once.",
        "provider! provider_call_id",
    ),
    call_event(
        "owner.ringing",
        "info",
        "The owner's phone is rung, or that of the person to whom the AI transfers the call. `reason` is `transfer` then.",
    ),
    call_event(
        "owner.missed",
        "info",
        "The phone that was rung did not take the call. `busy`: it was busy, or the call was declined on it; `declined`: "
        "another key than the one that accepts was pressed; `not_accepted`: it was picked up, by a mailbox or a person, "
        "and no key was pressed; `caller_gone`: the caller hung up first.",
        needed("reason", OWNER_MISSES),
    ),
    call_event("owner.accepted", "info", "The owner pressed the key that accepts the call."),
    call_event("voicemail.received", "info", "A message was recorded and filed.", "voicemail_id recording_sid seconds"),
    call_event("voicemail.transcribed", "info", "The carrier transcribed a message.", "voicemail_id recording_sid"),
    call_event(
        "voicemail.delivered",
        "info",
        "The client was sent an email about a message. `step` is the message's ID.",
        "voicemail_id",
    ),
    call_event(
        "voicemail.undelivered",
        "error",
        "The email about a message was refused for good, or no mail server accepted it for a day.",
        "voicemail_id",
    ),
    call_event("voicemail.absent", "info", "The caller reached voicemail but left no message.", "recording_sid"),
    event(
        "step.repeated",
        "info",
        "Twilio repeated the request for a step.",
        "call_id call_sid agency_id client_id step! reason duration_ms",
    ),
    event(
        "circuit.opened",
        "warning",
        "A provider is skipped for a while, by one agency or by all.",
        "scope provider! agency_id key_version reason",
        Field("seconds", "number", "how long until a live call tries it"),
    ),
    event(
        "circuit.closed",
        "info",
        "A provider is used again.",
        "scope provider! agency_id key_version",
        Field("seconds", "number", "how long it was open"),
    ),
    event(
        "webhook.rejected",
        "warning",
        "A request from outside was rejected and had no effect.",
        Field("source", "string", "the claimed sender: twilio, or a provider's name", required=True),
        needed("reason", REJECTIONS),
        Field("url", "string", "the URL that the signature was checked against, without the query"),
        "account_sid agency_id call_sid to step status",
    ),
    event(
        "fallback.served",
        "warning",
        "Twilio requested the static fallback because it could not fetch or execute our document. "
        "The step `check` is a request of `callrouter doctor`.",
        needed("step", ("voice", "screen", "accept", "done", "recorded", "check")),
        Field("answer", "string", "what the document does", required=True),
        Field("sealed", "string", "the state of its `t`", ("opened", "missing", "unreadable"), required=True),
        Field("error_code", "integer", "Twilio's error code"),
        "call_sid agency_id client_id recording_sid",
    ),
)
