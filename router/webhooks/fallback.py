"""The static fallback: what a caller gets when Twilio cannot fetch or execute our documents.

It rings the owner, if the client's routing does at that time, then takes a message. All it needs is sealed in the
address's `t`: no database, provider or other key. It stores nothing and trusts nothing in a request, so it needs no
signature. It is the last resort: every request is answered with a document that Twilio can execute (Twilio docs:
Availability and Reliability).

Where the whole service answers, it is asked first whether the call was redirected to a server that failed
(router.webhooks.redirected).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, TypeAlias
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.twilio.signature import FormError, read_form, read_text
from crypto import Keyring, OpenError
from router import twiml
from router.bodies import CutOffError, TooLargeError, read_body
from router.callers import can_exist, is_same_phone, read_caller
from router.calls.fallback import Fallback, open_fallback
from router.clock import Clock, utc_now
from router.dialling import Dialling
from router.telemetry import emit, metrics

CHECK: Final = "check"
"""A parameter: the request is a test, and no call waits. An address that Twilio has never counts as one."""

_MAX_BODY: Final = 64 * 1024
_CALL_SID = re.compile(r"CA[0-9a-fA-F]{32}")
_RECORDING_SID = re.compile(r"RE[0-9a-fA-F]{32}")

Step: TypeAlias = Literal["voice", "screen", "accept", "done", "recorded"]
GoOn: TypeAlias = Callable[[Request, bytes], Awaitable[str | None]]
"""The document with which a call goes on instead; None: it gets the static one. Takes the request and its body."""
Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Visit:
    """One request. Nothing in `form` is verified."""

    form: Mapping[str, str]
    prefix: str
    sealed: str | None = None
    fallback: Fallback | None = None  # None: `sealed` is missing or does not open

    def address(self, step: Step) -> str:
        query = f"?{urlencode({'t': self.sealed})}" if self.fallback else ""
        return f"{self.prefix}/fallback/{step}{query}"


@dataclass(frozen=True, slots=True)
class Reply:
    """A document, and a word for what it does."""

    answer: str
    document: str


def fallback_routes(
    keyring: Keyring,
    dialling: Dialling,
    path_prefix: str = "",
    go_on: GoOn | None = None,
    clock: Clock = utc_now,
) -> list[Route]:
    """The fallback's addresses. `path_prefix` is the path of its public address: "" or "/calls", say."""
    steps: dict[Step, Callable[[Visit], Reply]] = {
        "voice": partial(_take_call, dialling, clock),
        "screen": _screen_owner,
        "accept": _hear_owner,
        "done": _after_owner,
        "recorded": _after_message,
    }
    return [
        Route(
            f"/fallback/{step}",
            _serve(step, answer, keyring, path_prefix, go_on if step == "voice" else None),
            methods=["GET", "POST"],
        )
        for step, answer in steps.items()
    ]


def _take_call(dialling: Dialling, clock: Clock, visit: Visit) -> Reply:
    fallback = visit.fallback
    phone = None if fallback is None else fallback.phone_at(clock())
    if fallback is None or phone is None or not dialling.allows(phone):
        return _take_message(visit)
    if is_same_phone(visit.form.get("ForwardedFrom", ""), phone):
        return Reply("reject", twiml.reject_busy())
    return Reply(
        "ring",
        twiml.ring_owner(
            phone,
            _choose_caller_id(visit.form, fallback),
            fallback.ring_seconds,
            visit.address("done"),
            visit.address("screen") if fallback.screen else None,
        ),
    )


def _screen_owner(visit: Visit) -> Reply:
    """On the owner's leg, a document that does not end with a hang-up would connect the caller to a mailbox."""
    if visit.fallback is None:
        return _hang_up()
    address = visit.address("accept")
    return Reply("screen", twiml.screen(address, visit.fallback.language, visit.fallback.client_name))


def _hear_owner(visit: Visit) -> Reply:
    if visit.form.get("Digits") == twiml.ACCEPT_DIGIT:
        return Reply("bridge", twiml.bridge())
    return _hang_up()


def _after_owner(visit: Visit) -> Reply:
    return _hang_up() if _has_talked(visit) else _take_message(visit)


