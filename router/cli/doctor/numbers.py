"""Checks that each number is configured at the carrier as the database says."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import asyncpg

from adapters.base import ErrorKind, ProviderError
from adapters.carrier import Account, Carrier, CarrierNumber
from crypto import Keyring, OpenError
from router.cli.doctor.findings import Finding, fine, hint, problem
from router.own_address import WHAT_TO_DO
from router.store.pool import Connection
from router.store.sealed import key_context

_SECONDS: Final = 8.0
_AT_ONCE: Final = 10

_NUMBERS: Final = """
SELECT n.account_sid, n.e164, n.voice_url, n.fallback_url, n.status_url, n.state, n.fallback_state, n.created_at,
       a.name AS agency, k.agency_id AS key_agency_id, k.kind, k.version, k.sealed
  FROM numbers n
  JOIN agencies a ON a.id = n.agency_id
  LEFT JOIN keys k ON k.agency_id = n.agency_id AND k.account_sid = n.account_sid AND k.retired_at IS NULL
 WHERE n.carrier = 'twilio' AND n.state <> 'elsewhere'
 ORDER BY a.name, n.e164
"""


class NumberCheck:
    """Asks the carrier about every number, several at a time."""

    def __init__(
        self, keyring: Keyring, carrier: Carrier, platform: Account | None, base_url: str, *, is_open: bool
    ) -> None:
        """`is_open`: the database has another public address, and it is open whether the numbers are ours."""
        self._keyring = keyring
        self._carrier = carrier
        self._platform = platform
        self._ours = (f"{base_url}/webhooks/twilio/voice", f"{base_url}/webhooks/twilio/status")
        self._is_open = is_open
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def look(self, connection: Connection) -> list[Finding]:
        rows = await connection.fetch(_NUMBERS)
        found = await asyncio.gather(*(self._look_at(row) for row in rows))
        findings = [finding for part in found for finding in part]
        if findings or not rows:
            return findings
        return [fine("numbers", f"all {len(rows)} are configured correctly, including their fallback")]

    async def _look_at(self, row: asyncpg.Record) -> Sequence[Finding]:
        subject = f"number {row['e164']} ({row['agency']})"
        try:
            account = self._open(row)
        except OpenError:
            return [problem(subject, "the token of its account cannot be opened", "save the agency's Twilio key again")]
        if account is None:
            mend = "save the Twilio key of that account, or take over the number from another account"
            return [problem(subject, f"there is no token for its account {row['account_sid']}", mend)]
        try:
            async with self._gate:
                there = await self._carrier.find_number(account, row["e164"], _SECONDS)
        except ProviderError as error:
            return [self._explain(subject, row, error)]
        return self._compare(subject, row, there)

    def _open(self, row: asyncpg.Record) -> Account | None:
        if self._platform and self._platform.sid == row["account_sid"]:
            return self._platform
        if row["sealed"] is None:
            return None
        token = self._keyring.open(row["sealed"], *key_context(row["key_agency_id"], row["kind"], row["version"]))
        return Account(row["account_sid"], token)

    def _explain(self, subject: str, row: asyncpg.Record, error: ProviderError) -> Finding:
        if error.kind is ErrorKind.KEY_REJECTED:
            mend = "save the account's new token; until then, its calls go to the static fallback"
            return problem(subject, f"Twilio rejects the token of its account {row['account_sid']}", mend)
        return problem(subject, f"the request to Twilio failed ({error})", "try again")

    def _compare(self, subject: str, row: asyncpg.Record, there: CarrierNumber | None) -> list[Finding]:
        if there is None:
            mend = "recover it at Twilio" if self._is_open else "delete it here, or recover it at Twilio"
            return [problem(subject, f"is no longer in the account {row['account_sid']}", mend)]
        mend = "a running service corrects this within minutes; if it does not, find out what else changes the number"
        if self._is_open:
            mend = f"first {WHAT_TO_DO}"
        checks = (
            (there.trunk_sid or there.application_sid, "has a SIP trunk or application, so Twilio ignores our URLs"),
            (there.voice_url != row["voice_url"], f"its calls go to {_host(there.voice_url)}, not here"),
            ("GET" in (there.voice_method, there.fallback_method), "Twilio is set to use GET, which we do not answer"),
            (there.fallback_url != row["fallback_url"], "does not have the newest fallback address"),
        )
        findings = [problem(subject, message, mend) for applies, message in checks if applies]
        if not self._is_open and (row["voice_url"], row["status_url"]) != self._ours:
            findings.append(hint(subject, "was set up with another public address", "run `callrouter move`"))
        return findings


def _host(url: str) -> str:
    """Only the host: the rest of someone else's address may contain a secret."""
    return url.partition("?")[0].partition("#")[0].split("/")[2] if "://" in url else "nowhere"
