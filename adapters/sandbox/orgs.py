"""Who asks a stand-in: a provider's customers and what each may do, and the carrier accounts that they bring along."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, get_args

from adapters.sandbox.api import Asked, Json, Operation, Refusal


@dataclass(slots=True)
class Org:
    """A customer of a provider: one key, what it may do, and what it owns."""

    name: str
    key: str
    id: str
    balance: float = 25.0  # US dollars; nothing is handed off at or below zero
    concurrency_limit: int = 10
    concurrency_used: int = 0  # set by tests; the sandbox's calls last no time
    scopes: frozenset[Operation] = frozenset(get_args(Operation))

    @property
    def has_credit(self) -> bool:
        return self.balance > 0

    @property
    def has_free_line(self) -> bool:
        return self.concurrency_used < self.concurrency_limit


OrgT = TypeVar("OrgT", bound=Org)


def bearer(asked: Asked) -> str:
    """The token of an `Authorization: Bearer` header; empty if there is none."""
    scheme, _, token = asked.headers.get("authorization", "").partition(" ")
    return token if scheme == "Bearer" else ""


class Orgs(Generic[OrgT]):
    """The orgs of one provider by key; keys are compared exactly. `key_of` finds the key of a request."""

    def __init__(self, key_of: Callable[[Asked], str] = bearer) -> None:
        self.key_of = key_of
        self._by_key: dict[str, OrgT] = {}

    def add(self, org: OrgT) -> OrgT:
        if org.key in self._by_key:
            raise ValueError(f"the sandbox has an org with that key already: {self._by_key[org.key].name}")
        self._by_key[org.key] = org
        return org

    def of(self, key: str) -> OrgT:
        """Raises Refusal (401) for an unknown key."""
        org = self._by_key.get(key)
        if org is None:
            raise Refusal(401)
        return org

    def asking(self, asked: Asked) -> OrgT:
        """The org that asks. Raises Refusal: 401 for an unknown key, 403 for one that may not do this."""
        org = self.of(self.key_of(asked))
        if asked.operation not in org.scopes:
            raise Refusal(403)
        return org

    def revoke(self, key: str) -> None:
        """From now on the key is answered with 401."""
        del self._by_key[key]

    def rotate(self, old: str, new: str) -> None:
        """The org keeps all it owns under a new key; the old one is answered with 401."""
        org = self._by_key.pop(old)
        org.key = new
        self.add(org)

    def __iter__(self) -> Iterator[OrgT]:
        return iter(self._by_key.values())

    def __len__(self) -> int:
        return len(self._by_key)


class CarrierAccount(Protocol):
    """A carrier account as a provider sees it that takes over a number of it."""

    sid: str
    status: str

    def number_called(self, e164: str) -> Json | None:
        """The number's record, to be changed in place."""
        ...


class CarrierAccounts(Protocol):
    """The carrier, as the providers ask it: Twilio's stand-in in all but name."""

    @property
    def accounts(self) -> Mapping[str, CarrierAccount]:
        """By SID."""
        ...

    def account_for(self, user: str, secret: str) -> CarrierAccount | None:
        """The account that a SID and token, or an API key and its secret, open."""
        ...
