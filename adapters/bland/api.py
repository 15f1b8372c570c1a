"""What all requests to Bland have in common: the address, where the keys stand, and what a reply means.

Bland docs: the error list of Send Call; an inbound number's paths. Two forms of an error are in use, `errors` and
`status` with `message`, both also seen under a 2xx.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import quote

from adapters.base import ErrorKind
from adapters.http import MAX_BYTES, Auth, Http
from adapters.replies import CONCURRENCY, Reply, Rule, malformed, read_answer
from crypto.secret import Secret

REFUSALS: Final = (
    CONCURRENCY,
    Rule(
        ErrorKind.OUT_OF_CREDIT,
        frozenset({400, 403}),
        re.compile(r"insufficient balance|no billing record", re.IGNORECASE),
    ),
)
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")


class Api:
    """Requests to Bland's API, each with the one key it is for."""

    def __init__(self, http: Http, base_url: str) -> None:
        self._http = http
        self._base_url = base_url.rstrip("/")

    async def send(
        self, method: str, path: str, key: Secret, limit: float, *, json: object = None, max_bytes: int = MAX_BYTES
    ) -> Reply:
        return await self._http.send(
            "bland",
            method,
            f"{self._base_url}{path}",
            auth=Auth.bare(key),
            json=json,
            limit=limit,
            max_bytes=max_bytes,
        )


def is_number(written: str) -> bool:
    """Whether it is E.164, and so fit for a path and for a carrier."""
    return bool(_E164.fullmatch(written))


def number_path(e164: str) -> str:
    return f"/v1/inbound/{quote(e164, safe='')}"


def read_object(reply: Reply, key: Secret) -> dict[str, Any]:
    """A JSON object that is none of Bland's two forms of an error."""
    answer = read_answer(reply, REFUSALS, key)
    if not isinstance(answer, dict) or answer.get("status") == "error" or answer.get("errors"):
        raise malformed(reply)
    return answer
