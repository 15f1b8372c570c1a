"""What a TwiML document may say: which verbs, nouns, attributes and values there are, and which verbs can be reached.

Stricter than Twilio, which ignores what it doesn't know (warning 12200): what it ignores was meant to do something.
What depends on the call (caller ids, addresses that answer) is checked where it is executed.
Sources: Twilio docs: TwiML for Voice, each verb's and noun's page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from adapters.sandbox.carrier.addresses import overrides_fault, reference_fault, stream_url_fault, web_url_fault
from adapters.sandbox.carrier.document import Element
from adapters.sandbox.carrier.languages import SAY_LANGUAGES

Check: TypeAlias = Callable[[str], str | None]

MAX_NOUNS = 10
MAX_PARAMETERS = 500  # characters of all names and values of a stream together
MAX_SAID = 4096
SCREENING_VERBS = frozenset({"Play", "Say", "Gather", "Hangup"})
_ENDING = frozenset({"Hangup", "Reject", "Redirect"})  # nothing after these is ever executed
_SCHEMA = 12200  # Twilio's warning for a document that does not keep to the schema


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a document; a `fatal` one keeps Twilio from executing it at all."""

    code: int
    text: str
    fatal: bool = False

    def __str__(self) -> str:
        return f"{self.code}: {self.text}"


@dataclass(frozen=True, slots=True)
class _Rule:
    attributes: Mapping[str, Check] = field(default_factory=dict)
    children: frozenset[str] = frozenset()
    text: Check | None = None
    required: frozenset[str] = frozenset()
    content: Callable[[Element], Iterator[Problem]] | None = None  # checks what the other fields cannot say


def check_document(root: Element, *, screening: bool = False, answered: bool = False) -> list[Problem]:
    """Everything that is wrong with a document.

    `screening`: it runs on a called leg before the caller is bridged to it. `answered`: the caller's line has been
    answered, so that it cannot be rejected any more.
    """
    problems = [Problem(_SCHEMA, f"Response has an unknown attribute {name}") for name in root.attributes]
    if root.text or root.stray:
        problems.append(Problem(_SCHEMA, f"Response has text outside of a verb: {(root.text or root.stray)[:40]!r}"))
    for verb in root.children:
        problems += _check_verb(verb, screening=screening)
    problems += _check_order(root.children, answered=answered)
    return problems


def _check_verb(verb: Element, *, screening: bool) -> Iterator[Problem]:
    if screening and verb.name not in SCREENING_VERBS:
        yield Problem(_SCHEMA, f"a screening document may not have {verb.name}: only Play, Say, Gather and Hangup")
        return
    rule = _VERBS.get(verb.name)
    if rule is None:
        yield Problem(_SCHEMA, f"unknown verb {verb.name}")
        return
    yield from _check_element(verb, rule)
    if rule.content:
        yield from rule.content(verb)


def _check_element(element: Element, rule: _Rule) -> Iterator[Problem]:
    for name, value in element.attributes.items():
        if name not in rule.attributes:
            yield Problem(_SCHEMA, f"{element.name} has an unknown attribute {name}")
        elif complaint := rule.attributes[name](value):
            yield Problem(_SCHEMA, f"{element.name} {name}={value[:60]!r}: {complaint}")
    for name in sorted(rule.required - element.attributes.keys()):
        yield Problem(_SCHEMA, f"{element.name} lacks {name}")
    if rule.text is None and element.text:
        yield Problem(_SCHEMA, f"{element.name} may not have text")
    elif rule.text and not element.children and (complaint := rule.text(element.text)):
        yield Problem(_SCHEMA, f"{element.name}: {complaint}")
    if element.stray:
        yield Problem(_SCHEMA, f"{element.name} has text beside its children")
    for child in element.children:
        if child.name not in rule.children:
            yield Problem(_SCHEMA, f"{element.name} may not have {child.name}")
        else:
            yield from _check_element(child, _NOUNS[child.name])


