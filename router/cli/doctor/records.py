"""Checks what is stored: sealed values, spooled records, keys, and agencies that cannot take calls."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Final

import asyncpg

from adapters.registry import Declarations, one_of
from crypto import Keyring, OpenError
from router.cli.doctor.findings import Finding, fine, hint, problem
from router.store.pool import Connection
from router.store.rotation import each_sealed

_AGENCIES: Final = """
SELECT a.id, a.name, a.active_provider,
       ARRAY (SELECT k.kind FROM keys k
               WHERE k.agency_id = a.id AND k.retired_at IS NULL AND k.account_sid IS NULL) AS voice_keys,
       (SELECT count(*) FROM clients c WHERE c.agency_id = a.id) AS clients,
       (SELECT count(*) FROM numbers n WHERE n.agency_id = a.id) AS numbers
  FROM agencies a
 ORDER BY a.created_at, a.id
"""

_TROUBLED_KEYS: Final = """
SELECT a.name, k.kind, k.status, k.problem, k.account_sid, k.unproven_at
  FROM keys k
  JOIN agencies a ON a.id = k.agency_id
 WHERE k.retired_at IS NULL AND (k.status <> 'valid' OR k.unproven_at IS NOT NULL)
 ORDER BY a.created_at, a.id, k.kind
"""

_FAILED_ASSISTANTS: Final = """
SELECT a.name, s.provider, count(*) AS clients, min(s.error) AS error
  FROM assistants s
  JOIN clients c ON c.id = s.client_id
  JOIN agencies a ON a.id = c.agency_id
 WHERE s.state = 'failed'
 GROUP BY a.id, a.name, s.provider
 ORDER BY a.name, s.provider
"""


_UNDELIVERED: Final = """
SELECT a.name, NULL AS client, a.alert_email AS address, a.alert_email_problem AS problem
  FROM agencies a
 WHERE a.alert_email_problem IS NOT NULL
 UNION ALL
SELECT a.name, c.name, c.notify_email, c.notify_email_problem
  FROM clients c
  JOIN agencies a ON a.id = c.agency_id
 WHERE c.notify_email_problem IS NOT NULL
 ORDER BY 1, 2
"""

_REGISTRATIONS: Final = """
SELECT a.name, r.provider, r.mode, count(*) AS numbers,
       array_agg(r.e164 ORDER BY r.e164) FILTER (WHERE r.waits_for IS NOT NULL) AS waiting
  FROM registrations r
  JOIN agencies a ON a.id = r.agency_id
 WHERE r.remote_id IS NOT NULL AND r.mode IS NOT NULL
 GROUP BY a.id, a.name, r.provider, r.mode
 ORDER BY a.name, r.provider, r.mode
