"""Reads request bodies up to a limit, which is checked before a body is read if its length is declared."""

from __future__ import annotations

from starlette.requests import Request


class TooLargeError(Exception):
    """The body is over the limit."""


class CutOffError(Exception):
    """The client disconnected before the body was complete."""


async def read_body(request: Request, most_bytes: int) -> bytes:
    """The whole body. Raises TooLargeError, as soon as the size is known, or CutOffError."""
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdecimal() and int(declared) > most_bytes:
        raise TooLargeError
    body = bytearray()
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise CutOffError
        body += message.get("body", b"")
        if len(body) > most_bytes:
            raise TooLargeError
        if not message.get("more_body", False):
            return bytes(body)


def count_parts(body: bytes) -> int:
    """An upper bound on the fields and entries of JSON, nested ones too. It costs next to nothing, unlike parsing them;
    commas and brackets inside of texts count, too.
    """
    return body.count(b",") + body.count(b"[") + body.count(b"{")
