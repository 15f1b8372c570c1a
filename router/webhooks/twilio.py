"""Twilio's webhooks: verify each request, hand it on, and answer in time.

In this order: 413 too large, 400 not a form or a field missing, 403 wrong signature, 503 if the signature cannot be
checked or nothing is known about the call; otherwise 200 with a document that Twilio can execute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from crypto import Keyring
from router import twiml
from router.callers import name_caller, phone_ending, read_caller
from router.calls.callbacks import LegCallbacks
from router.calls.claims import Inbound, UnavailableError
from router.calls.ending import Closer
from router.calls.flow import CallFlow
from router.calls.recorder import Recorder
from router.calls.recovery import Recovery
from router.calls.state import CallState, ForeignCallError, StateError, open_state, require_proof
from router.calls.steps import Step
from router.messages.mailbox import Mailbox
from router.routing.deadline import Deadline
from router.telemetry import emit, metrics, traces
from router.webhooks.timing import timed
from router.webhooks.verify import RefusedError, Verified, Verifier, unproven_for_agency

Handler: TypeAlias = Callable[[Request, Verified, Deadline], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class TwilioWebhooks:
    """The endpoints."""

    verifier: Verifier
    flow: CallFlow
    callbacks: LegCallbacks
    mailbox: Mailbox
    closer: Closer
    recovery: Recovery
    recorder: Recorder
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
            with traces.span("verify"):
                verified = await self.verifier.verify(request)
        except RefusedError as refused:
            return _refuse(request, refused)
        except Exception as error:  # noqa: BLE001  it may be Twilio's: the caller gets the fallback
            emit("request.failed", exception=error, step=_step_of(request))
            return _refuse(request, RefusedError(503, "unverifiable", "the signature cannot be checked now"))
        traces.here().set(account_sid=verified.account_sid, call_sid=verified.call_sid)
        try:
            document = await self._handle(handle, request, verified, deadline)
        except RefusedError as refused:
            return _refuse(request, refused)
        except UnavailableError:
            return _refuse(request, _unavailable("the database does not answer", verified))
        except Exception as error:  # noqa: BLE001  our bug; without a state there is nothing to rescue the call with
            emit("request.failed", exception=error, step=_step_of(request), call_sid=verified.call_sid)
            harmless = _say_nothing(request)
            if harmless is None:
                return _refuse(request, _unavailable("nothing is known of this call", verified))
            document = harmless
        return Response(document, media_type="text/xml")

    async def _handle(self, handle: Handler, request: Request, verified: Verified, deadline: Deadline) -> str:
        """Several agencies may share an account: the token of the call's own may be newer than those remembered."""
        try:
            return await handle(request, verified, deadline)
        except ForeignCallError:
            again = await self.verifier.verify_again(verified)
        try:
            return await handle(request, again, deadline)
        except ForeignCallError:
            raise unproven_for_agency(verified) from None

    async def _receive(self, _: Request, verified: Verified, deadline: Deadline) -> str:
        document = await self.flow.receive(_read_call(verified), deadline)
        if document is None and verified.tokens is not None:
            again = await self.verifier.verify_again(verified)
            document = await self.flow.receive(_read_call(again), deadline)
            if document is None:
                await self.verifier.refuse_number_of_others(again)
        if document is None:
            to = verified.params.get("To")
            emit("number.unknown", account_sid=verified.account_sid, to=to, call_sid=verified.call_sid)
            return twiml.not_in_service()
        return document

    async def _go_on(self, request: Request, verified: Verified, deadline: Deadline) -> str:
        step, state = self._read_state(request, verified)
        params, sealed = verified.params, request.query_params.get("state", "")
        if step is None or state is None:
            return await _in_time(self._recover(request, step, verified), deadline)
        require_proof(verified.agencies, state.route.agency_id)
        if step.kind in ("ai", "owner"):
            return await self.flow.after_leg(state, params, deadline)
        # A call's row comes before its other records, and may still be in another process's spool.
        self.recorder.note(state.record)
        match step.kind:
            case "transfer":
                work = self.callbacks.put_through(state, sealed)
                return await self.recovery.in_time(state, work, deadline)
            case "voicemail":
                work = self.mailbox.finish(state, params, deadline)
                return await self.recovery.in_time(state, work, deadline)
            case "screen":
                work = self.callbacks.screen(state, sealed)
            case "accept":
                work = self.callbacks.accept(state, params, deadline)
            case "stream":
                work = self.callbacks.hear_stream(state, params, deadline)
            case "recording":
                work = self.mailbox.file(state, params, deadline)
            case _:
                work = self.mailbox.transcribe(state, params, deadline)
        return await _in_time(work, deadline)

    def _read_state(self, request: Request, verified: Verified) -> tuple[Step | None, CallState | None]:
        """Which callback this is, and its state: None if that is missing, changed or another call's."""
        try:
            step = Step.parse(request.path_params["step"])
        except ValueError:
            return None, None
        try:
            state = open_state(self.keyring, request.query_params.get("state", ""), request.path_params["call_id"])
        except StateError:
            return step, None
        return step, state if _belongs(state, step, verified) else None

    async def _recover(self, request: Request, step: Step | None, verified: Verified) -> str:
        """The state does not open: the caller gets the voicemail, and an owner's leg is never bridged."""
        _note_rejection(request, "unreadable", 200, verified.params)
        if step is not None and step.is_on_owners_leg:
            return twiml.hang_up()
        if step is not None and step.kind in ("ai", "owner"):
            return await self.recovery.recover(
                verified.account_sid, verified.call_sid, verified.params, verified.agencies
            )
        return twiml.nothing()

    async def _close(self, _: Request, verified: Verified, deadline: Deadline) -> str:
        async with asyncio.timeout(deadline.left_before_rescue()):
            await self.closer.close(
                verified.account_sid, verified.call_sid, verified.params, deadline, agencies=verified.agencies
            )
        return twiml.nothing()


def _read_call(verified: Verified) -> Inbound:
    params = verified.params
    return Inbound(
        account_sid=verified.account_sid,
        call_sid=verified.call_sid,
        from_number=name_caller(params.get("From")),
        caller=read_caller(params.get("From")),
        to=params.get("To", ""),
        forwarded_from=phone_ending(params.get("ForwardedFrom", ""), params.get("To", "")),
        tokens=verified.tokens,
    )


def _belongs(state: CallState, step: Step, verified: Verified) -> bool:
    """Whether the state belongs to this account, call and step. On the owner's leg, CallSid is that leg's."""
    same_call = step.is_on_owners_leg or state.call_sid == verified.call_sid
    same_leg = state.rung is not None and state.rung.kind == step.rung and state.step.leg == step.leg
    return state.account_sid == verified.account_sid and same_call and same_leg


async def _in_time(work: Awaitable[str], deadline: Deadline) -> str:
    async with asyncio.timeout(deadline.left_before_rescue()):
        return await work


def _say_nothing(request: Request) -> str | None:
    """A harmless answer after our own code failed. None: the caller waits for a document."""
    kind = _step_of(request).partition("-")[0]
    if kind in ("screen", "accept"):
        return twiml.hang_up()
    if kind in ("stream", "recording", "transcription", "status"):
        return twiml.nothing()
    return None


def _unavailable(why: str, verified: Verified) -> RefusedError:
    return RefusedError(503, "unverifiable", f"{why}: use the fallback", verified.params)


def _step_of(request: Request) -> str:
    if "step" in request.path_params:
        return str(request.path_params["step"])[:32]
    return "status" if request.scope["path"].rstrip("/").endswith("/status") else "inbound"


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
