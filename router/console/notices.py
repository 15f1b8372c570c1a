"""Whole sentences of the console: after a change, before something is lost, and instead of a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Message:
    """A page that says one thing."""

    title: str
    text: str


MESSAGES: Final[Mapping[str, Message]] = {
    "not_found": Message("Page not found", "The address may be mistyped, or what was here has been deleted."),
    "foreign_form": Message(
        "This form is out of date",
        "It was opened before you signed in again, or did not come from this console. Nothing was changed. "
        "Go back, reload the page and send it again.",
    ),
    "away": Message(
        "Settings are unavailable",
        "The database does not respond. Calls go on: numbers that were called recently are still answered, and "
        "all call events are kept. Try again in a minute.",
    ),
    "own_bug": Message(
        "Something went wrong on our side",
        "The error has been logged. Calls are not affected. Try again; if it happens again, tell the operator of this "
        "service.",
    ),
    "too_often": Message(
        "Too many invalid links",
        "Many links that are not valid were opened from your network. Wait a minute, then open the link from the newest "
        "email. A valid link always works.",
    ),
    "refused": Message("That did not work", ""),
}

REASONS_TO_SIGN_IN: Final[Mapping[str, str]] = {
    "ended": "Your session has ended. Sign in again to continue.",
    "token": "Your token is no longer valid. Sign in with another one.",
    "signed-out": "You are signed out.",
}

NOTICES: Final[Mapping[str, str]] = {
    "key-saved": "{about} key saved. It is used from the next call on.",
    "key-switched": "{about} key saved. {about} answers all clients from their next call on, each as soon as its assistant "
    "is synced there.",
    "key-kept": "{about} key saved. {active} still answers your calls.",
    "key-without-credit": "{about} key saved, but no credit is left there: {about} takes no calls until you top up.",
    "webhook-renewed": "The webhook address is new. Our assistants get it now; enter it at those that you linked yourself.",
    "key-deleted": "All versions of the key are erased.",
    "activated": "{about} answers all clients from their next call on, each as soon as its assistant is synced there.",
    "retrying": "The failed assistants are being synced again.",
    "client-created": "Client created. Now describe its assistant.",
    "client-copied": "Client created. Add a number, so that it can be called.",
    "client-saved": "Saved. The change applies from the next call on.",
    "client-deleted": "Client deleted.",
    "assistant-saved": "Saved. The assistant is being updated at every provider.",
    "assistant-none": "The assistant is removed. No AI answers this client's calls, unless one is linked at a provider.",
    "linked": "Linked. This assistant answers from the next call on.",
    "unlinked": "Unlinked. Nothing was changed at the provider.",
    "number-moved": "The number belongs to this client from the next call on.",
    "number-gone": "The number is no longer answered here.",
    "number-taken-over": "The number is set up. Its calls are answered here.",
    "number-bought": "The number is bought and set up.",
    "test-call-placed": "Your phone rings now. Pick up, and you are put through as a caller. The call then appears under Calls.",
    "registered": "Saved. The registration is used from the next call on.",
    "call-deleted": "The call, its transcript and its messages are deleted.",
    "voicemail-deleted": "The message is deleted, also at the carrier.",
    "replayed": "The events are being sent again.",
    "endpoint-saved": "Saved. It holds for all deliveries from now on.",
    "resent": "The event is being sent again.",
    "endpoint-paused": "Nothing is sent there until you resume it.",
    "endpoint-resumed": "The address receives events again.",
    "endpoint-deleted": "The address is removed and receives no more events.",
    "link-sent": "The link was sent again. It is valid for seven days.",
    "alerts-saved": "Saved. It holds for what begins from now on.",
    "settings-saved": "Saved. The change applies from the next call on.",
    "invitation-deleted": "The invitation is withdrawn. Its link no longer works.",
    "token-deleted": "Token deleted. It no longer gives access.",
    "assistants-deleted": "The assistants that we created there are deleted.",
}

"""`{about}` is the provider that the change was about, `{active}` the agency's active one."""

WARNINGS: Final = frozenset({"key-without-credit", "assistant-none"})
"""Those of the notices that are no good news."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What is asked before something is lost; the text says what happens."""

    title: str
    text: str
    button: str
    is_loss: bool = True


