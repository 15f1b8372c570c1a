"""A provider's API, opened with a key and a time limit for one piece of work, and dropped with it.

What all providers' clients share: requests with the key in its place, replies read by the provider's own rules, and
refusals in which neither the key nor anything else that was sent in confidence is repeated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self
from urllib.parse import urlencode

from adapters.base import ProviderError
from adapters.http import MAX_BYTES, Auth, Http, Part
from adapters.replies import Reply, Rule, is_out_of_credit, read_answer, refusal
from crypto.secret import Secret


@dataclass(frozen=True, slots=True)
class Client:
    """Each provider has its own, which says what is particular to its API. Every method raises ProviderError.

    `settings` are those that the provider declares, by their short names: "url" is the API's base address. `limit` is in
    seconds, for each request. `hidden`: what else is sent in confidence.
    """

    system: ClassVar[str]
    scheme: ClassVar[Literal["bearer", "bare"]] = "bearer"
    refusals: ClassVar[tuple[Rule, ...]] = ()

    http: Http = field(repr=False)
    settings: Mapping[str, str]
    key: Secret
    limit: float
    hidden: tuple[Secret, ...] = ()

    def hiding(self, *secrets: Secret) -> Self:
        """The same client, for requests that hold these secrets."""
        return replace(self, hidden=(*self.hidden, *secrets))

    async def send(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        form: Sequence[Part] | None = None,
        headers: Mapping[str, str | Secret] | None = None,
        query: Mapping[str, str | int] | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> Reply:
        return await self.http.send(
            self.system,
            method,
            self.settings["url"].rstrip("/") + path + (f"?{urlencode(query)}" if query else ""),
            auth=Auth(self.key, self.scheme),
            json=json,
            form=form,
            headers=headers,
            limit=self.limit,
            max_bytes=max_bytes,
        )

    def read(self, reply: Reply) -> Any:
        """The JSON of a 2xx reply."""
        return read_answer(reply, self.refusals, self.key, *self.hidden)

    def refusal(self, reply: Reply) -> ProviderError:
        """The error for a reply that is not 2xx."""
        return refusal(reply, self.refusals, self.key, *self.hidden)

    def is_out_of_credit(self, reply: Reply) -> bool:
        """Whether the provider knows the key, and only wants money."""
        return is_out_of_credit(reply, self.refusals)
