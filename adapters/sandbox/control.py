"""The sandbox's own API, for the demo, the simulated carrier and tests: faults, requests, recordings, legs."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from adapters.sandbox.api import Asked, Json, iso
from adapters.sandbox.faults import FaultError
from adapters.sandbox.state import Sandbox

_KINDS = ("stream", "sip", "number", "redirect")
_LONGEST_RECORDING = 3600


class _ControlError(Exception):
    """An invalid request; the text says why."""


def control_routes(sandbox: Sandbox) -> list[BaseRoute]:
    """Served to the loopback interface alone, because these operations decide who answers."""
    control = _Control(sandbox)
    return [
        Route("/faults", _guarded(control.set_faults), methods=["PUT"]),
        Route("/faults", _guarded(control.clear_faults), methods=["DELETE"]),
        Route("/requests", _guarded(control.list_requests), methods=["GET"]),
        Route("/state", _guarded(control.show_state), methods=["GET"]),
        Route("/numbers/{e164}", _guarded(control.find_number), methods=["GET"]),
        Route("/recordings", _guarded(control.file_recording), methods=["POST"]),
        Route("/calls", _guarded(control.keep_call), methods=["PUT"]),
        Route("/legs", _guarded(control.answer_leg), methods=["POST"]),
        Route("/redirected", control.note_stranger, methods=["GET", "POST", "PATCH", "DELETE"]),
    ]


class _Control:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def set_faults(self, request: Request) -> Response:
        for provider, fault in (await _read(request)).items():
            self._sandbox.faults.set(provider, fault)
        return JSONResponse({"faults": _faults(self._sandbox)})

    async def clear_faults(self, _: Request) -> Response:
        self._sandbox.faults.clear()
        return JSONResponse({"faults": []})

    async def list_requests(self, request: Request) -> Response:
        provider = request.query_params.get("provider")
        seen = [_show(asked) for asked in self._sandbox.requests if provider in (None, asked.provider)]
        return JSONResponse({"items": seen})

    async def show_state(self, _: Request) -> Response:
        return JSONResponse(_summary(self._sandbox))

    async def find_number(self, request: Request) -> Response:
        """Whose a number is: a carrier account's, or a voice provider's own."""
        e164 = request.path_params["e164"]
        for account in self._sandbox.twilio.accounts.values():
            if account.number_called(e164) is not None:
                return JSONResponse({"account_sid": account.sid, "auth_token": account.auth_token})
        for api in self._sandbox.apis:
            if any(e164 in getattr(org, "numbers", ()) for org in api.orgs):
                return JSONResponse({"provider": api.name})
        return JSONResponse({})

    async def file_recording(self, request: Request) -> Response:
        body = await _read(request, "account_sid", "call_sid", "recording_sid", "seconds")
        account_sid, seconds = body["account_sid"], body["seconds"]
        if account_sid not in self._sandbox.twilio.accounts:
            raise _ControlError(f"no such account: {account_sid}")
        if not isinstance(seconds, int | float) or not 0 <= seconds <= _LONGEST_RECORDING:
            raise _ControlError(f"seconds must be a number from 0 to {_LONGEST_RECORDING}, not {seconds!r}")
        self._sandbox.twilio.add_recording(account_sid, body["call_sid"], body["recording_sid"], seconds)
        return JSONResponse({"recording_sid": body["recording_sid"]}, 201)

    async def keep_call(self, request: Request) -> Response:
        """The state of a call of the simulated carrier; the answer holds the updates that it was sent meanwhile.

        A call on an account that the sandbox does not know is not kept.
        """
        body = await _read(request, "account_sid", "call_sid", "caller", "to", "status", "seconds")
        twilio = self._sandbox.twilio
        if body["account_sid"] not in twilio.accounts:
            return JSONResponse({"updates": []})
        call = twilio.keep_call(
            body["account_sid"], body["call_sid"], body["caller"], body["to"], body.get("forwarded_from")
        )
        call.stands(body["status"], body["seconds"], body.get("talked"))
        return JSONResponse({"updates": call.take_updates()})

    async def answer_leg(self, request: Request) -> Response:
        body = await _read(request, "kind", "address")
        kind, address, parameters = body["kind"], body["address"], body.get("parameters") or {}
        if kind not in _KINDS:
            raise _ControlError(f"no such kind of leg: {kind!r}; there are {', '.join(_KINDS)}")
        if not isinstance(address, str) or not isinstance(parameters, dict):
            raise _ControlError("address must be a string and parameters an object")
        return JSONResponse(asdict(self._sandbox.answer_leg(kind, address, parameters)))

    async def note_stranger(self, request: Request) -> Response:
        """Where the redirect fault leads: a client that follows it has sent its key to a stranger."""
        now, headers, raw = self._sandbox.clock(), dict(request.headers), await request.body()
        asked = Asked(now, "redirected", "other", request.method, "/redirected", {}, {}, headers, raw)
        self._sandbox.requests.append(asked)
        return JSONResponse({}, 201)


def _guarded(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def guarded(request: Request) -> Response:
        if request.client is None or not ipaddress.ip_address(request.client.host).is_loopback:
            return JSONResponse({"error": "the sandbox is controlled from its own machine only"}, 403)
        try:
            return await handler(request)
        except (FaultError, _ControlError) as problem:
            return JSONResponse({"error": str(problem)}, 400)

    return guarded


async def _read(request: Request, *needed: str) -> Json:
    try:
        body = await request.json()
    except ValueError:
        raise _ControlError("the body is not JSON") from None
    if not isinstance(body, dict):
        raise _ControlError("the body is not a JSON object")
    if missing := [name for name in needed if name not in body]:
        raise _ControlError(f"{missing[0]} is missing")
    return body


def _faults(sandbox: Sandbox) -> list[dict[str, Any]]:
    return [{"provider": provider, **asdict(fault)} for provider, fault in sandbox.faults]


def _show(asked: Asked) -> dict[str, Any]:
    names = ("provider", "operation", "method", "path", "query", "headers", "body")
    return {"at": iso(asked.at), **{name: getattr(asked, name) for name in names}}


def _summary(sandbox: Sandbox) -> dict[str, Any]:
    return {
        "faults": _faults(sandbox),
        "requests": len(sandbox.requests),
        **{api.name: api.summarize() for api in sandbox.apis},
    }
