"""Twilio's REST API of 2010-04-01: accounts, numbers and recordings, in the words of `adapters.base.Carrier`.

Every address is built from our setting and checked SIDs, never taken from a request or a reply. One call of a method
is one request. Twilio docs: Usage / API; Phone Numbers / IncomingPhoneNumber resource; Voice / Recordings resource.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final, Literal
from urllib.parse import urlencode

from adapters.base import Account, CarrierNumber, ErrorKind, KeyCheck, ProviderError, RecordingPart
from adapters.http import Auth, Http
from adapters.replies import Reply, find, malformed, read_answer, read_json, refusal, text

_NAME: Final = "twilio"
_NOT_FOUND: Final = 404
_WHOLE, _PART, _OUT_OF_RANGE = 200, 206, 416
_RANGE: Final = re.compile(r"bytes=[0-9, -]+")


class Twilio:
    """A Carrier. Keeps neither accounts nor tokens."""

    def __init__(self, http: Http, base_url: str) -> None:
        self._http = http
        self._base_url = base_url.rstrip("/")

    async def check_account(self, account: Account, limit: float) -> KeyCheck:
        """Raises key_rejected also for an account that is suspended or closed."""
        answer = await self._ask(account, "GET", ".json", limit)
        status = find(answer, "status")
        if status in ("suspended", "closed"):
            raise ProviderError(ErrorKind.KEY_REJECTED, status=200, said=f"the Twilio account is {status}")
        if status != "active":
            raise ProviderError(ErrorKind.MALFORMED_REPLY, status=200)
        return KeyCheck("valid")

    async def find_number(self, account: Account, e164: str, limit: float) -> CarrierNumber | None:
        query = urlencode({"PhoneNumber": e164})
        answer = await self._ask(account, "GET", f"/IncomingPhoneNumbers.json?{query}", limit)
        found = find(answer, "incoming_phone_numbers")
        if not isinstance(found, list):
            raise ProviderError(ErrorKind.MALFORMED_REPLY, status=200)
        # Twilio's filter also finds numbers that merely contain what is asked for.
        return next((_read_number(item) for item in found if find(item, "phone_number") == e164), None)

    async def configure_number(
        self, account: Account, number_sid: str, *, voice_url: str, fallback_url: str, status_url: str, limit: float
    ) -> CarrierNumber:
        _check_sid("PN", number_sid)
        form = {
            "VoiceUrl": voice_url,
            "VoiceMethod": "POST",
            "VoiceFallbackUrl": fallback_url,
            "VoiceFallbackMethod": "POST",
            "StatusCallback": status_url,
            "StatusCallbackMethod": "POST",
            # Either of these, once set, makes Twilio ignore VoiceUrl.
            "TrunkSid": "",
            "VoiceApplicationSid": "",
        }
        return _read_number(await self._ask(account, "POST", f"/IncomingPhoneNumbers/{number_sid}.json", limit, form))

    async def limit_call(self, account: Account, call_sid: str, seconds: int, limit: float) -> None:
        """Twilio docs: Voice API, Update a Call ("TimeLimit")."""
        _check_sid("CA", call_sid)
        await self._ask(account, "POST", f"/Calls/{call_sid}.json", limit, {"TimeLimit": str(seconds)})

    async def stream_recording(
        self, account: Account, recording_sid: str, byte_range: str | None, limit: float
    ) -> AsyncIterator[RecordingPart]:
        """`limit` holds for the head and again for each piece. A Range that is none of bytes is ignored (RFC 9110, 14.2).

        An unsatisfiable range yields a head of status 416 and no data. Close the iterator if not read to its end.
        """
        _check_sid("RE", recording_sid)
        url = self._url(account, f"/Recordings/{recording_sid}.mp3")
        headers = {"range": byte_range} if byte_range and _RANGE.fullmatch(byte_range) else {}
        auth = Auth.basic(account.sid, account.auth_token)
        async with self._http.stream(_NAME, "GET", url, auth=auth, headers=headers, limit=limit) as download:
            head = Reply(download.status, download.headers, b"")
            yield _read_head(head)
            if head.ok:
                async for piece in download.pieces:
                    yield RecordingPart(piece, head.status)

    async def delete_recording(self, account: Account, recording_sid: str, limit: float) -> None:
        _check_sid("RE", recording_sid)
        reply = await self._send(account, "DELETE", f"/Recordings/{recording_sid}.json", limit)
        if not reply.ok and reply.status != _NOT_FOUND:
            raise _refusal(reply, account)

    async def _ask(
        self,
        account: Account,
        method: Literal["GET", "POST"],
        path: str,
        limit: float,
        form: dict[str, str] | None = None,
    ) -> Any:
        """The JSON that the account's resource answers with."""
        reply = await self._send(account, method, path, limit, form)
        if not reply.ok:
            raise _refusal(reply, account)
        return read_answer(reply, ())

    async def _send(
        self, account: Account, method: str, path: str, limit: float, form: dict[str, str] | None = None
    ) -> Reply:
        auth = Auth.basic(account.sid, account.auth_token)
        return await self._http.send(_NAME, method, self._url(account, path), auth=auth, form=form, limit=limit)

    def _url(self, account: Account, path: str) -> str:
        _check_sid("AC", account.sid)
        return f"{self._base_url}/2010-04-01/Accounts/{account.sid}{path}"


def _check_sid(prefix: Literal["AC", "CA", "PN", "RE"], sid: str) -> None:
    """SIDs go into addresses: nothing but the documented form may. Raises bad_request."""
    if not re.fullmatch(f"{prefix}[0-9a-fA-F]{{32}}", sid):
        raise ProviderError(
            ErrorKind.BAD_REQUEST, said=f"a Twilio SID of this kind is {prefix} and 32 hexadecimal digits"
        )


def _refusal(reply: Reply, account: Account) -> ProviderError:
    """With Twilio's error code, which its documentation lists."""
    error = refusal(reply, (), account.auth_token)
    with suppress(ValueError):  # an error page of a proxy is no JSON: its status says enough
        code = find(read_json(reply.body), "code")
        if isinstance(code, int):
            error.said = f"{error.said} (Twilio error {code})".lstrip()
    return error


def _read_number(item: Any) -> CarrierNumber:
    sid, e164 = text(find(item, "sid")), text(find(item, "phone_number"))
    if sid is None or e164 is None:
        raise ProviderError(ErrorKind.MALFORMED_REPLY, status=200)
    return CarrierNumber(
        sid=sid,
        e164=e164,
        voice_url=text(find(item, "voice_url")) or "",
        fallback_url=text(find(item, "voice_fallback_url")) or "",
        status_url=text(find(item, "status_callback")) or "",
        trunk_sid=text(find(item, "trunk_sid")),
        application_sid=text(find(item, "voice_application_sid")),
    )


def _read_head(reply: Reply) -> RecordingPart:
    """Raises ProviderError for whatever is no audio, since the body goes to a person's browser."""
    content_range = reply.headers.get("content-range")
    if reply.status == _OUT_OF_RANGE:
        return RecordingPart(status=reply.status, content_range=content_range)
    if not reply.ok:
        raise refusal(reply, ())
    content_type = reply.headers.get("content-type", "")
    if reply.status not in (_WHOLE, _PART) or not content_type.startswith("audio/"):
        raise malformed(reply)
    length = reply.headers.get("content-length", "")
    return RecordingPart(
        status=reply.status,
        content_type=content_type,
        content_length=int(length) if length.isdecimal() else None,
        content_range=content_range,
    )
