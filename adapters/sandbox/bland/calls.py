"""The part of the stand-in for Bland that takes calls: sessions, who answers its numbers and its SIP edge, the account.

Sources: Bland docs (Account; Create Inbound Session; SIP Integration; the error list of Send Call). A leg that arrives
at the SIP edge as the SIP page asks is taken if its number is attached; the way from Twilio's Dial to it is not
documented, nor is the address to which calls are redirected.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

from starlette.responses import Response

from adapters.phone import is_e164
from adapters.sandbox import legs
from adapters.sandbox.api import Asked, Json, Part, Refusal, endpoint, iso, new_uuid
from adapters.sandbox.audio import serve, silent_mp3
from adapters.sandbox.bland.org import BlandOrg, Session, refuse_unknown
from adapters.sandbox.legs import LegVerdict, SipAddress
from adapters.sandbox.talks import DEMO

REDIRECT_HOST = "server.aws.dc8.bland.ai"
SIP_HOSTS = tuple(f"{region}.sip.bland.ai" for region in ("us2", "ca2", "asia2", "eu2"))
SESSION_HEADER = "x-bland-session-id"
SESSION_LIFETIME = timedelta(hours=1)
NO_LINE = "Concurrency limit reached."
_SIP_PORT = 5061
_RECORDED_SECONDS = 20.0
_SESSION_FIELDS = frozenset({"phone_number", "request_data", "voice"})


class Calls(Part[BlandOrg]):
    """The account, sessions, and the far end of legs."""

    @endpoint("GET", "/v1/me", "check")
    def _me(self, org: BlandOrg, _asked: Asked) -> Json:
        billing = {"current_balance": org.balance, "refill_to": None}
        return {"status": "active", "billing": billing, "total_calls": len(org.calls)}

    @endpoint("POST", "/v1/inbound/session", "handoff")
    def _create_session(self, org: BlandOrg, asked: Asked) -> Json:
        body = asked.json()
        refuse_unknown(body, _SESSION_FIELDS)
        e164 = body.get("phone_number")
        if not is_e164(e164):
            raise Refusal(400, "phone_number must be in E.164 format")
        if not isinstance(body.get("request_data", {}), dict):
            raise Refusal(400, "request_data must be an object")
        if e164 not in org.numbers:
            raise Refusal(404)
        if not org.has_credit:
            raise Refusal(402)
        if not org.has_free_line:
            raise Refusal(429, NO_LINE)
        token = new_uuid()
        session = Session(e164, body.get("request_data", {}), self._clock() + SESSION_LIFETIME)
        org.sessions[token] = session
        return {"token": token, "expires_at": iso(session.expires_at)}

    @endpoint("GET", "/v1/calls/{id}/recording")
    def _play(self, org: BlandOrg, asked: Asked) -> Response | Json:
        self._check_known(org, asked)
        if "audio/" not in asked.headers.get("accept", ""):
            return {"status": "success", "url": "https://api.twilio.com/2010-04-01/Accounts/AC/Recordings/RE.mp3"}
        return serve(silent_mp3(_RECORDED_SECONDS), "audio/mpeg", asked.headers.get("range"))

    @endpoint("DELETE", "/v1/calls/{id}")
    def _delete(self, org: BlandOrg, asked: Asked) -> None:
        if not org.may_delete_calls:
            raise Refusal(403, "FORBIDDEN: the REDACT_CALLS entitlement is missing")
        self._check_known(org, asked)
        org.forgotten.add(asked.id)

    def _check_known(self, org: BlandOrg, asked: Asked) -> None:
        is_known = asked.id in org.calls or asked.id.startswith(DEMO)
        if not is_known or asked.id in org.forgotten:
            raise Refusal(404, "CALL_NOT_FOUND")

    def answer_sip(self, address: SipAddress) -> LegVerdict:
        """Bland docs, SIP Integration: TLS on port 5061 with SRTP, a number of Bland's, and the session's token."""
        if address.port != _SIP_PORT or address.parameters.get("transport") != "tls":
            return legs.rejected("bland", legs.UNAVAILABLE, "only TLS on port 5061 is served")
        if address.parameters.get("secure") != "true":
            return legs.rejected("bland", legs.NOT_ACCEPTABLE, "plain RTP is refused; secure=true is missing")
        org = self._owner_of(address.user)
        if org is None:
            return legs.rejected("bland", legs.NOT_FOUND, f"no such number: {address.user}")
        session = org.sessions.get(address.headers.get(SESSION_HEADER, ""))
        trouble = self._trouble_of(org, address.user, session)
        if session is None or trouble:
            return legs.rejected("bland", legs.FORBIDDEN, trouble)
        return self._pick_up(org, address.user, session.request_data)

    def _trouble_of(self, org: BlandOrg, e164: str, session: Session | None) -> str:
        """Why a leg to one of the org's numbers is refused; empty if it is not."""
        if not org.sip_enabled:
            return "SIP_NOT_ENABLED"
        if e164 not in org.attached:
            return f"{e164} is not attached for inbound SIP"
        if session is None or session.e164 != e164:
            return f"no session of this number in {SESSION_HEADER}"
        return "the session has expired" if self._clock() > session.expires_at else ""

    def answer_redirect(self, url: str, parameters: Mapping[str, str]) -> LegVerdict:
        """A call that was redirected to an import's address; its `sip_code` is the HTTP status."""
        parts, to = urlsplit(url), parameters.get("To", "")
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        if parts.scheme != "https" or parts.path != "/incoming":
            return legs.rejected("bland", legs.NOT_FOUND, f"Cannot POST {parts.path}")
        encrypted_key = query.pop("encrypted_key", "")
        org = next((org for org in self._customers if encrypted_key in org.accounts), None)
        if org is None:
            return legs.rejected("bland", legs.UNAUTHORIZED, "the encrypted_key is missing or unknown")
        if org.uploaded.get(to) != org.accounts[encrypted_key]:
            return legs.rejected("bland", legs.NOT_FOUND, f"{to} is not imported from that account")
        if not org.has_credit:
            return legs.rejected("bland", legs.UNPAID, "Insufficient balance.")
        return self._pick_up(org, to, query)

    def answer_number(self, e164: str, _: Mapping[str, str]) -> LegVerdict:
        org = self._owner_of(e164)
        if org is None:
            return legs.rejected(None, legs.NOT_FOUND, f"the sandbox has no number {e164}")
        return self._pick_up(org, e164, {})

    def _owner_of(self, e164: str) -> BlandOrg | None:
        return next((org for org in self._customers if e164 in org.numbers), None)

    def _pick_up(self, org: BlandOrg, e164: str, request_data: Json) -> LegVerdict:
        call_id = new_uuid()
        org.calls[call_id] = {"call_id": call_id, "to": e164, "inbound": True, "request_data": request_data}
        return legs.answered("bland", call_id)
