"""What every voice provider's adapter makes of every way in which a provider can fail."""

from __future__ import annotations

import gzip
from collections.abc import Awaitable
from typing import Any

from adapters.base import ErrorKind, InboundCall, ProviderError, Target
from adapters.provider import Provider
from crypto.secret import Secret
from tests.adapters.canary import CANARY, assert_clean
from tests.adapters.loopback import Loopback, Script, echo_key, hang, raw, reply

KEY = Secret(CANARY)
CALL = InboundCall(
    call_id="call_123",
    call_sid="CA" + "0" * 32,
    agency_id="agency_1",
    client_id="client_1",
    client_name="Ångström & Söhne <Dental>",
    caller="+15550001111",
    to="+15559990000",
    max_seconds=900,
)
_HEAD = b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\n"

FAULTS: dict[str, tuple[Script, ErrorKind]] = {
    "401": (reply(401, {"message": "no"}), ErrorKind.KEY_REJECTED),
    "402": (reply(402, {"message": "pay"}), ErrorKind.OUT_OF_CREDIT),
    "403": (reply(403, {"message": "scope"}), ErrorKind.KEY_REJECTED),
    "404": (reply(404, {"message": "gone"}), ErrorKind.BAD_REQUEST),
    "408": (reply(408), ErrorKind.TIMEOUT),
    "422": (reply(422, {"message": "what"}), ErrorKind.BAD_REQUEST),
    "429": (reply(429, {"message": "slow down"}, Retry_After="3"), ErrorKind.RATE_LIMITED),
    "429 for concurrency": (reply(429, {"message": "Concurrency limit reached"}), ErrorKind.AT_CAPACITY),
    "400 for concurrency": (reply(400, {"message": "Over Concurrency Limit"}), ErrorKind.AT_CAPACITY),
    "500": (reply(500, b"oops"), ErrorKind.PROVIDER_ERROR),
    "503 with a page": (reply(503, b"<html>", Content_Type="text/html"), ErrorKind.PROVIDER_ERROR),
    "redirect": (reply(302, Location="/"), ErrorKind.MALFORMED_REPLY),
    "empty": (reply(201), ErrorKind.MALFORMED_REPLY),
    "no content": (raw(b"HTTP/1.1 204 No Content\r\n\r\n"), ErrorKind.MALFORMED_REPLY),
    "a page with 200": (reply(200, b"<html>", Content_Type="text/html"), ErrorKind.MALFORMED_REPLY),
    "null": (reply(201, b"null"), ErrorKind.MALFORMED_REPLY),
    "a list": (reply(201, ["x"]), ErrorKind.MALFORMED_REPLY),
    "a text": (reply(201, "x"), ErrorKind.MALFORMED_REPLY),
    "an empty object": (reply(201, {}), ErrorKind.MALFORMED_REPLY),
    "half an object": (reply(201, b'{"call_id": "ab'), ErrorKind.MALFORMED_REPLY),
    "a huge body": (reply(201, b'{"x":"' + b"x" * 2_000_000 + b'"}'), ErrorKind.MALFORMED_REPLY),
    "a bomb": (reply(201, gzip.compress(b" " * 9_000_000 + b"{}"), Content_Encoding="gzip"), ErrorKind.MALFORMED_REPLY),
    "endless depth": (reply(201, b"[" * 200_000), ErrorKind.MALFORMED_REPLY),
    "no HTTP": (raw(b"hello\r\n\r\n"), ErrorKind.MALFORMED_REPLY),
    "reset": (raw(then="reset"), ErrorKind.UNREACHABLE),
    "broken off": (raw(_HEAD + b"content-length: 99\r\n\r\n{"), ErrorKind.UNREACHABLE),
    "silent": (hang(), ErrorKind.TIMEOUT),
    "slow": (raw(_HEAD + b"content-length: 99\r\n\r\n{", then="hang"), ErrorKind.TIMEOUT),
    "echo in 401": (echo_key(401, lambda key: {"message": f"Invalid key: {key}"}), ErrorKind.KEY_REJECTED),
    "echo in 400": (echo_key(400, lambda key: {"message": ["bad", key.encode().hex()]}), ErrorKind.BAD_REQUEST),
    "echo in 500": (echo_key(500, lambda key: {"errors": [{"message": key}]}), ErrorKind.PROVIDER_ERROR),
    "echo in 200": (echo_key(200, lambda key: [key]), ErrorKind.MALFORMED_REPLY),
}

OWN_KINDS = {("retell", "403"): ErrorKind.BAD_REQUEST}  # as often about the agent as about the key


def limit_for(kind: ErrorKind, script: str) -> float:
    """Short for what hangs, yet long enough for a first request on a busy machine; a 408 is answered at once."""
    return 2.0 if kind is ErrorKind.TIMEOUT and script != "408" else 5.0


async def assert_fails(provider: Provider[Any], target: Target, server: Loopback, fault: str) -> None:
    """The kind that the fault stands for, after a single request, and nowhere a key."""
    kind = OWN_KINDS.get((provider.name, fault), FAULTS[fault][1])
    error = await error_of(provider.calls.hand_off(provider.open(KEY, limit_for(kind, fault)), CALL, target))
    assert error.kind is kind
    assert error.retry_after == (3 if fault == "429" else None)
    # On a busy machine the time may be over before a request is out.
    assert len(server.asked) == 1 or (kind is ErrorKind.TIMEOUT and not server.asked)
    # A parsed 2xx stands in a frame of the adapter until the error is dropped; the key that it echoes with it.
    assert_clean(error, frames=fault != "echo in 200")


async def error_of(asking: Awaitable[object]) -> ProviderError:
    try:
        await asking
    except ProviderError as error:
        return error
    raise AssertionError("the provider took the call")