def _check_order(verbs: tuple[Element, ...], *, answered: bool) -> Iterator[Problem]:
    unreachable_since = ""
    for index, verb in enumerate(verbs):
        if unreachable_since:
            yield Problem(_SCHEMA, f"{verb.name} can't be reached behind {unreachable_since}")
        if verb.name == "Reject" and (index or answered):
            yield Problem(_SCHEMA, "Reject must be the first verb of a call that has not been answered")
        if verb.name == "Dial" and index and verb.flag("answerOnBridge"):
            yield Problem(_SCHEMA, "answerOnBridge has no effect: Dial is not the first verb")
        if verb.name in _ENDING:
            unreachable_since = unreachable_since or verb.name
        elif verb.name in ("Dial", "Connect") and "action" in verb.attributes:
            unreachable_since = unreachable_since or f"{verb.name} with an action"


def _check_connect(connect: Element) -> Iterator[Problem]:
    streams = connect.all("Stream")
    if len(connect.children) != 1 or not streams:
        yield Problem(_SCHEMA, "Connect needs exactly one Stream", fatal=True)
        return
    url = streams[0].get("url")
    if fault := stream_url_fault(url):
        yield Problem(31923 if url.startswith("wss:") else 31922, fault, fatal=True)
    length = sum(len(each.get("name")) + len(each.get("value")) for each in streams[0].all("Parameter"))
    if length >= MAX_PARAMETERS:
        yield Problem(_SCHEMA, f"the Parameters of the Stream have {length} characters together, 499 are allowed")


def _check_dial(dial: Element) -> Iterator[Problem]:
    if not dial.children and not dial.text:
        yield Problem(_SCHEMA, "Dial has no one to call", fatal=True)
    if len(dial.children) > MAX_NOUNS:
        yield Problem(13250, f"Dial has {len(dial.children)} nouns, ten are allowed")


def _check_record(record: Element) -> Iterator[Problem]:
    if "action" not in record.attributes:
        yield Problem(_SCHEMA, "Record without an action requests the same document over and over")


def _check_redirect(redirect: Element) -> Iterator[Problem]:
    if fault := _url(redirect.text):
        yield Problem(11216, f"Redirect: {fault}", fatal=True)
    if fault := overrides_fault(redirect.text.partition("#")[2]):
        yield Problem(_SCHEMA, f"Redirect: {fault}")


def _whole(low: int, high: int) -> Check:
    def check(value: str) -> str | None:
        fits = value.isascii() and value.isdigit() and len(value) < 10 and low <= int(value) <= high  # noqa: PLR2004
        return None if fits else f"must be a whole number from {low} to {high}"

    return check


def _one_of(*values: str) -> Check:
    return lambda value: None if value in values else f"must be one of {', '.join(values)}"


def _words(*words: str) -> Check:
    def check(value: str) -> str | None:
        given = value.split()
        fits = bool(given) and set(given) <= set(words)
        return None if fits else f"must be words of {' '.join(words)}, separated by spaces"

    return check


def _matching(pattern: str, what: str) -> Check:
    compiled = re.compile(pattern, re.ASCII)
    return lambda value: None if compiled.fullmatch(value) else what


def _url(value: str) -> str | None:
    return reference_fault(value) if value.strip() else "is empty: the same document would be requested again"


def _said(value: str) -> str | None:
    if not value:
        return "there is nothing to say"
    return f"{len(value)} characters, {MAX_SAID} are allowed" if len(value) > MAX_SAID else None


def _media_url(value: str) -> str | None:
    return web_url_fault(value) if "://" in value else reference_fault(value)


def _anything(_: str) -> None:
    return None


def _language(value: str) -> str | None:
    return None if value in SAY_LANGUAGES else "no language that Twilio can speak"


