"""Checks at the providers that clients' assistants are there and can take calls: not deleted, unpublished or suspended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from adapters.base import ErrorKind, GoneError, ProviderError
from adapters.registry import Providers
from crypto import OpenError
from router.cli.doctor.findings import Finding, fine, problem
from router.store.keys.versions import find_key_in_use
from router.store.pool import Connection
from router.vault import Vault

_SECONDS: Final = 10.0

_ASSISTANTS: Final = """
SELECT c.agency_id, a.name AS agency, s.provider, c.name AS client, s.remote_id, s.state = 'linked' AS linked
  FROM assistants s
  JOIN clients c ON c.id = s.client_id
  JOIN agencies a ON a.id = c.agency_id
  JOIN keys k ON k.agency_id = a.id AND k.kind = s.provider AND k.retired_at IS NULL
 WHERE s.remote_id IS NOT NULL
 ORDER BY a.created_at, a.id, s.provider, c.created_at, c.id
"""


@dataclass(frozen=True, slots=True)
class AssistantCheck:
    """One look per assistant. A provider that refuses the key or fails is left to the other checks."""

    connection: Connection
    vault: Vault
    providers: Providers

    async def look(self) -> list[Finding]:
        rows = await self.connection.fetch(_ASSISTANTS)
        findings = []
        for (agency_id, provider), there in groupby(rows, key=lambda row: (row["agency_id"], row["provider"])):
            if provider in self.providers:
                findings += [finding async for finding in self._look_at(agency_id, provider, list(there))]
        return findings or ([fine("assistants", f"all {len(rows)} can take calls")] if rows else [])

    async def _look_at(self, agency_id: str, provider: str, rows: list[Any]) -> AsyncIterator[Finding]:
        at = self.providers[provider]
        key = await find_key_in_use(self.connection, agency_id, provider)
        if key is None or at.assistants is None:
            return
        for row in rows:
            try:
                client = at.open(self.vault.open_key(key), _SECONDS)
                await at.assistants.check_link(client, row["remote_id"])
            except OpenError:
                return  # reported with the other sealed values
            except ProviderError as error:
                if error.kind is not ErrorKind.BAD_REQUEST:
                    return
                yield _judge(row, at.label, error)


def _judge(row: Any, label: str, error: ProviderError) -> Finding:
    subject = f"client {row['client']} of agency {row['agency']}"
    message = f"its assistant at {label} takes no calls: {error.said or error}"
    if not isinstance(error, GoneError):
        return problem(subject, message, f"change that at {label}, or link another one; until then, calls go elsewhere")
    if row["linked"]:
        return problem(subject, message, "link another one, or unlink it to have one created from the description")
    return problem(subject, message, "the service creates it again within an hour; POST …/sync/{provider} does so now")
