"""How much one connection, and all of them together, may take. docs/security.md has them in a table."""

from __future__ import annotations

import resource
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from router.settings import Settings

_LARGEST_BACKLOG: Final = 2048
_LARGEST_RESERVE: Final = 512


@dataclass(frozen=True, slots=True)
class Limits:
    """Times are in seconds."""

    connections: int = 2000
    """Open at the same time."""
    backlog: int = _LARGEST_BACKLOG
    """Waiting to be accepted. They come in one burst, and need descriptors beyond those of `connections`."""
    header_bytes: int = 32 * 1024
    """Request line and headers together; the same again for what stands around the pieces of a chunked body."""
    header_fields: int = 100
    """Headers of a request, and its trailers."""
    header_timeout: float = 10
    """From a request's first byte to the end of its headers. Also how long a new connection may be silent."""
    body_timeout: float = 20
    """From the end of the headers to the end of the body."""
    least_rate: float = 1024
    """Bytes a second that a body has to come at, once `header_timeout` has passed."""
    idle_timeout: float = 75
    """Between two requests. Longer than load balancers keep idle connections, usually 60 seconds: they must close first."""
    unread_timeout: float = 30
    """How long a client may leave an answer unread."""
    linger_timeout: float = 3
    """How long a client that was refused has to read why; some send all of a large body first."""
    held_bytes: int = 20 * 1024 * 1024
    """Of all requests that have no answer yet."""
    pipelined: int = 8
    """Requests sent before the one in front of them was answered."""

    @classmethod
    def of(cls, settings: Settings, descriptors: int) -> Limits:
        """`descriptors`: how many files and sockets this process may open."""
        reserve = min(_LARGEST_RESERVE, descriptors // 2)  # for everything but incoming connections
        return cls(
            connections=max(1, min(settings.connections, descriptors - reserve)),
            backlog=max(1, min(_LARGEST_BACKLOG, reserve // 2)),
            header_bytes=settings.header_bytes,
            header_fields=settings.header_fields,
            header_timeout=settings.header_timeout,
            body_timeout=settings.body_timeout,
            idle_timeout=settings.idle_timeout,
        )


def raise_descriptor_limit() -> int:
    """Let this process open as many files and sockets as it is allowed to, and say how many those are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # where the system has a lower bound of its own, as macOS does
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return soft if soft != resource.RLIM_INFINITY else 1024 * 1024