def _after_message(visit: Visit) -> Reply:
    return Reply("goodbye", twiml.goodbye(visit.fallback.language if visit.fallback else "en-US"))


def _hang_up() -> Reply:
    return Reply("hang_up", twiml.hang_up())


def _take_message(visit: Visit) -> Reply:
    """Without `t` the client is unknown: the message stays in the Twilio account that was called."""
    action = visit.address("recorded")
    if visit.fallback is None:
        return Reply("record", twiml.leave_message("us", None, "en-US", action, None, 120))
    said = visit.fallback
    document = twiml.leave_message(said.client_name, said.greeting, said.language, action, None, said.voicemail_seconds)
    return Reply("record", document)


def _has_talked(visit: Visit) -> bool:
    """A mailbox that the screening hung up on is a completed dial too, so only DialBridged is certain."""
    bridged = visit.form.get("DialBridged")
    if bridged is not None:
        return bridged == "true"
    screened = visit.fallback is None or visit.fallback.screen
    return not screened and visit.form.get("DialCallStatus") == "completed"


def _choose_caller_id(form: Mapping[str, str], fallback: Fallback) -> str:
    """Twilio accepts only the caller's number or one of the account's (Twilio docs: TwiML Dial, callerId)."""
    caller = read_caller(form.get("From", ""))
    if fallback.caller_id == "caller" and caller is not None and can_exist(caller):
        return caller
    return read_caller(form.get("To", "")) or fallback.number


def _serve(step: Step, answer: Callable[[Visit], Reply], keyring: Keyring, prefix: str, go_on: GoOn | None) -> Endpoint:
    # Made at start, so that it cannot fail for the same reason as the answer that it replaces.
    last_resort = answer(Visit({}, prefix)).document

    async def serve(request: Request) -> Response:
        try:
            body = await _read_body(request)
            visit = _read_visit(request, body, keyring, prefix)
            if go_on is not None and visit.fallback is not None:
                document = await go_on(request, body)
                if document is not None:
                    return Response(document, media_type="text/xml")
            reply = answer(visit)
            _report(CHECK if visit.sealed is None and CHECK in request.query_params else step, visit, reply)
            document = reply.document
        except Exception as error:  # noqa: BLE001 - whatever fails, the caller hears the last resort
            emit("request.failed", exception=error, route=f"/fallback/{step}", method=request.method, step=step)
            document = last_resort
        return Response(document, media_type="text/xml")

    return serve


def _read_visit(request: Request, body: bytes, keyring: Keyring, prefix: str) -> Visit:
    form = _read_fields(request.scope["query_string"] if request.method == "GET" else body)
    sealed = request.query_params.get("t")
    try:
        return Visit(form, prefix, sealed, open_fallback(keyring, sealed) if sealed else None)
    except OpenError:
        return Visit(form, prefix, sealed)


async def _read_body(request: Request) -> bytes:
    """Empty for a body that cannot be Twilio's: what matters most is in the address."""
    try:
        return b"" if request.method == "GET" else await read_body(request, _MAX_BODY)
    except (TooLargeError, CutOffError):
        return b""


def _read_fields(form: bytes) -> dict[str, str]:
    try:
        return read_text(read_form(form))
    except FormError:
        return {}


def _report(step: str, visit: Visit, reply: Reply) -> None:
    """Log only values of the right form, because anyone may send such a request."""
    sealed = "opened" if visit.fallback else "unreadable" if visit.sealed else "missing"
    metrics.fallback_served(step, sealed)
    error_code = visit.form.get("ErrorCode", "")
    emit(
        "fallback.served",
        step=step,
        answer=reply.answer,
        sealed=sealed,
        error_code=int(error_code) if re.fullmatch(r"[0-9]{5}", error_code) else None,
        call_sid=_find(_CALL_SID, visit.form.get("CallSid", "")),
        recording_sid=_find(_RECORDING_SID, visit.form.get("RecordingUrl", "")),
        agency_id=visit.fallback.agency_id if visit.fallback else None,
        client_id=visit.fallback.client_id if visit.fallback else None,
    )


def _find(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return found[0] if found else None