CONFIRMATIONS: Final[Mapping[str, Confirmation]] = {
    "client": Confirmation(
        "Delete {name}?",
        "Its assistants at the providers are deleted, its numbers are no longer answered here, and its calls are no "
        "longer shown. Numbers on your own Twilio account stay yours.",
        "Delete the client",
    ),
    "assistant": Confirmation(
        "Remove the assistant of {name}?",
        "Its copies at the providers are deleted, and no AI answers the client's calls. Linked assistants stay.",
        "Remove the assistant",
    ),
    "number_own": Confirmation(
        "Let go of {number}?",
        "Its calls are no longer answered here: our addresses are removed from it at Twilio. The number itself stays on "
        "your own Twilio account.",
        "Let it go",
    ),
    "number_elsewhere": Confirmation(
        "Remove {number} here?",
        "This service runs on a copy of another database, to which the number belongs. Nothing changes at Twilio or the "
        "provider.",
        "Remove it here",
    ),
    "number_platform": Confirmation(
        "Give {number} back?",
        "Its calls are no longer answered here. If it was bought for you on the platform's account, it is given back, "
        "and you may not get it again.",
        "Give it back",
    ),
    "number_native": Confirmation(
        "Give {number} back?",
        "It is given back to the provider that sold it, and you may not get it again.",
        "Give it back",
    ),
    "buy": Confirmation(
        "Buy {number}?",
        "Twilio charges a monthly price for it until you give it back; see twilio.com/voice/pricing. Its calls are answered "
        "here: if one provider cannot answer, "
        "the next one, the owner's phone or the voicemail does, as the client's routing says. If you switch to another "
        "provider, that one answers.",
        "Buy number",
        is_loss=False,
    ),
    "buy_native": Confirmation(
        "Buy {number} from {seller}?",
        "{seller} charges a monthly price for it until you give it back. Only {seller} answers its calls, whatever the client's routing "
        "says: no other provider, owner's phone or voicemail of ours stands in. {rings} If you switch to another provider, "
        "this number stays at {seller}.",
        "Buy number",
        is_loss=False,
    ),
    "endpoint": Confirmation(
        "Remove this address?",
        "It receives no more events, and deliveries that are still waiting are dropped. If you add it again, it gets a "
        "new secret.",
        "Remove the address",
    ),
    "endpoint_pause": Confirmation(
        "Pause this address?",
        "Nothing is sent there until you resume it, and deliveries that are still waiting are given up. You can send the "
        "events in between again.",
        "Pause",
        is_loss=False,
    ),
    "endpoint_secret": Confirmation(
        "Make a new secret?",
        "The receiver must verify signatures with the new secret by then: for a day, deliveries are signed with both.",
        "Make a new secret",
        is_loss=False,
    ),
    "endpoint_secret_leaked": Confirmation(
        "Replace the leaked secret?",
        "The old secret signs nothing from now on. Until the receiver has the new one, it refuses our deliveries; these are "
        "sent again for a day.",
        "Replace the secret",
    ),
    "call": Confirmation(
        "Delete this call?",
        "Its events, transcript and messages are deleted, and its recordings at the carrier and at the voice provider. This "
        "cannot be undone. Figures no longer count the call.",
        "Delete the call",
    ),
    "voicemail": Confirmation(
        "Delete this message?",
        "The recording and its transcript are deleted, also at the carrier. This cannot be undone.",
        "Delete the message",
    ),
    "token": Confirmation(
        "Delete this token?",
        "People and programs that use it are locked out at once. If you signed in with it, you are signed out.",
        "Delete the token",
    ),
    "invitation": Confirmation("Withdraw this invitation?", "Its link no longer works.", "Withdraw the invitation"),
    "agency": Confirmation(
        "Delete {name}?",
        "The keys, clients, numbers, calls and messages of this agency are deleted for good. Our addresses are first "
        "removed from its numbers at the carrier.",
        "Delete the agency",
    ),
    "unlink": Confirmation(
        "Unlink the assistant at {label}?",
        "It no longer answers this client's calls. The assistant itself stays at {label}.",
        "Unlink",
    ),
    "key": Confirmation(
        "Delete the {label} key?",
        "All its versions are erased at once. Calls that need it go to the next provider, the owner's phone or the "
        "voicemail. Nothing changes at {label} itself.",
        "Delete the key",
    ),
    "assistants": Confirmation(
        "Delete our assistants at {label}?",
        "The assistants that we created at {label} for your clients are deleted. Linked ones stay. If you make {label} "
        "active again, new ones are created.",
        "Delete the assistants",
    ),
}
