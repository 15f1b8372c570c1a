"""What the database says of the installation: schema, sealed values, agencies that cannot take calls."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Final

from adapters.registry import Declarations, one_of
from crypto import Keyring, OpenError
from router.cli.doctor.findings import Finding, fine, hint, problem
from router.store.pool import Connection
from router.store.rotation import find_sealed

_SPOOLED: Final = "spool"

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
SELECT a.name, k.kind, k.status, k.problem
  FROM keys k
  JOIN agencies a ON a.id = k.agency_id
 WHERE k.retired_at IS NULL AND k.status <> 'valid'
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


async def look_at_records(
    connection: Connection, keyring: Keyring, data_dir: Path, providers: Declarations
) -> list[Finding]:
    return [
        *await _look_at_seals(connection, keyring),
        *_look_at_spool(data_dir / _SPOOLED),
        *await _look_at_agencies(connection, providers),
        *[_judge_key(row) for row in await connection.fetch(_TROUBLED_KEYS)],
        *[_judge_assistants(row) for row in await connection.fetch(_FAILED_ASSISTANTS)],
    ]


async def _look_at_seals(connection: Connection, keyring: Keyring) -> list[Finding]:
    """Every sealed value is opened once, and not kept."""
    states: Counter[str] = Counter()
    for place, identity, value in await find_sealed(connection):
        states[_judge_seal(keyring, value, place.context(*identity))] += 1
    findings = []
    if states["closed"]:
        findings.append(
            problem(
                "CALLROUTER_PLATFORM_KEYS",
                f"{states['closed']} sealed values do not open with any of these keys: calls that need them fall back",
                "add the platform key that is missing, or have these keys saved again",
            )
        )
    if states["former"]:
        findings.append(
            hint(
                "CALLROUTER_PLATFORM_KEYS",
                f"{states['former']} values are still sealed under a former platform key",
                "run `callrouter keys rotate` before you take that key away",
            )
        )
    return findings or [fine("CALLROUTER_PLATFORM_KEYS", f"all {states['active']} sealed values open")]


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
            f"{len(spoilt)} files with records of calls could not be read to their end: {folder}",
            "keep them: what is before the damage was written to the database, the rest needs a person",
        )
    ]


async def _look_at_agencies(connection: Connection, providers: Declarations) -> list[Finding]:
    agencies = await connection.fetch(_AGENCIES)
    if not agencies:
        return [hint("agencies", "there is none yet", "create one: POST /v1/agencies, see /docs")]
    findings = [finding for row in agencies for finding in _judge_agency(row, providers)]
    return findings or [fine("agencies", f"all {len(agencies)} have a voice key and a number")]


def _judge_agency(row: Any, providers: Declarations) -> list[Finding]:
    subject = f"agency {row['name']}"
    findings = []
    if not row["voice_keys"]:
        mend = f"save a key for {one_of(providers)}"
        findings.append(problem(subject, "has no voice key, so no AI takes its calls", mend))
    elif row["active_provider"] is None:
        findings.append(
            problem(subject, "has a voice key, but no active provider", "make one active: PATCH active_provider")
        )
    if row["clients"] and not row["numbers"]:
        findings.append(hint(subject, "has clients, but no number that leads to them", "take one over, or buy one"))
    return findings


def _judge_key(row: Any) -> Finding:
    said = f" ({row['problem']})" if row["problem"] else ""
    if row["status"] == "out_of_credit":
        mend = "top it up at the provider; calls go down the ladder until then"
        return problem(f"agency {row['name']}", f"its {row['kind']} key has no credit{said}", mend)
    mend = "save the new key; calls go down the ladder until then"
    return problem(f"agency {row['name']}", f"its {row['kind']} key is refused{said}", mend)


def _judge_assistants(row: Any) -> Finding:
    return problem(
        f"agency {row['name']}",
        f"{row['clients']} clients could not be synced to {row['provider']} ({row['error']})",
        "see the reasons at GET …/sync/{provider}, mend them, and try again there",
    )
