"""Whether each number is set up at the carrier as the database says."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import asyncpg

from adapters.base import ErrorKind, ProviderError
from adapters.carrier import Account, Carrier, CarrierNumber
from crypto import Keyring, OpenError
from router.cli.doctor.findings import Finding, fine, hint, problem
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
 WHERE n.carrier = 'twilio'
 ORDER BY a.name, n.e164
"""


class NumberCheck:
    """Asks the carrier about every number, several at a time. `voice_url` and `status_url` are ours by the settings."""

    def __init__(
        self, keyring: Keyring, carrier: Carrier, platform: Account | None, voice_url: str, status_url: str
    ) -> None:
        self._keyring = keyring
        self._carrier = carrier
        self._platform = platform
        self._ours = (voice_url, status_url)
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def look(self, connection: Connection) -> list[Finding]:
        rows = await connection.fetch(_NUMBERS)
        found = await asyncio.gather(*(self._look_at(row) for row in rows))
        findings = [finding for part in found for finding in part]
        if findings or not rows:
            return findings
        return [fine("numbers", f"all {len(rows)} lead here, with their fallback")]

    async def _look_at(self, row: asyncpg.Record) -> Sequence[Finding]:
        subject = f"number {row['e164']} ({row['agency']})"
        try:
            account = self._open(row)
        except OpenError:
            return [problem(subject, "the token of its account does not open", "save the agency's Twilio key again")]
        if account is None:
            mend = "save the Twilio key of that account, or take the number over from another one"
            return [problem(subject, f"nobody has a token for its account {row['account_sid']}", mend)]
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
            mend = "save the account's new token: until then its calls go to their fallback"
            return problem(subject, f"Twilio refuses the token of its account {row['account_sid']}", mend)
        return problem(subject, f"Twilio could not be asked ({error})", "try again")

    def _compare(self, subject: str, row: asyncpg.Record, there: CarrierNumber | None) -> list[Finding]:
        if there is None:
            mend = "delete it here, or get it back at Twilio"
            return [problem(subject, f"is not in the account {row['account_sid']} any more", mend)]
        findings = []
        mend = "a running service mends this within minutes; if it stays, look at who else writes to the number"
        if there.trunk_sid or there.application_sid:
            findings.append(problem(subject, "has a SIP trunk or an application, which makes Twilio ignore us", mend))
        if there.voice_url != row["voice_url"]:
            findings.append(problem(subject, f"its calls go to {_host(there.voice_url)}, not here", mend))
        if "GET" in (there.voice_method, there.fallback_method):
            findings.append(problem(subject, "Twilio is told to ask us by GET, which we do not answer", mend))
        if there.fallback_url != row["fallback_url"]:
            findings.append(problem(subject, "does not have the newest fallback address", mend))
        if (row["voice_url"], row["status_url"]) != self._ours:
            findings.append(
                hint(
                    subject,
                    "was set up under another public address",
                    "set CALLROUTER_PUBLIC_URL back, or delete the number here and take it over again",
                )
            )
        return findings


def _host(url: str) -> str:
    """Addresses of others may carry a secret behind the host."""
    return url.partition("?")[0].partition("#")[0].split("/")[2] if "://" in url else "nowhere"
