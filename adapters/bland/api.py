"""What all requests to Bland have in common: the address, where the keys stand, and what a reply means.

Bland docs: the error list of Send Call; an inbound number's paths. Errors come in two forms, `errors` and `status` with
`message`, and both also occur under a 2xx.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Self
from urllib.parse import quote

from adapters.base import ErrorKind, ProviderError
from adapters.client import Client as BaseClient
from adapters.http import MAX_BYTES
from adapters.replies import CONCURRENCY, Reply, Rule, find, malformed, read_json
from crypto.secret import Secret


@dataclass(frozen=True, slots=True)
class Client(BaseClient):
    """Bland's API, opened."""

    system = "bland"
    scheme = "bare"
    max_bytes = MAX_BYTES
    refusals = (
        CONCURRENCY,
        Rule(
            ErrorKind.OUT_OF_CREDIT,
            frozenset({400, 403}),
            re.compile(r"insufficient balance|no billing record", re.IGNORECASE),
        ),
        # Bland creates one knowledge base at a time, and refuses the next one in these words until it is done.
        Rule(
            ErrorKind.RATE_LIMITED,
            frozenset({200, 400, 403}),
            re.compile(r"rate.?limit|please wait \d+", re.IGNORECASE),
        ),
    )

    def holding(self, account: Secret | None) -> Self:
        """The same client with the encrypted key of a carrier account, which changes to numbers on it need. None for
        numbers that Bland sold.
        """
        return self if account is None else replace(self.hiding(account), headers={"encrypted_key": account})

    def is_gone(self, error: ProviderError) -> bool:
        """Some pages of the docs show these words without a status."""
        return error.status in self.gone or (error.kind is ErrorKind.BAD_REQUEST and "not found" in error.said.lower())

    def is_error(self, answer: Any) -> bool:
        return find(answer, "status") == "error" or bool(find(answer, "errors"))

    async def tell(self, method: str, path: str, *, json: object = None) -> None:
        """A 2xx may still say that nothing was done."""
        reply = await self.send(method, path, json=json)
        if not reply.ok or self.is_error(_said(reply)):
            raise self.refusal(reply)

    def read_object(self, reply: Reply) -> dict[str, Any]:
        """A JSON object that is none of Bland's two forms of an error."""
        answer = self.read(reply)
        if not isinstance(answer, dict) or self.is_error(answer):
            raise malformed(reply)
        return answer


def _said(reply: Reply) -> Any:
    try:
        return read_json(reply.body)
    except ValueError:
        return None


def number_path(e164: str) -> str:
    return f"/v1/inbound/{quote(e164, safe='')}"


def listed(answer: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """A list at the top or under `data`. A missing list is an error: taken for empty, we would create duplicates."""
    items = answer.get(name, find(answer, "data", name))
    if not isinstance(items, list):
        raise ProviderError(ErrorKind.MALFORMED_REPLY)
    return [item for item in items if isinstance(item, dict)]
