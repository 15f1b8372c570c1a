"""A provider's API, opened with a key and a time limit for one piece of work, and dropped with it.

What all providers' clients share: requests with the key in its place, replies read by the provider's own rules, and
errors that repeat neither the key nor any other secret that was sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, Literal, Self
from urllib.parse import urlencode

from adapters.base import ProviderError
from adapters.http import MAX_BYTES, Http
from adapters.replies import Reply, Rule, is_out_of_credit, read_answer, read_objects, refusal
from adapters.requests import Auth, Part
from crypto.secret import Secret

LISTS: Final = 32_000_000
"""Bytes that a list may have: a page of a hundred assistants, or an agency's numbers, with the longest prompts."""


@dataclass(frozen=True, slots=True)
class Client:
    """Each provider has a subclass with what is particular to its API. Every method raises ProviderError.

    `settings` are those that the provider declares, by their short names: "url" is the API's base address. `limit` is in
    seconds, for each request. `hidden` are other secrets in the requests. `headers` are sent with every request.
    """

    system: ClassVar[str]
    scheme: ClassVar[Literal["bearer", "bare"]] = "bearer"
    key_header: ClassVar[str] = "authorization"
    refusals: ClassVar[tuple[Rule, ...]] = ()
    max_bytes: ClassVar[int] = LISTS  # of a reply about settings
    gone: ClassVar[frozenset[int]] = frozenset({404})  # statuses for what does not exist

    http: Http = field(repr=False)
    settings: Mapping[str, str]
    key: Secret
    limit: float
    hidden: tuple[Secret, ...] = ()
    headers: Mapping[str, str | Secret] = field(default_factory=dict, repr=False)

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
        query: Mapping[str, str | int] | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> Reply:
        return await self.http.send(
            self.system,
            method,
            self.settings["url"].rstrip("/") + path + (f"?{urlencode(query)}" if query else ""),
            auth=Auth(self.key, self.scheme, header=self.key_header),
            json=json,
            form=form,
            headers=self.headers,
            limit=self.limit,
            max_bytes=max_bytes,
        )

    async def ask(
        self,
        method: str,
        path: str,
        *ids: str,
        json: object = None,
        form: Sequence[Part] | None = None,
        query: Mapping[str, str | int] | None = None,
        max_bytes: int | None = None,
    ) -> dict[str, Any]:
        """A request about settings, and the JSON object in its reply. The fields `ids` of it are fit for a path."""
        limit = max_bytes or self.max_bytes
        reply = await self.send(method, path, json=json, form=form, query=query, max_bytes=limit)
        answer = self.read(reply)
        if self.is_error(answer):
            raise self.refusal(reply)
        return read_objects(reply, [answer], ids)[0]

    async def look(
        self, method: str, path: str, *ids: str, json: object = None, query: Mapping[str, str | int] | None = None
    ) -> dict[str, Any] | None:
        """As `ask`; None if there is no such thing."""
        try:
            return await self.ask(method, path, *ids, json=json, query=query)
        except ProviderError as error:
            if not self.is_gone(error):
                raise
        return None

    async def tell(self, method: str, path: str, *, json: object = None) -> None:
        """A request whose 2xx has nothing to say."""
        reply = await self.send(method, path, json=json)
        if not reply.ok:
            raise self.refusal(reply)

    async def remove(self, path: str) -> None:
        """Also fine if it is gone already."""
        try:
            await self.tell("DELETE", path)
        except ProviderError as error:
            if not self.is_gone(error):
                raise

    async def list_whole(
        self, path: str, *ids: str, query: Mapping[str, str | int] | None = None
    ) -> list[dict[str, Any]]:
        """All that one reply lists."""
        reply = await self.send("GET", path, query=query, max_bytes=LISTS)
        return read_objects(reply, self.read(reply), ids)

    def is_gone(self, error: ProviderError) -> bool:
        """Whether it says that there is no such thing."""
        return error.status in self.gone

    def is_error(self, answer: Any) -> bool:  # noqa: ARG002 - for APIs that report errors under a 2xx
        """Whether the JSON of a 2xx reply reports an error."""
        return False

    def read(self, reply: Reply) -> Any:
        """The JSON of a 2xx reply."""
        return read_answer(reply, self.refusals, self.key, *self.hidden)

    def refusal(self, reply: Reply) -> ProviderError:
        """The error for a reply that is not 2xx."""
        return refusal(reply, self.refusals, self.key, *self.hidden)

    def is_out_of_credit(self, reply: Reply) -> bool:
        """Whether the provider accepts the key, but the account has no credit."""
        return is_out_of_credit(reply, self.refusals)
