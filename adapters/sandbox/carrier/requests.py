"""Requests as Twilio makes them: form or query parameters, signature, 15 seconds, redirects, 64 kB.

Signed by Twilio's own library, so that the router's check is judged by somebody else's code.
Sources: Twilio docs: Webhooks security, Webhooks connection overrides, TwiML (requests to your application).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

import httpx
from twilio.request_validator import RequestValidator

from adapters.sandbox.api import new_uuid
from adapters.sandbox.carrier.addresses import resolve_url
from adapters.sandbox.carrier.document import MAX_BYTES
from adapters.sandbox.carrier.script import Quirks
from crypto.secret import Secret

LIMIT = 15.0  # seconds of real time until an answer must be there in full
MAX_REDIRECTS = 10
_STANDARD_PORT = {"http": 80, "https": 443}
_TURNS_TO_GET = frozenset({301, 302, 303})


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. If it cannot be used, `error` is Twilio's code and `detail` says why. `ms` is real time."""

    url: str
    status: int | None = None
    content_type: str = ""
    body: bytes = b""
    ms: float = 0
    error: int | None = None
    detail: str = ""


class Requests:
    """Sends one account's signed requests. Keeps the token sealed in a Secret; the client is the caller's to close."""

    def __init__(self, client: httpx.AsyncClient, auth_token: Secret, quirks: Quirks) -> None:
        self._client = client
        self._auth_token = auth_token
        self._quirks = quirks

    async def send(self, method: str, url: str, parameters: Mapping[str, str]) -> list[Reply]:
        """One reply for each copy of the request, in the order in which the copies were sent. Never raises."""
        copies = range(self._quirks.copies)
        if not self._quirks.copies_at_once:
            return [await self._send_once(method, url, parameters) for _ in copies]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._send_once(method, url, parameters)) for _ in copies]
        return [task.result() for task in tasks]

    async def _send_once(self, method: str, url: str, parameters: Mapping[str, str]) -> Reply:
        started = time.monotonic()

        def failed(error: int, detail: str) -> Reply:
            return Reply(url, ms=_ms_since(started), error=error, detail=detail)

        try:
            async with asyncio.timeout(LIMIT):
                return await self._follow(method, url, parameters, started)
        except TimeoutError:
            return failed(11205, f"no answer within {LIMIT:g} s")
        except httpx.ConnectTimeout:
            return failed(11201, "the connection timed out")
        except httpx.ConnectError:
            return failed(11202, "no connection could be made")
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, ValueError) as error:
            return failed(11210, f"the address cannot be requested: {error}")
        except httpx.HTTPError as error:
            return failed(11200, f"the answer broke off: {type(error).__name__}")

    async def _follow(self, method: str, url: str, parameters: Mapping[str, str], started: float) -> Reply:
        for _ in range(MAX_REDIRECTS + 1):
            request = self._build(method, url, parameters)
            response = await self._client.send(request, stream=True, follow_redirects=False)
            try:
                location = response.headers.get("location")
                if not (response.is_redirect and location):
                    return await _read(response, url, started)
            finally:
                await response.aclose()
            try:
                url = resolve_url(url, location)
            except ValueError as error:
                return Reply(url, ms=_ms_since(started), error=11216, detail=f"the redirect is invalid: {error}")
            method = "GET" if response.status_code in _TURNS_TO_GET else method
        return Reply(url, ms=_ms_since(started), error=11215, detail=f"more than {MAX_REDIRECTS} redirects")

    def _build(self, method: str, url: str, parameters: Mapping[str, str]) -> httpx.Request:
        query = urlencode(parameters) if method == "GET" else ""
        target = httpx.URL(url.partition("#")[0] + (("&" if "?" in url else "?") + query if query else ""))
        signed = signed_url(target, standard_port=self._quirks.signs_standard_port)
        form = {} if method == "GET" else dict(parameters)
        headers = {
            "User-Agent": "TwilioProxy/1.1",
            "Accept": "*/*",
            **self._sign(signed, form),
            "I-Twilio-Idempotency-Token": new_uuid(),
            "X-Home-Region": "us1",
        }
        return self._client.build_request(method, target, data=form or None, headers=headers, timeout=LIMIT)

    def _sign(self, url: str, form: Mapping[str, str]) -> dict[str, str]:
        shared = self._quirks.shared_key
        if shared is None:
            return {
                "X-Twilio-Signature": RequestValidator(self._auth_token.reveal()).compute_signature(url, dict(form))
            }
        return {
            "X-Twilio-Signature": RequestValidator(shared.secret).compute_signature(url, dict(form), shared.algorithm),
            "X-Twilio-Webhooks-Signature-Settings": f"key={shared.id},algorithm={shared.algorithm}",
        }


def signed_url(url: httpx.URL, *, standard_port: bool) -> str:
    """The URL as it goes into the signature: as requested, and with the scheme's own port written out on demand."""
    text = str(url)
    if not standard_port or url.port is not None:
        return text
    host = url.netloc.decode()
    return text.replace(host, f"{host}:{_STANDARD_PORT[url.scheme]}", 1)


async def _read(response: httpx.Response, url: str, started: float) -> Reply:
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > MAX_BYTES:
            break
    content_type = response.headers.get("content-type", "")
    error, detail = _fault_of(response, bytes(body))
    return Reply(url, response.status_code, content_type, bytes(body), _ms_since(started), error, detail)


def _fault_of(response: httpx.Response, body: bytes) -> tuple[int | None, str]:
    if not response.is_success:
        return 11200, f"the answer was HTTP {response.status_code}"
    if not body and response.headers.get("transfer-encoding") == "chunked":
        return 11770, "the answer was chunked and empty"
    return None, ""


def _ms_since(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 1)
