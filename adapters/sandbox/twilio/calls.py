"""Live calls: the updates that they are sent. Source: Twilio docs, Call resource."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from adapters.sandbox.api import Asked, Endpoint, Refusal
from adapters.sandbox.twilio.records import ROOT
from adapters.sandbox.twilio.register import Register


class CallsApi:
    """Calls of an account."""

    def __init__(self, register: Register) -> None:
        self._register = register

    def endpoints(self) -> list[Endpoint]:
        return [Endpoint("POST", f"{ROOT}/{{account}}/Calls/{{sid}}.json", self._update, "check")]

    def _update(self, asked: Asked) -> Response:
        """Accepted and remembered; to act on it is the simulated carrier's business."""
        account = self._register.asked_for(asked)
        form = asked.form()
        if not form.keys() & {"Url", "Twiml", "Status", "TimeLimit"}:
            raise Refusal(400, "Url, Twiml, Status or TimeLimit is missing", 21205)
        sid = asked.parameters["sid"]
        account.calls.setdefault(sid, []).append(form)
        status = form.get("Status", "in-progress")
        return JSONResponse({"sid": sid, "account_sid": account.sid, "status": status, "direction": "inbound"})
