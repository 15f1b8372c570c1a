"""What the people and machines around a simulated call do, and which of Twilio's open questions is answered how.

Data only; `carrier.py`, `dial.py` and `verbs.py` act on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

AiOutcome: TypeAlias = Literal["answers", "busy", "no-answer", "fails", "closes", "never-starts"]
OwnerOutcome: TypeAlias = Literal[
    "accepts", "ignores", "declines", "busy", "no-answer", "fails", "mailbox", "forwards-back"
]
CallerOutcome: TypeAlias = Literal[
    "stays", "hangs-up-while-ringing", "hangs-up-during-ai", "hangs-up-in-voicemail-greeting"
]
VoicemailOutcome: TypeAlias = Literal["message", "silent"]


@dataclass(frozen=True, slots=True)
class Script:
    """Who does what during one call. All times are virtual seconds.

    `ai` may be a tuple: one outcome per AI leg in turn, the last one for all further legs. `closes` answers and
    hangs up after a second. `never-starts` is a media stream that opens no socket and reports nothing; a SIP leg
    takes it as `no-answer`.
    `owner`: `ignores` answers and presses nothing, `declines` presses another key, `mailbox` is a machine that
    answers and talks, `fails` is a number out of service, `forwards-back` a phone that sends unanswered calls to
    the number that was called.
    """

    ai: AiOutcome | tuple[AiOutcome, ...] = "answers"
    owner: OwnerOutcome = "accepts"
    caller: CallerOutcome = "stays"
    voicemail: VoicemailOutcome = "message"
    ai_rings: float = 2
    ai_talks: float = 30
    ai_acts_after: float = 10  # when a carrier's `during_ai` is called
    owner_rings: float = 6
    owner_talks: float = 45
    mailbox_after: float = 12
    forwards_after: float = 5
    forwarded_from: bool = True  # whether the forwarded call says which phone sent it
    stream_given_up_after: float = 3
    message_seconds: int = 12
    message_says: str | None = "This is Bob. Please call me back."  # as transcribed; None: transcription fails
    message_ends_with: Literal["hang-up", "silence", "key"] = "hang-up"
    accept_key: str = "1"
    decline_key: str = "2"

    def ai_outcome(self, attempt: int) -> AiOutcome:
        """What happens on the AI leg with this number, counted from 0."""
        if isinstance(self.ai, str):
            return self.ai
        return self.ai[min(attempt, len(self.ai) - 1)]


@dataclass(frozen=True, slots=True)
class SharedKey:
    """What a webhook rule of the account signs with, instead of its token (Twilio docs: Sign webhooks with shared keys)."""

    secret: str = field(repr=False)
    algorithm: Literal["HMAC_SHA1", "HMAC_SHA256"] = "HMAC_SHA256"
    id: str = "webhooks_sharedkey_01h2xcejqtf2nbrexx3vqjhp41"


@dataclass(frozen=True, slots=True)
class Quirks:
    """One switch for each point that Twilio's documentation leaves open. The router must work with each.

    CallToken and StirVerstat are always sent and always signed: there is no switch for the report that they are
    added after signing, because a router that checks every parameter could not accept such a request.
    """

    # The status callbacks of a media stream arrive at all.
    stream_callbacks: bool = True
    # CallStatus in the action of an answerOnBridge Dial that no one was bridged to.
    unbridged_status: Literal["ringing", "in-progress"] = "ringing"
    # DialCallStatus of a leg that was answered and hung up by its screening document.
    screened_out_status: Literal["completed", "no-answer"] = "completed"
    # The action of a Dial says DialBridged.
    dial_bridged: bool = True
    # The action of a Dial, or of a Connect, is still requested when the caller hung up.
    dial_action_after_hangup: bool = True
    connect_action_after_hangup: bool = True
    # A Dial or Connect that a REST update ends still requests its action; if so, whether that answer is executed.
    action_after_redirect: Literal["not asked", "ignored", "executed"] = "not asked"
    # The number's fallback URL still holds after a REST update that names none of its own.
    redirect_keeps_fallback: bool = True
    # CallStatus of a caller who hung up before anybody answered.
    abandoned_status: Literal["no-answer", "canceled", "completed"] = "no-answer"
    # How the From of a caller who withholds the number is spelled.
    withheld: str = "anonymous"
    # The signature covers the URL with the scheme's standard port written out.
    signs_standard_port: bool = False
    # What the account's webhook rule signs with, if there is one.
    shared_key: SharedKey | None = None
    # Each request is sent this often, one after the other or all at once; the last answer is executed.
    copies: int = 1
    copies_at_once: bool = False
    # The recording's status callback comes before the end of the call or after it, also after the transcription's,
    # this often.
    recording_callback: Literal["before-end", "after-end", "after-transcription"] = "before-end"
    recording_callback_copies: int = 1


EACH_QUIRK: Mapping[str, Quirks] = {
    "as expected": Quirks(),
    "no stream callbacks": Quirks(stream_callbacks=False),
    "unbridged is in-progress": Quirks(unbridged_status="in-progress"),
    "screened out is no-answer": Quirks(screened_out_status="no-answer"),
    "no DialBridged": Quirks(dial_bridged=False),
    "no dial action after a hang-up": Quirks(dial_action_after_hangup=False),
    "no connect action after a hang-up": Quirks(connect_action_after_hangup=False),
    "action asked for after a redirect": Quirks(action_after_redirect="ignored"),
    "action executed after a redirect": Quirks(action_after_redirect="executed"),
    "no fallback after a redirect": Quirks(redirect_keeps_fallback=False),
    "abandoned is canceled": Quirks(abandoned_status="canceled"),
    "abandoned is completed": Quirks(abandoned_status="completed"),
    "withheld is +266696687": Quirks(withheld="+266696687"),
    "withheld is restricted": Quirks(withheld="restricted"),
    "withheld is empty": Quirks(withheld=""),
    "standard port signed": Quirks(signs_standard_port=True),
    "everything twice": Quirks(copies=2),
    "everything three times at once": Quirks(copies=3, copies_at_once=True),
    "recording told after the end, twice": Quirks(recording_callback="after-end", recording_callback_copies=2),
    "recording told after its transcription": Quirks(recording_callback="after-transcription"),
}
"""Twilio as expected, and with each open point decided the other way; for tests that must pass with every one."""
