"""Reading the body of a request, within a bound that is told before it costs anything."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request


class TooLargeError(Exception):
    """The body is larger than it may be. Nothing of it is kept."""


class CutOffError(Exception):
    """The client went away before the body had ended."""


async def read_body(request: Request, most_bytes: int) -> bytes:
    """The whole body. Raises TooLargeError as soon as that is known, CutOffError."""
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdecimal() and int(declared) > most_bytes:
        raise TooLargeError
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > most_bytes:
                raise TooLargeError
    except ClientDisconnect:
        raise CutOffError from None
    return bytes(body)
