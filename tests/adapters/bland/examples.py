"""Definitions, addresses and credentials that the tests of Bland's adapter share, and a client whose process dies."""

from __future__ import annotations

from typing import Any

from adapters.http import Http
from adapters.portable import (
    Assistant,
    Function,
    Knowledge,
    Registration,
    Wiring,
)
from adapters.replies import Reply
from crypto.secret import Secret
from tests.adapters.refusals import KEY

__all__ = [
    "ACME",
    "FUNCTION",
    "KEY",
    "LIMIT",
    "PLAIN",
    "PRICES",
    "TOKEN",
    "WIRING",
    "DyingHttp",
    "Killed",
    "on",
]

LIMIT = 60.0  # seconds; a machine may be busy
TOKEN = "wh00k-canary-8e2b5d90c1f7a346"
WIRING = Wiring(
    webhook_url=f"https://calls.example.com/webhooks/bland/agency_1?token={TOKEN}",
    transfer_url=f"https://calls.example.com/webhooks/bland/agency_1/transfer?token={TOKEN}",
    secret=Secret(TOKEN),
)
PLAIN = Assistant(marker="client_1", name="Acme Plumbing", prompt="You answer the phone for Acme.")
FUNCTION = Function(
    name="book_visit",
    description="Books a visit",
    parameters={"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]},
    url="https://acme.example/book",
)
PRICES = Knowledge("Prices", "A visit is $80.")
ACME = Assistant(
    marker="client_1",
    name="Acme Plumbing",
    prompt="You answer the phone for Acme.",
    greeting="Acme Plumbing, how can I help?",
    languages=("en-GB",),
    timezone="Europe/London",
    voice={"voice": "maya", "background_track": "office"},
    transfer_to="+442079460000",
    functions=(FUNCTION,),
    knowledge=(PRICES,),
    max_seconds=610,
)


def on(*e164s: str) -> list[Registration]:
    """Numbers of Bland's own."""
    return [Registration(e164) for e164 in e164s]


class Killed(BaseException):
    """The end of a process, as far as the code within it can tell."""


class DyingHttp(Http):
    """Dies at the request after `lives` others: before it is sent, or when the answer was on its way."""

    def __init__(self, lives: int, *, answered: bool) -> None:
        super().__init__()
        self._lives = lives
        self._answered = answered

    async def send(self, *args: Any, **kwargs: Any) -> Reply:
        if self._lives:
            self._lives -= 1
            return await super().send(*args, **kwargs)
        if self._answered:
            await super().send(*args, **kwargs)
        raise Killed
