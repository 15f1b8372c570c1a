"""Turns a handoff or a human rung into TwiML. No other module writes TwiML, or reads our documents.

Every function returns a whole document. Addresses are relative, because we serve the documents ourselves.
Which document a call gets is decided in router.calls.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias
from xml.etree import ElementTree as ET

from adapters.base import Handoff, NumberHandoff, RedirectHandoff, SipHandoff, StreamHandoff
from crypto import Secret
from router.phrases import phrase_locale, phrases_for, say_locale

ACCEPT_DIGIT: Final = "1"
_SCREEN_SECONDS: Final = 6
_SILENCE_SECONDS: Final = 5
_LONGEST_REQUEST_SECONDS: Final = 15  # Twilio's own limit (Twilio docs: Webhooks connection overrides)
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_IN_TEXT: Final = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"))
_IN_ATTRIBUTE: Final = (*_IN_TEXT, ('"', "&quot;"), ("\t", "&#9;"), ("\n", "&#10;"), ("\r", "&#13;"))

Attributes: TypeAlias = Mapping[str, str | int | None]
"""Those that are None are left out."""


@dataclass(frozen=True, slots=True)
class AiLeg:
    """How an AI's leg is placed. Times in seconds; addresses are ours."""

    caller_id: str
    timeout: int
    time_limit: int
    action: str
    stream_callback: str


def hand_over(handoff: Handoff, leg: AiLeg) -> str:
    """Send the call to the provider; afterwards Twilio asks `leg.action` what to do, except after a redirect."""
    match handoff:
        case StreamHandoff():
            return _connect(handoff, leg)
        case RedirectHandoff():
            return _render(_write("Redirect", {"method": "POST"}, _text(_within(handoff.url, leg.timeout))))
        case SipHandoff():
            noun = _write("Sip", {"username": handoff.username, "password": handoff.password}, _text(handoff.uri))
        case NumberHandoff():
            noun = _write("Number", {}, _text(handoff.e164))
    return _render(_dial(noun, leg.caller_id, leg.timeout, leg.action, time_limit=leg.time_limit))


def ring_owner(phone: str, caller_id: str, timeout: int, action: str, screen_url: str | None) -> str:
    """Ring a person. With `screen_url`, they have to press a key before the caller is put through."""
    noun = _write("Number", {"url": screen_url, "method": "POST" if screen_url else None}, _text(phone))
    return _render(_dial(noun, caller_id, timeout, action))


def screen(accept_url: str, language: str, client_name: str) -> str:
    """For the owner's leg: without a key press (a mobile mailbox presses none) that leg is hung up."""
    gather: Attributes = {
        "numDigits": 1,
        "finishOnKey": "",
        "timeout": _SCREEN_SECONDS,
        "action": accept_url,
        "method": "POST",
        "input": "dtmf",
    }
    take_call = _say(phrases_for(language).take_call.format(name=client_name), language)
    return _render(_write("Gather", gather, take_call), _HANGUP)


def bridge() -> str:
    """On a screened leg an empty document *accepts* the call."""
    return _render()


def put_through(number: str, caller_id: str) -> str:
    """For a test call: whoever picks up is put through to one of our numbers. Sent over the API, and has no addresses."""
    noun = _write("Number", {}, _text(number))
    return _render(_write("Dial", {"answerOnBridge": "true", "callerId": caller_id}, noun))


def nothing() -> str:
    """For a caller who is gone and for callbacks that only inform us."""
    return _render()


def hang_up() -> str:
    return _render(_HANGUP)


def reject_busy() -> str:
    """The caller hears a busy tone; the call is neither answered nor billed."""
    return _render(_write("Reject", {"reason": "busy"}))


def leave_message(
    client_name: str,
    greeting: str | None,
    language: str,
    action: str,
    recording_callback: str | None,
    max_seconds: int,
    transcription_callback: str | None = None,
) -> str:
    """The client's greeting (or ours, in the client's language), a tone and a recording, which Twilio transcribes if
    `transcription_callback` is given.
    """
    own_words = _clean(greeting or "").strip()
    if own_words:
        greet = _write("Say", {"language": say_locale(language)}, _text(own_words))
    else:
        greet = _say(phrases_for(language).leave_message.format(name=client_name), language)
    record: Attributes = {
        "action": action,
        "method": "POST",
        "timeout": _SILENCE_SECONDS,
        "maxLength": max_seconds,
        "finishOnKey": "#",
        "playBeep": "true",
        "recordingStatusCallback": recording_callback,
        "recordingStatusCallbackMethod": "POST" if recording_callback else None,
        "recordingStatusCallbackEvent": "completed absent" if recording_callback else None,
        "transcribe": "true" if transcription_callback else None,
        "transcribeCallback": transcription_callback,
    }
    return _render(greet, _write("Record", record), _HANGUP)


def goodbye(language: str) -> str:
    return _render(_say(phrases_for(language).goodbye, language), _HANGUP)


def not_in_service(language: str = "en-US") -> str:
    """For a number that has not been set up."""
    return _render(_say(phrases_for(language).not_in_service, language), _HANGUP)


def _say(text: str, language: str) -> str:
    """One of our own phrases."""
    return _write("Say", {"language": phrase_locale(language)}, _text(_clean(text)))


def find_redirect(document: str) -> Secret | None:
    """The address that a document of ours redirects to."""
    redirect = ET.fromstring(document).find("Redirect")  # noqa: S314 - our own document
    return None if redirect is None else Secret(redirect.text or "")


def _dial(noun: str, caller_id: str, timeout: int, action: str, time_limit: int | None = None) -> str:
    attributes: Attributes = {
        "answerOnBridge": "true",
        "callerId": caller_id,
        "timeout": timeout,
        "timeLimit": time_limit,
        "action": action,
        "method": "POST",
    }
    return _write("Dial", attributes, noun)


def _connect(handoff: StreamHandoff, leg: AiLeg) -> str:
    ours = {"statusCallback": leg.stream_callback, "statusCallbackMethod": "POST"}
    parameters = [_write("Parameter", dict(attributes)) for attributes in handoff.parameters]
    stream = _write("Stream", dict(handoff.attributes) | ours, *parameters)
    return _render(_write("Connect", {"action": leg.action, "method": "POST"}, stream))


def _within(url: Secret, seconds: int) -> str:
    """The address, with the time that its server has to answer in the fragment, which Twilio does not send."""
    limit = min(seconds, _LONGEST_REQUEST_SECONDS) * 1000
    return f"{url.reveal().partition('#')[0]}#rt={limit}&tt={limit}"


def _render(*verbs: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?>{_write("Response", {}, *verbs)}'


def _write(name: str, attributes: Attributes, *inside: str) -> str:
    """One element. `inside` is XML already. Twilio's own library takes 60 µs for a document, in which a caller waits."""
    written = [
        f' {key}="{_escape(str(value), _IN_ATTRIBUTE)}"' for key, value in attributes.items() if value is not None
    ]
    start = f"<{name}{''.join(written)}"
    return f"{start}>{''.join(inside)}</{name}>" if inside else f"{start} />"


def _text(words: str) -> str:
    return _escape(words, _IN_TEXT)


def _escape(words: str, replacements: Iterable[tuple[str, str]]) -> str:
    for char, written in replacements:
        words = words.replace(char, written)
    return words


def _clean(text: str) -> str:
    """XML 1.0 allows few control characters; a single other one makes the whole document invalid."""
    return _NOT_XML.sub(" ", text)


_HANGUP: Final = _write("Hangup", {})
