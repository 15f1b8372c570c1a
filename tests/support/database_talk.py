"""What a connection to PostgreSQL says, read off the wire: its statements and transactions, one by one.

PostgreSQL's documentation, "Message Formats": a type, the length of what follows, and that; the first message of a client
has no type.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

_LENGTH = struct.Struct(">I")


@dataclass(slots=True)
class Talk:
    """One connection, since it began or was last cleared."""

    statements: list[str] = field(default_factory=list)  # that were executed
    round_trips: int = 0
    transactions: int = 0  # in which something was executed, and that ended
    wire: int = 0  # bytes, both ways
    _prepared: dict[bytes, str] = field(default_factory=dict)
    _bound: str = ""
    _asked: bytearray = field(default_factory=bytearray)
    _answered: bytearray = field(default_factory=bytearray)
    _greeted: bool = False
    _has_run: bool = False

    def clear(self) -> None:
        self.statements, self.round_trips, self.transactions, self.wire = [], 0, 0, 0

    def ask(self, data: bytes) -> None:
        """From the client."""
        self.wire += len(data)
        self._asked += data
        if not self._greeted and self._asked:
            (length,) = _LENGTH.unpack_from(self._asked)
            del self._asked[:length]
            self._greeted = True
        for kind, body in _messages(self._asked):
            match kind:
                case b"Q":
                    self._note(body.rstrip(b"\0").decode())
                case b"P":
                    name, text, _ = body.split(b"\0", 2)
                    self._prepared[name] = text.decode()
                case b"B":
                    _, name, _ = body.split(b"\0", 2)
                    self._bound = self._prepared[name]
                case b"E":
                    self._note(self._bound)

    def answer(self, data: bytes) -> None:
        """From the server."""
        self.wire += len(data)
        self._answered += data
        for kind, body in _messages(self._answered):
            if kind == b"Z":
                self.round_trips += 1
                self.transactions += self._has_run and body == b"I"
                self._has_run = False

    def _note(self, statement: str) -> None:
        self.statements.append(statement)
        self._has_run = True


def _messages(waiting: bytearray) -> Iterator[tuple[bytes, bytes]]:
    """Those that are complete."""
    while len(waiting) > _LENGTH.size and len(waiting) > (length := _LENGTH.unpack_from(waiting, 1)[0]):
        yield bytes(waiting[:1]), bytes(waiting[1 + _LENGTH.size : 1 + length])
        del waiting[: 1 + length]
