"""Turns a handoff or a human rung into TwiML. No other module writes TwiML, or reads our documents.

Every function returns a whole document. Addresses are relative, because we serve the documents ourselves.
Which document a call gets is decided in router.calls.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

from twilio.twiml import TwiML
from twilio.twiml.voice_response import (
    Connect,
    Dial,
    Gather,
    Hangup,
    Number,
    Parameter,
    Record,
    Redirect,
    Reject,
    Say,
    Sip,
    Stream,
    VoiceResponse,
)

from adapters.base import Handoff, NumberHandoff, RedirectHandoff, SipHandoff, StreamHandoff
from crypto import Secret
from router.phrases import phrase_locale, phrases_for, say_locale

ACCEPT_DIGIT: Final = "1"
_SCREEN_SECONDS: Final = 6
_SILENCE_SECONDS: Final = 5
_LONGEST_REQUEST_SECONDS: Final = 15  # Twilio's own limit (Twilio docs: Webhooks connection overrides)
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


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
            return _render(Redirect(_within(handoff.url, leg.timeout), method="POST"))
        case SipHandoff():
            noun: TwiML = Sip(handoff.uri, username=handoff.username, password=handoff.password)
        case NumberHandoff():
            noun = Number(handoff.e164)
    return _render(_dial(noun, leg.caller_id, leg.timeout, leg.action, time_limit=leg.time_limit))


def ring_owner(phone: str, caller_id: str, timeout: int, action: str, screen_url: str | None) -> str:
    """Ring a person. With `screen_url`, they have to press a key before the caller is put through."""
    return _render(
        _dial(Number(phone, url=screen_url, method="POST" if screen_url else None), caller_id, timeout, action)
    )


def screen(accept_url: str, language: str, client_name: str) -> str:
    """For the owner's leg: without a key press (a mobile mailbox presses none) that leg is hung up."""
    gather = Gather(
        num_digits=1, finish_on_key="", timeout=_SCREEN_SECONDS, action=accept_url, method="POST", input="dtmf"
    )
    gather.append(_say(phrases_for(language).take_call.format(name=client_name), language))
    return _render(gather, Hangup())


def bridge() -> str:
    """On a screened leg an empty document *accepts* the call."""
    return _render()


def nothing() -> str:
    """For a caller who is gone and for callbacks that only inform us."""
    return _render()


def hang_up() -> str:
    return _render(Hangup())


def reject_busy() -> str:
    """The caller hears a busy tone; the call is neither answered nor billed."""
    return _render(Reject(reason="busy"))


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
        greet = Say(own_words, language=say_locale(language))
    else:
        greet = _say(phrases_for(language).leave_message.format(name=client_name), language)
    record = Record(
        action=action,
        method="POST",
        timeout=_SILENCE_SECONDS,
        max_length=max_seconds,
        finish_on_key="#",
        play_beep=True,
        recording_status_callback=recording_callback,
        recording_status_callback_method="POST" if recording_callback else None,
        recording_status_callback_event="completed absent" if recording_callback else None,
        transcribe=True if transcription_callback else None,
        transcribe_callback=transcription_callback,
    )
    return _render(greet, record, Hangup())


def goodbye(language: str) -> str:
    return _render(_say(phrases_for(language).goodbye, language), Hangup())


def not_in_service(language: str = "en-US") -> str:
    """For a number that has not been set up."""
    return _render(_say(phrases_for(language).not_in_service, language), Hangup())


def _say(text: str, language: str) -> Say:
    """One of our own phrases."""
    return Say(_clean(text), language=phrase_locale(language))


def find_redirect(document: str) -> Secret | None:
    """The address that a document of ours redirects to."""
    redirect = ET.fromstring(document).find("Redirect")  # noqa: S314 - our own document
    return None if redirect is None else Secret(redirect.text or "")


def _dial(noun: TwiML, caller_id: str, timeout: int, action: str, time_limit: int | None = None) -> Dial:
    dial = Dial(
        answer_on_bridge=True,
        caller_id=caller_id,
        timeout=timeout,
        time_limit=time_limit,
        action=action,
        method="POST",
    )
    dial.append(noun)
    return dial


def _connect(handoff: StreamHandoff, leg: AiLeg) -> str:
    stream = Stream()
    _set_attributes(stream, handoff.attributes)
    _set_attributes(stream, (("statusCallback", leg.stream_callback), ("statusCallbackMethod", "POST")))
    for attributes in handoff.parameters:
        parameter = Parameter()
        _set_attributes(parameter, attributes)
        stream.append(parameter)
    connect = Connect(action=leg.action, method="POST")
    connect.append(stream)
    return _render(connect)


def _within(url: Secret, seconds: int) -> str:
    """The address, with the time that its server has to answer in the fragment, which Twilio does not send."""
    limit = min(seconds, _LONGEST_REQUEST_SECONDS) * 1000
    return f"{url.reveal().partition('#')[0]}#rt={limit}&tt={limit}"


def _set_attributes(element: TwiML, attributes: Iterable[tuple[str, str]]) -> None:
    """Keep the names as they are: the library rewrites those that are passed as arguments."""
    for name, value in attributes:
        element.attrs[name] = value


def _render(*verbs: TwiML) -> str:
    document = VoiceResponse()
    for verb in verbs:
        document.append(verb)
    return str(document)


def _clean(text: str) -> str:
    """XML 1.0 allows few control characters; a single other one makes the whole document invalid."""
    return _NOT_XML.sub(" ", text)
