"""Twilio's webhooks: hand on what was verified, and answer in time whatever happens.

The order of answers: 413 too large, 400 no form or a field missing, 403 wrong signature, 503 cannot be checked or
nothing is known; from there on always 200 with a document that Twilio can execute.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from crypto import Keyring
from router import twiml
from router.calls.claims import Claims, Inbound, UnavailableError
from router.calls.ending import Closer
from router.calls.flow import CallFlow
from router.calls.state import CallState, StateError, open_state
from router.messages.mailbox import Mailbox
from router.routing.dispatch import Deadline
from router.telemetry import emit, metrics
from router.webhooks.callers import phone_ending, read_caller
from router.webhooks.timing import timed
from router.webhooks.verify import RefusedError, Verified, Verifier

# The callbacks that there are, and the rung whose document asks for each.
_RUNGS: Final = {
    "ai": "ai",
    "stream": "ai",
    "owner": "owner",
    "screen": "owner",
    "accept": "owner",
    "transfer": "owner",
    "voicemail": "voicemail",
    "recording": "voicemail",
    "transcription": "voicemail",
}
_STEP: Final = re.compile(rf"({'|'.join(_RUNGS)})-([0-9]{{1,4}})")
_MARGIN_SECONDS: Final = 0.1

Handler = Callable[[Request, Verified], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class TwilioWebhooks:
    """The endpoints, and what they hand on to."""

    verifier: Verifier
    flow: CallFlow
    claims: Claims
    mailbox: Mailbox
    closer: Closer
    keyring: Keyring
    answer_deadline: float

    def routes(self) -> list[Route]:
        return [
            Route("/webhooks/twilio/voice", self._endpoint("voice", self._receive), methods=["POST"]),
            Route("/webhooks/twilio/status", self._endpoint("status", self._close), methods=["POST"]),
            Route("/webhooks/twilio/calls/{call_id}/{step}", self._endpoint("calls", self._go_on), methods=["POST"]),
        ]

    def _endpoint(self, name: str, handle: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            with metrics.call_in_flight():
                return await self._answer(request, handle)

        return timed(f"/webhooks/twilio/{name}", answer)

    async def _answer(self, request: Request, handle: Handler) -> Response:
        deadline = Deadline(self.answer_deadline)
        try:
            verified = await self.verifier.verify(request, deadline)
        except RefusedError as refused:
            return _refuse(request, refused)
        except Exception as error:  # noqa: BLE001  it may well be Twilio's: the caller goes on to the fallback
            emit("request.failed", exception=error, step=_step_of(request))
            return _refuse(request, RefusedError(503, "unverifiable", "the signature cannot be checked now"))
        try:
            async with asyncio.timeout(deadline.left() - _MARGIN_SECONDS):
                document = await handle(request, verified)
        except RefusedError as refused:
            return _refuse(request, refused)
        except UnavailableError:
            return _refuse(request, _unavailable("the database is away", verified))
        except Exception as error:  # noqa: BLE001  the caller goes on to a person or a recorder; we see the bug
            emit("request.failed", exception=error, step=_step_of(request), call_sid=verified.call_sid)
            rescued = self._rescue(request, verified)
            if rescued is None:
                return _refuse(request, _unavailable("nothing is known of this call", verified))
            document = rescued
        return Response(document, media_type="text/xml")

    def _rescue(self, request: Request, verified: Verified) -> str | None:
        """What a caller hears when our own code failed. None: nothing is known, so the carrier's fallback may."""
        kind = _step_of(request).partition("-")[0]
        if kind in ("screen", "accept"):
            return twiml.hang_up()
        if kind in ("stream", "recording", "transcription", "status"):
            return twiml.nothing()
        if verified.progress.state is None:
            return None
        return self.flow.rescue(verified.progress.state)

    async def _receive(self, _: Request, verified: Verified) -> str:
        document = await self._place(verified)
        if document is None and verified.tokens is not None:
            document = await self._place(await self.verifier.verify_again(verified))
        if document is None:
            to = verified.params.get("To")
            emit("number.unknown", account_sid=verified.account_sid, to=to, call_sid=verified.call_sid)
            return twiml.not_in_service()
        return document

    async def _place(self, verified: Verified) -> str | None:
        params = verified.params
        call = Inbound(
            account_sid=verified.account_sid,
            call_sid=verified.call_sid,
            from_number=params.get("From", ""),
            caller=read_caller(params.get("From", "")),
            to=params.get("To", ""),
            forwarded_from=phone_ending(params.get("ForwardedFrom", "")),
            tokens=verified.tokens,
        )
        return await self.flow.receive(call, verified.deadline, verified.progress)

    async def _go_on(self, request: Request, verified: Verified) -> str:
        kind, state = self._read_state(request, verified)
        if state is None:
            return await self._recover(request, kind, verified)
        verified.progress.state = state
        self.claims.note_call(state)
        params, deadline = verified.params, verified.deadline
        match kind:
            case "screen":
                document = self.flow.screen(state, request.query_params["state"])
            case "accept":
                document = await self.flow.accept(state, params, deadline)
            case "stream":
                document = await self.flow.hear_stream(state, params, deadline)
            case "transfer":
                document = self.flow.put_through(state, request.query_params["state"])
            case "voicemail":
                document = await self.mailbox.finish(state, params, deadline)
            case "recording":
                document = await self.mailbox.file(state, params, deadline)
            case "transcription":
                document = await self.mailbox.write_down(state, params, deadline)
            case _:
                document = await self.flow.after_leg(state, params, deadline, verified.progress)
        return document

    def _read_state(self, request: Request, verified: Verified) -> tuple[str, CallState | None]:
        """Which callback this is, and the state it carries; None if that is missing, changed or of something else."""
        step = _STEP.fullmatch(request.path_params["step"])
        if step is None:
            return "unknown", None
        try:
            state = open_state(self.keyring, request.query_params.get("state", ""), request.path_params["call_id"])
        except StateError:
            return step[1], None
        return step[1], state if _belongs(state, step[1], int(step[2]), verified) else None

    async def _recover(self, request: Request, kind: str, verified: Verified) -> str:
        """A callback whose state does not open: the caller gets the voicemail, an owner's leg is never bridged."""
        _note_rejection(request, "unreadable", 200, verified.params)
        if kind in ("screen", "accept"):
            return twiml.hang_up()
        if kind in ("ai", "owner"):
            return await self.flow.recover(verified.account_sid, verified.call_sid, verified.params)
        return twiml.nothing()

    async def _close(self, _: Request, verified: Verified) -> str:
        await self.closer.close(verified.account_sid, verified.call_sid, verified.params, verified.deadline)
        return twiml.nothing()


