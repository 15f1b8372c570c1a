"""Rows for tests of statements: what a test names is set, all else is filled in."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

AT = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ACCOUNT = "AC" + "a" * 32
NUMBER = "+15005550001"

_REQUIRED: dict[str, dict[str, Any]] = {
    "agencies": {"name": "Agency", "created_at": AT},
    "clients": {"name": "Acme", "caller_id": "caller", "routing": "{}", "created_at": AT},
    "keys": {"version": 1, "last4": "1234", "status": "valid", "checked_at": AT, "saved_at": AT},
    "assistants": {"remote_id": "assistant-1", "state": "linked", "updated_at": AT},
    "registrations": {"remote_id": "registration-1"},
    "numbers": {
        "account_sid": ACCOUNT,
        "e164": NUMBER,
        "carrier": "twilio",
        "account": "platform",
        "number_sid": "PN1",
        "voice_url": "",
        "fallback_url": "",
        "status_url": "",
        "state": "active",
        "fallback_state": "ok",
        "created_at": AT,
    },
    "calls": {
        "account_sid": ACCOUNT,
        "from_number": "+14155550123",
        "to_number": NUMBER,
        "started_at": AT,
    },
    "former_webhook_tokens": {},
    "call_events": {"at": AT, "event": "call.ended"},
    "idempotency_keys": {"request_hash": b"", "status": 201, "created_at": AT},
}


async def insert(db: Any, table: str, **values: Any) -> None:
    """One row of a table. The names come from the tests, the values go as parameters."""
    row = _REQUIRED[table] | values
    row = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in row.items()}
    places = ", ".join(f"${place}" for place in range(1, len(row) + 1))
    await db.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", *row.values())  # noqa: S608


async def insert_client(db: Any, agency_id: str, client_id: str, number: str | None = NUMBER, **values: Any) -> None:
    """A client with a number, and its agency if that is not there yet."""
    account_sid = values.pop("account_sid", ACCOUNT)
    if not await db.fetchval("SELECT EXISTS (SELECT FROM agencies WHERE id = $1)", agency_id):
        await insert(db, "agencies", id=agency_id)
    await insert(db, "clients", id=client_id, agency_id=agency_id, **values)
    if number is not None:
        await insert(db, "numbers", agency_id=agency_id, client_id=client_id, e164=number, account_sid=account_sid)