_BOOLEAN = _one_of("true", "false")
_METHOD = _one_of("POST", "GET")
_DIGITS = _matching(r"[0-9*#wW]+", "must be digits")
_VOICES = _matching(
    r"man|woman|alice|(Polly|Google)\.[A-Za-z0-9\-]+", "must be man, woman, alice or a Polly. or Google. voice"
)
_TONES = _one_of(*"at au bg br be ch cl cn cz de dk ee es fi fr gr hu il in it lt jp mx my nl no nz ph pl pt ru se sg th uk us us-old tw ve za".split())  # fmt: skip
_CALLBACK: dict[str, Check] = {"statusCallback": _url, "statusCallbackMethod": _METHOD}
_LEG: dict[str, Check] = {
    "url": _url,
    "method": _METHOD,
    **_CALLBACK,
    "statusCallbackEvent": _words("initiated", "ringing", "answered", "completed"),
    "machineDetection": _one_of("Enable", "DetectMessageEnd"),
    "machineDetectionTimeout": _whole(3, 60),
    "machineDetectionSpeechThreshold": _whole(1000, 6000),
    "machineDetectionSpeechEndThreshold": _whole(500, 5000),
    "machineDetectionSilenceTimeout": _whole(2000, 10000),
    "amdStatusCallback": _url,
    "amdStatusCallbackMethod": _METHOD,
}
_ACTION: dict[str, Check] = {"action": _url, "method": _METHOD}
_RECORDING: dict[str, Check] = {
    "recordingStatusCallback": _url,
    "recordingStatusCallbackMethod": _METHOD,
    "recordingStatusCallbackEvent": _words("in-progress", "completed", "absent"),
    "trim": _one_of("trim-silence", "do-not-trim"),
}

_SAY = _Rule({"voice": _VOICES, "language": _language, "loop": _whole(0, 1000)}, text=_said)
_PLAY = _Rule({"loop": _whole(0, 1000), "digits": _DIGITS}, text=_media_url)
_PAUSE = _Rule({"length": _whole(1, 600)})

_SPOKEN = {"Say": _SAY, "Play": _PLAY, "Pause": _PAUSE}

_NOUNS: dict[str, _Rule] = {
    **_SPOKEN,
    "Number": _Rule(_LEG | {"sendDigits": _DIGITS, "byoc": _anything}, text=_anything),
    "Sip": _Rule(_LEG | {"username": _anything, "password": _anything}, text=_anything),
    "Stream": _Rule(
        _CALLBACK | {"url": _anything, "name": _anything, "track": _one_of("inbound_track")},
        children=frozenset({"Parameter"}),
        required=frozenset({"url"}),
    ),
    "Parameter": _Rule({"name": _anything, "value": _anything}, required=frozenset({"name", "value"})),
}

_VERBS: dict[str, _Rule] = {
    **_SPOKEN,
    "Hangup": _Rule(),
    "Reject": _Rule({"reason": _one_of("rejected", "busy")}),
    "Redirect": _Rule({"method": _METHOD}, text=_anything, content=_check_redirect),
    "Gather": _Rule(
        _ACTION
        | {
            "timeout": _whole(1, 600),
            "numDigits": _whole(1, 100),
            "finishOnKey": _matching(r"[0-9*#]?", "must be one of 0-9, * and #, or empty"),
            "input": _words("dtmf", "speech"),
            "actionOnEmptyResult": _BOOLEAN,
            "language": _anything,
            "hints": _anything,
            "speechTimeout": _matching(r"auto|[1-9][0-9]{0,2}", "must be auto or seconds"),
            "profanityFilter": _BOOLEAN,
            "bargeIn": _BOOLEAN,
        },
        children=frozenset(_SPOKEN),
    ),
    "Dial": _Rule(
        _ACTION
        | _RECORDING
        | {
            "timeout": _whole(5, 600),
            "timeLimit": _whole(1, 14400),
            "callerId": _matching(r".{1,255}", "must not be empty"),
            "answerOnBridge": _BOOLEAN,
            "hangupOnStar": _BOOLEAN,
            "sequential": _BOOLEAN,
            "ringTone": _TONES,
            "callReason": _matching(r".{1,50}", "must have 1 to 50 characters"),
            "referUrl": _url,
            "referMethod": _METHOD,
            "record": _matching("do-not-record|record-from-(answer|ringing)(-dual)?", "is not a way to record"),
            "recordingTrack": _one_of("both", "inbound", "outbound"),
        },
        children=frozenset({"Number", "Sip"}),
        text=_anything,
        content=_check_dial,
    ),
    "Connect": _Rule(_ACTION, children=frozenset({"Stream"}), content=_check_connect),
    "Record": _Rule(
        _ACTION
        | _RECORDING
        | {
            "timeout": _whole(1, 600),
            "finishOnKey": _matching(r"[0-9*#]*", "must be made of 0-9, * and #"),
            "maxLength": _whole(1, 14400),
            "playBeep": _BOOLEAN,
            "transcribe": _BOOLEAN,
            "transcribeCallback": _url,
        },
        content=_check_record,
    ),
}
