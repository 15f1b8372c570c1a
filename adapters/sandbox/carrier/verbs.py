"""What each verb does to the caller's line. Dial, Connect and Redirect, which bring in somebody else, have their own modules.

Sources: Twilio docs: TwiML for Voice, each verb's page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from typing import TypeAlias

from adapters.sandbox.api import new_id
from adapters.sandbox.carrier.connect import connect
from adapters.sandbox.carrier.dial import dial
from adapters.sandbox.carrier.document import Element
from adapters.sandbox.carrier.fetching import END, NEXT, Document, Fetch, Outcome
from adapters.sandbox.carrier.line import Line
from adapters.sandbox.carrier.parameters import recording_parameters
from adapters.sandbox.carrier.redirect import redirect
from adapters.sandbox.carrier.speech import speak

_TRANSCRIBED = range(2, 121)  # seconds

Verb: TypeAlias = Callable[[Line, Document, Element, int], Awaitable[Outcome]]


async def execute(line: Line, document: Document) -> Fetch | Document | None:
    """Run a document's verbs in order; returns the document to go on with, or None when the call is over."""
    for index, element in enumerate(document.root.children):
        verb = _VERBS.get(element.name)
        if verb is None:
            continue
        outcome = await verb(line, document, element, index)
        if isinstance(outcome, Fetch | Document):
            return outcome
        if outcome is END or line.gone:
            return None
    return None


async def _speak(line: Line, document: Document, element: Element, index: int) -> Outcome:
    line.answer()
    rest = document.root.children[index:]
    if line.script.caller == "hangs-up-in-voicemail-greeting" and any(verb.name == "Record" for verb in rest):
        await speak(line, element, share=0.5)
        line.hang_up("during the greeting")
        return END
    await speak(line, element)
    return NEXT


async def _pause(line: Line, _document: Document, element: Element, _index: int) -> Outcome:
    """As the first verb it delays the answer, so it doesn't give one."""
    await line.pass_time(element.number("length", 1))
    return NEXT


async def _gather(line: Line, _document: Document, element: Element, _index: int) -> Outcome:
    """The caller presses nothing, so the next verb is executed."""
    line.answer()
    for prompt in element.children:
        await speak(line, prompt)
    await line.pass_time(element.number("timeout", 5))
    return NEXT


async def _record(line: Line, document: Document, element: Element, _index: int) -> Outcome:
    line.answer()
    line.reached("voicemail")
    recording_sid = new_id("RE")
    if line.script.voicemail == "silent":
        await line.pass_time(element.number("timeout", 5))
        line.note("caller", "the caller says nothing")
        await _tell_of_recording(line, document, element, recording_sid, "absent", None)
        return NEXT
    longest = element.number("maxLength", 3600)
    seconds = min(line.script.message_seconds, longest)
    try:
        await line.pass_time(seconds)
        line.note("caller", f"the caller leaves a message of {seconds} s")
        digits = await _end_message(line, element, cut_off=line.script.message_seconds > longest)
    finally:
        # Also if the call is moved or ended meanwhile: what was recorded stays.
        line.timeline.recordings.append(recording_sid)
        await line.carrier.far_end.keep_recording(
            line.carrier.account_sid, line.timeline.call_sid, recording_sid, seconds
        )
        if line.quirks.recording_callback == "after-transcription":
            _transcribe(line, document, element, recording_sid, seconds)
        await _tell_of_recording(line, document, element, recording_sid, "completed", seconds)
        if line.quirks.recording_callback != "after-transcription":
            _transcribe(line, document, element, recording_sid, seconds)
    said = recording_parameters(line.ids, recording_sid) | {"RecordingDuration": str(seconds), "Digits": digits}
    action = document.action(element, "record action", said)
    if not line.gone:
        return action
    await line.request_unheard(action)
    return END


async def _end_message(line: Line, element: Element, *, cut_off: bool) -> str:
    """How the message ends: the Digits of the action."""
    if cut_off:
        return ""
    match line.script.message_ends_with:
        case "key" if "#" in element.get("finishOnKey", "1234567890*#"):
            return "#"
        case "silence":
            await line.pass_time(element.number("timeout", 5))
            return ""
        case _:
            line.hang_up("after the message")
            return "hangup"


async def _tell_of_recording(
    line: Line, document: Document, element: Element, recording_sid: str, status: str, seconds: int | None
) -> None:
    events = element.get("recordingStatusCallbackEvent", "completed").split()
    if not element.get("recordingStatusCallback") or status not in events:
        return
    parameters = recording_parameters(line.ids, recording_sid) | {
        "RecordingStatus": status,
        "RecordingChannels": "1",
        "RecordingSource": "RecordVerb",
        "RecordingStartTime": format_datetime(datetime.now(UTC)),
        "ErrorCode": "0",
    }
    if seconds is not None:
        parameters["RecordingDuration"] = str(seconds)
    callback = document.callback(element, "recordingStatusCallback", f"recording {status}", parameters)
    tell = partial(line.tell, callback)
    for _ in range(line.quirks.recording_callback_copies):
        if line.quirks.recording_callback != "before-end":
            line.after_the_end.append(tell)
        else:
            await tell()


def _transcribe(line: Line, document: Document, element: Element, recording_sid: str, seconds: int) -> None:
    """Transcribing takes a while: its callback comes after the call (Twilio docs: TwiML Record, transcribeCallback)."""
    if (
        not element.get("transcribeCallback")
        or element.get("transcribe", "true") != "true"
        or seconds not in _TRANSCRIBED
    ):
        return
    text, sid = line.script.message_says, new_id("TR")
    account_url = f"https://api.twilio.com/2010-04-01/Accounts/{line.carrier.account_sid}"
    parameters = recording_parameters(line.ids, recording_sid) | {
        "TranscriptionSid": sid,
        "TranscriptionUrl": f"{account_url}/Transcriptions/{sid}",
        "TranscriptionStatus": "failed" if text is None else "completed",
        "TranscriptionType": "fast",
        "TranscriptionText": text or "",
    }
    tell = partial(line.tell, document.callback(element, "transcribeCallback", "transcription", parameters))
    line.after_the_end += [tell] * line.quirks.recording_callback_copies


async def _hang_up(line: Line, _document: Document, _element: Element, _index: int) -> Outcome:
    line.note("end", "the router hangs up")
    return END


async def _reject(line: Line, _document: Document, element: Element, _index: int) -> Outcome:
    if line.answered_at is not None:
        return END
    line.status = "busy" if element.get("reason") == "busy" else "no-answer"
    line.timeline.answered_by = "rejected"
    line.note("end", f"the call is rejected ({element.get('reason', 'rejected')})")
    return END


_VERBS: dict[str, Verb] = {
    "Say": _speak,
    "Play": _speak,
    "Pause": _pause,
    "Gather": _gather,
    "Record": _record,
    "Hangup": _hang_up,
    "Reject": _reject,
    "Redirect": redirect,
    "Dial": dial,
    "Connect": connect,
}
