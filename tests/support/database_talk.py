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
    transactions: int = 0  # that ended
    _prepared: dict[bytes, str] = field(default_factory=dict)
    _bound: str = ""
    _asked: bytearray = field(default_factory=bytearray)
    _answered: bytearray = field(default_factory=bytearray)
    _greeted: bool = False

    def clear(self) -> None:
        self.statements, self.round_trips, self.transactions = [], 0, 0

    def ask(self, data: bytes) -> None:
        """From the client."""
        self._asked += data
        if not self._greeted and self._asked:
            (length,) = _LENGTH.unpack_from(self._asked)
            del self._asked[:length]
            self._greeted = True
        for kind, body in _messages(self._asked):
            match kind:
                case b"Q":
                    self.statements.append(body.rstrip(b"\0").decode())
                case b"P":
                    name, text, _ = body.split(b"\0", 2)
                    self._prepared[name] = text.decode()
                case b"B":
                    _, name, _ = body.split(b"\0", 2)
                    self._bound = self._prepared[name]
                case b"E":
                    self.statements.append(self._bound)

    def answer(self, data: bytes) -> None:
        """From the server."""
        self._answered += data
        for kind, body in _messages(self._answered):
            if kind == b"Z":
                self.round_trips += 1
                self.transactions += body == b"I"


def _messages(waiting: bytearray) -> Iterator[tuple[bytes, bytes]]:
    """Those that are complete."""
    while len(waiting) > _LENGTH.size and len(waiting) > (length := _LENGTH.unpack_from(waiting, 1)[0]):
        yield bytes(waiting[:1]), bytes(waiting[1 + _LENGTH.size : 1 + length])
        del waiting[: 1 + length]