def _belongs(state: CallState, kind: str, leg: int, verified: Verified) -> bool:
    """Whether a state is of this account, call and step. On the owner's leg, CallSid is that leg's own."""
    rung = state.rung.step if state.rung else None
    same_call = kind in ("screen", "accept") or state.call_sid == verified.call_sid
    return state.account_sid == verified.account_sid and same_call and rung == _RUNGS[kind] and state.leg == leg


def _unavailable(why: str, verified: Verified) -> RefusedError:
    return RefusedError(503, "unverifiable", f"{why}: use the fallback", verified.params)


def _step_of(request: Request) -> str:
    if "step" in request.path_params:
        return str(request.path_params["step"])[:32]
    return "status" if request.url.path.endswith("/status") else "inbound"


def _refuse(request: Request, refused: RefusedError) -> Response:
    _note_rejection(request, refused.reason, refused.status, refused.params)
    return Response(f"{refused}\n", refused.status, media_type="text/plain")


def _note_rejection(request: Request, reason: str, status: int, params: Mapping[str, str]) -> None:
    metrics.webhook_rejected(reason)
    emit(
        "webhook.rejected",
        source="twilio",
        reason=reason,
        status=status,
        account_sid=params.get("AccountSid", "")[:64] or None,
        call_sid=params.get("CallSid", "")[:64] or None,
        step=_step_of(request),
    )
