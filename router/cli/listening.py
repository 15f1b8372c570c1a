"""The sockets that a command listens on. They are opened first, so that early connections wait until it is up."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Final

from router.cli.setup import fail
from router.settings import Settings

_BACKLOG: Final = 2048  # connections that may wait until the service is up


@dataclass(frozen=True, slots=True)
class Listening:
    """For requests from outside, and for probes and metrics if they have a port of their own."""

    main: socket.socket
    ops: socket.socket | None = None


def listen_on_all(settings: Settings) -> tuple[Listening, Settings]:
    """All sockets that the settings name, and settings with their actual ports.

    An address that is wrong or in use ends the command.
    """
    main, settings = listen(settings)
    if settings.ops_port is None:
        return Listening(main), settings
    ops = _open(settings.host, settings.ops_port, "CALLROUTER_OPS_PORT")
    return Listening(main, ops), settings.model_copy(update={"ops_port": ops.getsockname()[1]})


def listen(settings: Settings) -> tuple[socket.socket, Settings]:
    """The main socket alone."""
    listening = _open(settings.host, settings.port, "CALLROUTER_PORT")
    return listening, settings.model_copy(update={"port": listening.getsockname()[1]})


def _open(host: str, port: int, setting: str) -> socket.socket:
    try:
        [(family, kind, _, _, address), *_] = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        # asyncio sends small replies immediately (TCP_NODELAY) only on sockets that name TCP as their protocol.
        listening = socket.socket(family, kind, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        fail(f"CALLROUTER_HOST, {setting}: cannot listen on {host}:{port} ({error.strerror})")
    listening.set_inheritable(True)
    return listening
