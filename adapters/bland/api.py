"""What all requests to Bland have in common: the address, where the keys stand, and what a reply means.

Bland docs: the error list of Send Call; an inbound number's paths. Two forms of an error are in use, `errors` and
`status` with `message`, both also seen under a 2xx.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from adapters.base import ErrorKind, ProviderError
from adapters.client import Client as BaseClient
from adapters.http import MAX_BYTES
from adapters.replies import CONCURRENCY, Reply, Rule, find, malformed
from crypto.secret import Secret

REFUSALS: Final = (
    CONCURRENCY,
    Rule(
        ErrorKind.OUT_OF_CREDIT,
        frozenset({400, 403}),
        re.compile(r"insufficient balance|no billing record", re.IGNORECASE),
    ),
    # Knowledge bases are taken one after the other, and what comes too soon is told to wait in these words.
    Rule(ErrorKind.RATE_LIMITED, frozenset({200, 400, 403}), re.compile(r"rate.?limit|please wait \d+", re.IGNORECASE)),
)
LISTS: Final = 16 << 20
"""Bytes that a list may have: an agency's numbers come with all their prompts."""

_NOT_FOUND: Final = 404


@dataclass(frozen=True, slots=True)
class Client(BaseClient):
    """Bland's API, opened."""

    system = "bland"
    scheme = "bare"
    refusals = REFUSALS

    async def ask(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        account: Secret | None = None,
        query: Mapping[str, str | int] | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> dict[str, Any]:
        """A request about settings, and its JSON object. `account`: the encrypted key of the carrier account that a
        number is on, where it is not one of Bland's.

        An error that comes under a 2xx is one with Bland's own words, too.
        """
        client, headers = self, None
        if account is not None:
            client, headers = self.hiding(account), {"encrypted_key": account}
        reply = await client.send(method, path, json=json, headers=headers, query=query, max_bytes=max_bytes)
        answer = client.read(reply)
        if not isinstance(answer, dict):
            raise malformed(reply)
        if _is_error(answer):
            raise client.refusal(reply)
        return answer

    def read_object(self, reply: Reply) -> dict[str, Any]:
        """A JSON object that is none of Bland's two forms of an error."""
        answer = self.read(reply)
        if not isinstance(answer, dict) or _is_error(answer):
            raise malformed(reply)
        return answer


def number_path(e164: str) -> str:
    return f"/v1/inbound/{quote(e164, safe='')}"


def is_gone(error: ProviderError) -> bool:
    """Whether it says that there is no such thing; some pages show these words without a status."""
    return error.status == _NOT_FOUND or (error.kind is ErrorKind.BAD_REQUEST and "not found" in error.said.lower())


def listed(answer: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """A list that Bland gives at the top or under `data`. To take none for an empty one would make everything twice."""
    items = answer.get(name, find(answer, "data", name))
    if not isinstance(items, list):
        raise ProviderError(ErrorKind.MALFORMED_REPLY)
    return [item for item in items if isinstance(item, dict)]


def _is_error(answer: dict[str, Any]) -> bool:
    return find(answer, "status") == "error" or bool(find(answer, "errors"))