"""


async def look_at_records(
    connection: asyncpg.Connection, keyring: Keyring, data_dir: Path, providers: Declarations
) -> list[Finding]:
    return [
        *await _look_at_seals(connection, keyring),
        *_look_at_spool(data_dir / "spool"),
        *await _look_at_agencies(connection, providers),
        *[_judge_key(row) for row in await connection.fetch(_TROUBLED_KEYS)],
        *[_judge_assistants(row) for row in await connection.fetch(_FAILED_ASSISTANTS)],
        *[_judge_registrations(row) for row in await connection.fetch(_REGISTRATIONS)],
        *[_judge_mail(row) for row in await connection.fetch(_UNDELIVERED)],
    ]


async def _look_at_seals(connection: asyncpg.Connection, keyring: Keyring) -> list[Finding]:
    """Open every sealed value once, and drop it at once."""
    states: Counter[str] = Counter()
    async with connection.transaction(readonly=True):
        async for place, identity, value in each_sealed(connection):
            states[_judge_seal(keyring, value, place.context(*identity))] += 1
    findings = []
    name = "CALLROUTER_PLATFORM_KEYS"
    if states["closed"]:
        message = f"{states['closed']} sealed values cannot be opened with any of these keys: their calls fall back"
        findings.append(
            problem(
                name,
                message,
                "add the missing platform key (`callrouter backup check` names it), or have the agencies' keys saved again",
            )
        )
    if states["former"]:
        message = f"{states['former']} values are still sealed under an older platform key"
        findings.append(hint(name, message, "run `callrouter keys rotate` before you remove that key"))
    return findings or [fine(name, f"all {states['active']} sealed values can be opened")]


def _judge_seal(keyring: Keyring, sealed: str, context: tuple[str, ...]) -> str:
    try:
        keyring.open_bytes(sealed, *context)
    except OpenError:
        return "closed"
    return "active" if keyring.is_active(sealed) else "former"


def _look_at_spool(folder: Path) -> list[Finding]:
    spoilt = sorted(folder.glob("*.spoilt")) if folder.is_dir() else []
    if not spoilt:
        return []
    return [
        problem(
            "spool",
            f"{len(spoilt)} files with call records are damaged: {folder}",
            "keep them: records before the damage are in the database, the rest must be recovered by hand",
        )
    ]


async def _look_at_agencies(connection: Connection, providers: Declarations) -> list[Finding]:
    agencies = await connection.fetch(_AGENCIES)
    if not agencies:
        return [hint("agencies", "there are none yet", "create one with POST /v1/agencies; see /docs")]
    findings = [finding for row in agencies for finding in _judge_agency(row, providers)]
    return findings or [fine("agencies", f"all {len(agencies)} can take calls")]


def _judge_agency(row: Any, providers: Declarations) -> list[Finding]:
    subject = f"agency {row['name']}"
    findings = []
    if not row["voice_keys"]:
        mend = f"save a key for {one_of(providers)}"
        findings.append(problem(subject, "has no voice key, so no AI can take its calls", mend))
    elif row["active_provider"] is None:
        findings.append(problem(subject, "has a voice key but no active provider", "set it with PATCH active_provider"))
    if row["clients"] and not row["numbers"]:
        findings.append(hint(subject, "has clients but no number", "buy a number or take one over"))
    return findings


def _judge_key(row: Any) -> Finding:
    if row["unproven_at"] is not None:
        message = f"Twilio signs requests of its account {row['account_sid']} with a shared key that is not saved"
        mend = "save the shared key's id and secret with the Twilio key, or remove the webhook rule at Twilio"
        return problem(f"agency {row['name']}", message, f"{mend}; until then, its calls go to the static fallback")
    out_of_credit = row["status"] == "out_of_credit"
    state = "has no credit" if out_of_credit else "is rejected"
    said = f" ({row['problem']})" if row["problem"] else ""
    mend = "top up the account at the provider" if out_of_credit else "save a new key"
    return problem(
        f"agency {row['name']}", f"its {row['kind']} key {state}{said}", f"{mend}; until then, calls go down the ladder"
    )


def _judge_assistants(row: Any) -> Finding:
    return problem(
        f"agency {row['name']}",
        f"{row['clients']} clients could not be synced to {row['provider']} ({row['error']})",
        "GET …/sync/{provider} shows the reasons; fix them and retry with POST",
    )


def _judge_mail(row: Any) -> Finding:
    whose = "" if row["client"] is None else f" of its client {row['client']}"
    return problem(
        f"agency {row['name']}",
        f"emails to {row['address']}{whose} are not delivered: {row['problem']}",
        "correct the address, or have its mail server accept these emails",
    )


def _judge_registrations(row: Any) -> Finding:
    subject = f"agency {row['name']}"
    if row["waiting"]:
        numbers = ", ".join(row["waiting"])
        mend = f"delete the number at {row['provider']} and import it again there"
        return problem(subject, f"{row['provider']} has not written its address on {numbers} at Twilio", mend)
    return fine(subject, f"{row['numbers']} numbers are reached at {row['provider']} by {row['mode']}")
