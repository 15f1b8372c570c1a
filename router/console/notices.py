"""What the console tells and asks in whole sentences: after something was done, before something is lost, and instead of
a page.
"""

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
    "client-created": "The client is there. Now describe its assistant.",
    "client-saved": "Saved. It holds from the next call on.",
    "client-deleted": "The client is deleted.",
    "assistant-saved": "Saved. The assistant is brought up to date wherever it is synced.",
    "assistant-none": "The client has no assistant now.",
    "linked": "Linked. Calls go to it from the next one on.",
    "unlinked": "Unlinked. Nothing was changed at the provider.",
    "number-moved": "The number belongs to this client from the next call on.",
    "number-gone": "The number is no longer answered here.",
    "number-taken-over": "The number is set up: calls to it come here.",
    "number-bought": "The number is yours and set up: calls to it come here.",
    "registered": "Saved. Calls through that provider use it from the next one on.",
    "call-deleted": "The call is deleted, with all that was said on it.",
    "voicemail-deleted": "The message is deleted, at the carrier too.",
    "replayed": "They are on their way again.",
    "endpoint-deleted": "The address is removed. Nothing is sent there any more.",
    "settings-saved": "Saved. It holds from the next call on.",
    "token-deleted": "The token is deleted. Whatever used it is locked out.",
    "assistants-deleted": "The assistants that we made there are deleted.",
}


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What is asked before something is lost; the text says what happens."""

    title: str
    text: str
    button: str


CONFIRMATIONS: Final[Mapping[str, Confirmation]] = {
    "client": Confirmation(
        "Delete {name}?",
        "Its assistants at the providers are deleted, its numbers are no longer answered here, and its calls are no "
        "longer shown. Numbers on your own Twilio account stay yours.",
        "Delete the client",
    ),
    "number_own": Confirmation(
        "Let go of {number}?",
        "Calls to it no longer come here: our addresses are taken off it at Twilio. The number itself stays yours, on "
        "your own Twilio account.",
        "Let it go",
    ),
    "number_platform": Confirmation(
        "Give {number} back?",
        "Calls to it no longer come here. If it was bought for you on the platform's account it is given back, and "
        "may be gone for good.",
        "Give it back",
    ),
    "number_native": Confirmation(
        "Give {number} back?",
        "It is given back to the provider that sold it, and may be gone for good.",
        "Give it back",
    ),
    "buy": Confirmation(
        "Buy {number}?",
        "It costs money every month until it is given back. It is set up at once, and calls to it come here.",
        "Buy it",
    ),
    "buy_native": Confirmation(
        "Buy {number} from {seller}?",
        "It costs money every month until it is given back. It stays at {seller}: calls to it do not pass through here, "
        "so no other provider can stand in. If you make another provider active, this number stays behind.",
        "Buy it",
    ),
    "endpoint": Confirmation(
        "Remove this address?",
        "Nothing is sent there any more, and what is still on its way is dropped. If you add it again it gets a new "
        "secret.",
        "Remove it",
    ),
    "call": Confirmation(
        "Delete this call?",
        "What happened on it, its transcript and its messages are deleted, recordings at the carrier too. They cannot "
        "be brought back. Figures no longer count it.",
        "Delete the call",
    ),
    "voicemail": Confirmation(
        "Delete this message?",
        "The recording and its transcript are deleted, at the carrier too. They cannot be brought back.",
        "Delete the message",
    ),
    "token": Confirmation(
        "Delete this token?",
        "Whoever uses it, a person or a program, is locked out at once. If it is the one that you signed in with, you "
        "are signed out.",
        "Delete the token",
    ),
    "agency": Confirmation(
        "Delete {name}?",
        "Keys, clients, numbers, calls and messages of this agency are deleted for good. Its numbers are taken off our "
        "addresses at the carrier first.",
        "Delete the agency",
    ),
    "unlink": Confirmation(
        "Unlink the assistant at {label}?",
        "Calls to this client no longer go to it. The assistant itself stays at {label}.",
        "Unlink it",
    ),
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
