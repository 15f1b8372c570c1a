"""Definitions, addresses, credentials and a sudden death that the tests of Vapi's adapter share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from adapters.portable import Assistant, Function, Knowledge, Wiring
from crypto.secret import Secret
from tests.adapters.refusals import KEY
from tests.support.waiting import wait_until

__all__ = ["ACME", "FUNCTION", "KEY", "LIMIT", "PLAIN", "PRICES", "WEBHOOK_SECRET", "WIRING", "die_when"]

LIMIT = 5.0
WEBHOOK_SECRET = "wh00k-canary-5f1d7c29ab40e6"
WIRING = Wiring(
    webhook_url=f"https://calls.example.com/webhooks/vapi/agency_1?token={WEBHOOK_SECRET}",
    transfer_url=f"https://calls.example.com/webhooks/vapi/agency_1/transfer?token={WEBHOOK_SECRET}",
    secret=Secret(WEBHOOK_SECRET),
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
    languages=("en-US", "es-ES"),
    timezone="America/Chicago",
    voice={"provider": "11labs", "voiceId": "burt", "speed": 1.1},
    transfer_to="+14155550100",
    functions=(FUNCTION,),
    knowledge=(PRICES,),
    voicemail_detection=True,
    max_seconds=900,
)


async def die_when(work: Coroutine[Any, Any, object], condition: Callable[[], object]) -> None:
    """Let a process work until something has come about, and kill it before it hears of it."""
    task = asyncio.create_task(work)
    await wait_until(condition)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
