"""HTTP on one connection: uvicorn's own protocol, with bounds on what a client sends before a request is whole.

The parser keeps a header until it is complete, and uvicorn keeps all of them until they end; neither stops. So bytes
are handed to it in small pieces and counted around it. A request that is too large is refused with 431, one that takes
too long with 408, and the connection ends.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Final, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from router.edge.connections import Connections
from router.telemetry import metrics

_PIECE: Final = 16 * 1024  # bytes that the parser gets between two looks at the bounds
_MOST_DISCARDED: Final = 256 * 1024  # of a body whose request was answered before it had ended
_MOST_LINGERING: Final = 5 * 1024 * 1024  # bytes that may still come after that; they are not even parsed
_REASONS: Final = {400: "malformed", 408: "too_slow", 503: "refused"}  # all others: too_large


class _RefusedError(Exception):
    """Raised through the parser, to stop it. `status` 0: there is nothing to answer."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class BoundedProtocol(HttpToolsProtocol):
    """One connection. `connections` are all of its server; the rest is what uvicorn hands to a protocol."""

    def __init__(self, connections: Connections, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self.held = 0
        self._connections = connections
        self._limits = connections.limits
        self._received = 0  # bytes since the last request ended
        self._body = 0  # bytes of the body that is coming
        self._in_headers = False
        self._in_body = False
        self._is_deaf = False  # refused: nothing more is read
        self._deadline = 0.0
        self._body_began: float | None = None
        self._unsent = 0  # bytes that its client had not read when it last read some
        self._read_at = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._deadline = self.loop.time() + self._limits.header_timeout
        self._connections.admit(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._connections.forget(self)

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            self._received += len(data)
            if self._received > _MOST_LINGERING:
                self.transport.abort()
            return
        was_between = self._is_between()
        for start in range(0, len(data), _PIECE):
            is_fine = self._parse(data if len(data) <= _PIECE else data[start : start + _PIECE])
            if not is_fine or self.transport.is_closing():
                break
        self._take_stock(len(data), was_between=was_between)

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= self._limits.pipelined:
            raise _RefusedError(0)
        super().on_message_begin()
        self._in_headers = True

    def on_headers_complete(self) -> None:
        if len(self.headers) > self._limits.header_fields or self._are_headers_too_large():
            raise _RefusedError(431)
        super().on_headers_complete()
        self._in_headers, self._in_body, self._body_began = False, True, None
        self.headers = []  # for trailers, which are counted and never become headers of the request

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        if self._body > _MOST_DISCARDED and self.cycle.response_complete:
            raise _RefusedError(0)
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_body = False
        self._received = self._body = 0

    def on_response_complete(self) -> None:
        """Not uvicorn's own, which sets a timer for each request: `Connections` looks after idle connections."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        if not self._is_answering():
            self._connections.hold(self, self._received)
            self._wait(has_just_begun=True)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._connections.mark_unread(self)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._connections.mark_read(self)

    def is_late(self, now: float) -> bool:
        if self._in_body and not self._is_deaf:
            return self._is_body_late(now)
        if now <= self._deadline:
            return False
        # What it was answered may still be on its way.
        return self.is_stuck(now) if self._is_between() and self.transport.get_write_buffer_size() else True

    def is_stuck(self, now: float) -> bool:
        unsent = self.transport.get_write_buffer_size()
        if unsent != self._unsent:
            self._unsent, self._read_at = unsent, now
        return now - self._read_at > self._limits.unread_timeout

    def give_up(self) -> None:
        if self._is_deaf or self.transport.is_closing() or self.transport.get_write_buffer_size():
            self.transport.abort()
        elif self._is_between():
            self.transport.close()
        else:
            self.refuse(408)

    def drop(self) -> None:
        self.transport.abort()

    def refuse(self, status: int) -> None:
        """Answer what can be told apart from the answers to earlier requests, and end the connection."""
        self._is_deaf = True
        self._received = 0
        metrics.connection_ended(_REASONS.get(status, "too_large"))
        if self._is_answering():
            # Requests that came whole are answered; the last answer says that it is the last.
            self.cycle.keep_alive = False
            if self._in_body:
                self.transport.abort()
            return
        if self._in_body and not self.cycle.response_complete:
            if self.cycle.response_started:
                self.transport.abort()
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        elif self._in_body:
            status = 0
        if status:
            self.transport.write(self._write_refusal(status))
        self._linger()

    def _parse(self, piece: bytes) -> bool:
        """False: nothing more is read from this client."""
        self._received += len(piece)
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            self.cycle.keep_alive = False  # what follows is another protocol, which we don't speak
            self._is_deaf = True
            return False
        except httptools.HttpParserError as error:
            stopped = error.__context__
            self.refuse(stopped.status if isinstance(stopped, _RefusedError) else 400)
            return False
        if self._received > self._most_bytes() or self._has_too_many_fields():
            self.refuse(431)
            return False
        return True

    def _take_stock(self, size: int, *, was_between: bool) -> None:
        """After all that came at once: is there a request to be answered, or to be waited for?"""
        if self._is_answering():
            self._connections.answer(self)
        elif self._is_deaf:
            return
        else:
            self._wait(has_just_begun=was_between)
        self._connections.hold(self, self.held + size)

    def _wait(self, *, has_just_begun: bool) -> None:
        """For the next request, or for the rest of one."""
        now = self.loop.time()
        if has_just_begun:
            self._deadline = now + (self._limits.idle_timeout if self._is_between() else self._limits.header_timeout)
        if self._in_body and self._body_began is None:
            self._body_began = now
        self._connections.wait(self)

    def _is_between(self) -> bool:
        """Whether nothing of a request has come since the last one ended."""
        return not (self._received or self._in_headers or self._in_body)

    def _is_body_late(self, now: float) -> bool:
        if self.flow.read_paused or self._body_began is None:  # it is us who are slow
            return False
        needed = self._limits.header_timeout + self._body / self._limits.least_rate
        return now - self._body_began > min(needed, self._limits.body_timeout)

    def _is_answering(self) -> bool:
        """Whether there is a complete request that has no complete answer yet."""
        if self._in_body:  # the newest request is not complete; those before it wait in line
            return bool(self.pipeline)
        newest = cast("RequestResponseCycle | None", self.cycle)
        return newest is not None and not newest.response_complete

    def _most_bytes(self) -> int:
        """That may have come since the last request ended: headers, then a body in chunks and its trailers."""
        if self._in_body:
            return 2 * (self._limits.header_bytes + self._body)
        return self._limits.header_bytes

    def _has_too_many_fields(self) -> bool:
        return (self._in_headers or self._in_body) and len(self.headers) > self._limits.header_fields

    def _are_headers_too_large(self) -> bool:
        """Exactly, where the piece that they ended in may also hold some of the body."""
        if self._received <= self._limits.header_bytes:
            return False
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        return size > self._limits.header_bytes

    def _write_refusal(self, status: int) -> bytes:
        text = f"{HTTPStatus(status).phrase}\n".encode()
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(text)),
            (b"connection", b"close"),
        ]
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        return b"%b%b\r\n%b" % (STATUS_LINE[status], lines, text)

    def _linger(self) -> None:
        """Closing at once would take the answer away from a client that is still sending."""
        self._deadline = self.loop.time() + self._limits.linger_timeout
        self._connections.hold(self, 0)
        self._connections.wait(self)
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
