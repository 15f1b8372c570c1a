"""A handoff or a human rung → TwiML. The only place that writes it.

Every function returns a whole document. Addresses are relative, as they belong to documents that we serve.
Which document is right when is decided elsewhere (router.calls).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from twilio.twiml import TwiML
from twilio.twiml.voice_response import Connect, Dial, Gather, Number, Parameter, Sip, Stream, VoiceResponse

from adapters.base import Handoff, NumberHandoff, SipHandoff, StreamHandoff
from router.phrases import phrase_locale, phrases_for, say_locale

ACCEPT_DIGIT: Final = "1"
_SCREEN_SECONDS: Final = 6
_SILENCE_SECONDS: Final = 5
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
    """The call goes to the provider; afterwards Twilio asks `leg.action` what to do."""
    match handoff:
        case StreamHandoff():
            return _connect(handoff, leg)
        case SipHandoff():
            noun: TwiML = Sip(handoff.uri, username=handoff.username, password=handoff.password)
        case NumberHandoff():
            noun = Number(handoff.e164)
    return _render(_dial(noun, leg.caller_id, leg.timeout, leg.action, time_limit=leg.time_limit))


def ring_owner(phone: str, caller_id: str, timeout: int, action: str, screen_url: str | None) -> str:
    """Ring a person; with a screen address, they have to press a key before the caller is put through."""
    return _render(
        _dial(Number(phone, url=screen_url, method="POST" if screen_url else None), caller_id, timeout, action)
    )


def screen(accept_url: str, language: str, client_name: str) -> str:
    """Asked on the owner's leg: whoever presses no key, such as a mobile mailbox, is hung up on."""
    gather = Gather(
        num_digits=1, finish_on_key="", timeout=_SCREEN_SECONDS, action=accept_url, method="POST", input="dtmf"
    )
    gather.say(_clean(phrases_for(language).take_call.format(name=client_name)), language=phrase_locale(language))
    document = VoiceResponse()
    document.append(gather)
    document.hangup()
    return str(document)


def bridge() -> str:
    """On a screened leg an empty document *accepts* the call."""
    return str(VoiceResponse())


def nothing() -> str:
    """For a caller who is gone and for callbacks that only inform us."""
    return str(VoiceResponse())


def hang_up() -> str:
    document = VoiceResponse()
    document.hangup()
    return str(document)


def reject_busy() -> str:
    """Busy, neither answered nor billed."""
    document = VoiceResponse()
    document.reject(reason="busy")
    return str(document)


def leave_message(
    client_name: str,
    greeting: str | None,
    language: str,
    action: str,
    recording_callback: str | None,
    max_seconds: int,
    transcription_callback: str | None = None,
) -> str:
    """The client's greeting (or ours, in the client's language), a tone, and a recording, written down if an address
    for that is given.
    """
    document = VoiceResponse()
    own_words = _clean(greeting or "").strip()
    if own_words:
        document.say(own_words, language=say_locale(language))
    else:
        text = phrases_for(language).leave_message.format(name=client_name)
        document.say(_clean(text), language=phrase_locale(language))
    document.record(
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
    document.hangup()
    return str(document)


def goodbye(language: str) -> str:
    return _speak(phrases_for(language).goodbye, phrase_locale(language))


def not_in_service(language: str = "en-US") -> str:
    """For a number that nobody has set up."""
    return _speak(phrases_for(language).not_in_service, phrase_locale(language))


def _speak(text: str, locale: str) -> str:
    document = VoiceResponse()
    document.say(_clean(text), language=locale)
    document.hangup()
    return str(document)


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


def _set_attributes(element: TwiML, attributes: Iterable[tuple[str, str]]) -> None:
    """Names are kept as they came: the library would rewrite those it takes as arguments."""
    for name, value in attributes:
        element.attrs[name] = value


def _render(verb: TwiML) -> str:
    document = VoiceResponse()
    document.append(verb)
    return str(document)


def _clean(text: str) -> str:
    """XML 1.0 cannot carry most control characters, and one of them would spoil the whole document."""
    return _NOT_XML.sub(" ", text)
