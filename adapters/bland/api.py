"""What all requests to Bland have in common: the address, where the keys stand, and what a reply means.

Bland docs: the error list of Send Call; an inbound number's paths. Two forms of an error are in use, `errors` and
`status` with `message`, both also seen under a 2xx.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from adapters.base import ErrorKind, ProviderError
from adapters.http import MAX_BYTES, Auth, Http
from adapters.replies import CONCURRENCY, Reply, Rule, find, malformed, read_answer, refusal
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


class Api:
    """Requests to Bland's API, each with the one key it is for."""

    def __init__(self, http: Http, base_url: str) -> None:
        self._http = http
        self._base_url = base_url.rstrip("/")

    async def send(
        self,
        method: str,
        path: str,
        key: Secret,
        limit: float,
        *,
        json: object = None,
        account: Secret | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> Reply:
        """`account`: the encrypted key of the carrier account that a number is on, where it is not one of Bland's."""
        return await self._http.send(
            "bland",
            method,
            f"{self._base_url}{path}",
            auth=Auth.bare(key),
            json=json,
            headers=None if account is None else {"encrypted_key": account},
            limit=limit,
            max_bytes=max_bytes,
        )

    async def ask(
        self,
        method: str,
        path: str,
        key: Secret,
        limit: float,
        *,
        json: object = None,
        account: Secret | None = None,
        secrets: Sequence[Secret] = (),
        max_bytes: int = MAX_BYTES,
    ) -> dict[str, Any]:
        """A request about settings, and its JSON object. `secrets`: what else must not come back in Bland's words.

        Raises ProviderError; an error that comes under a 2xx is one with Bland's own words, too.
        """
        reply = await self.send(method, path, key, limit, json=json, account=account, max_bytes=max_bytes)
        hidden = (key, *secrets) if account is None else (key, account, *secrets)
        answer = read_answer(reply, REFUSALS, *hidden)
        if not isinstance(answer, dict):
            raise malformed(reply)
        if _is_error(answer):
            raise refusal(reply, REFUSALS, *hidden)
        return answer


def number_path(e164: str) -> str:
    return f"/v1/inbound/{quote(e164, safe='')}"


def read_object(reply: Reply, key: Secret) -> dict[str, Any]:
    """A JSON object that is none of Bland's two forms of an error."""
    answer = read_answer(reply, REFUSALS, key)
    if not isinstance(answer, dict) or _is_error(answer):
        raise malformed(reply)
    return answer


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
