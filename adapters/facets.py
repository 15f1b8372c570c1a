"""What a provider can be asked: one protocol per facet. A facet that a provider lacks is None in its declaration.

A facet holds no key. Its methods take the provider's client, opened with a key and a time limit for one piece of work
(see `adapters.client`), and raise ProviderError. Each is one step that may be repeated: a process may die between a
request and its reply, so before anything is created, it is looked for by our marker.

Parameters are positional, so that an adapter names only those that it uses.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

from adapters.base import Handoff, InboundCall, KeyCheck, ProviderEvent, Target, TransferAsked
from adapters.portable import Assistant, Copy, Credentials, Lines, NativeNumber, Registration, Voice, Wiring
from crypto.secret import Secret

Client_contra = TypeVar("Client_contra", contravariant=True)

Missing: TypeAlias = Literal["assistant", "registration"]
Managed: TypeAlias = Literal["webhook", "transfer"]


class CallsFacet(Protocol[Client_contra]):
    """Takes calls, and checks keys. Every provider has it."""

    def missing(self, target: Target, /) -> Missing | None:
        """What a client still needs before this provider can take its calls; None if nothing."""

    def hand_off(self, client: Client_contra, call: InboundCall, target: Target, /) -> Coroutine[Any, Any, Handoff]:
        """Ask once to take the call; no retry."""

    async def check_key(self, client: Client_contra, /) -> KeyCheck:
        """The cheapest real request that proves the key."""


EndCall: TypeAlias = Callable[[Client_contra, str], Awaitable[None]]
"""Stops the call of that id, which was handed off too late."""

CountLines: TypeAlias = Callable[[Client_contra], Awaitable[Lines | None]]
"""Asks how many lines the agency has."""


ListVoices: TypeAlias = Callable[[Client_contra], Awaitable[list[Voice]]]
"""Asks which voices the agency may give to its assistants."""


@dataclass(frozen=True, slots=True)
class StoredAt:
    """A recording at an address that may be a secret for a while, and opens without a key."""

    url: Secret


@dataclass(frozen=True, slots=True)
class ServedByApi:
    """A recording that the provider's API itself serves, at this path and for its key."""

    path: str
    accept: str


class RecordingsFacet(Protocol[Client_contra]):
    """Keeps what was said on calls, recordings included, until it is deleted."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """Where it stores recordings: no other address is ever fetched. A name with a dot before it stands for all names
        that end so.
        """

    async def find(self, client: Client_contra, provider_call_id: str, /) -> Sequence[StoredAt | ServedByApi]:
        """Where the call's recording is at the moment, the best place first; nothing if it has none."""

    async def delete_call(self, client: Client_contra, provider_call_id: str, /) -> None:
        """With its recording and transcript. Also fine if it is gone already."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A request that claims to come from a provider. Header names are lower case."""

    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    at: datetime


class WebhooksFacet(Protocol):
    """Reads a provider's reports about calls, and answers the assistant's transfer function."""

    @property
    def proof(self) -> Literal["header", "hmac", "always hmac"]:
        """How it proves itself: with a secret of ours in a header, or by a signature with the agency's key or secret,
        which either some of its requests have or all of them ("always hmac").
        """

    def verify(self, delivery: Delivery, secrets: Sequence[Secret], /) -> bool:
        """Whether one of the secrets proves that the provider sent it."""

    def read_event(self, body: bytes, /) -> ProviderEvent:
        """Raises ValueError for a body that is none of the provider's."""

    def read_transfer(self, body: bytes, /) -> TransferAsked:
        """Raises ValueError for a body that is not an assistant's request for a transfer."""

    def answer_transfer(self, asked: TransferAsked, said: str, /) -> dict[str, Any]:
        """The reply that tells the assistant `said`."""


AnswerQuestion: TypeAlias = Callable[[ProviderEvent, str, Mapping[str, str], Mapping[str, str]], dict[str, Any]]
"""The JSON body that gives an "asked" event its assistant (by id), and the call the variables and metadata that
`InboundCall` gives a handoff. Raises ValueError for any other event.
"""


class AssistantsFacet(Protocol[Client_contra]):
    """Keeps assistants."""

    @property
    def lives_on_numbers(self) -> bool:
        """Whether an assistant there is a setting of each number: then `put_copy` is called again when a client gets
        another number there, registered or native.
        """

    def lost_features(self, assistant: Assistant, /) -> tuple[str, ...]:
        """The features of the definition that this provider cannot offer (see `adapters.features`)."""

    async def find_copy(self, client: Client_contra, marker: str, /) -> Copy | None:
        """Our copy, by its marker: created earlier, perhaps by a process that died before it could record that."""

    async def put_copy(
        self,
        client: Client_contra,
        assistant: Assistant,
        wiring: Wiring,
        copy: Copy | None,
        numbers: Sequence[Registration],
        /,
    ) -> Copy:
        """Create it, or bring `copy` up to date. `numbers`: all of the client's there, registrations with their opened
        parts and native ones, for providers that keep the assistant on numbers. Where a provider has versions the
        result is published. A copy that was deleted there is created again.
        """

    async def delete_copy(self, client: Client_contra, copy: Copy, numbers: Sequence[Registration], /) -> None:
        """With all its parts, and from `numbers` if it is kept on them. Also fine if it is gone already."""

    async def check_link(self, client: Client_contra, remote_id: str, /) -> None:
        """Raises ProviderError(BAD_REQUEST) if an assistant cannot take calls, because it was never published, or is
        suspended; GoneError if it does not exist.
        """

    async def manage_link(
        self,
        client: Client_contra,
        remote_id: str,
        manage: Sequence[Managed],
        wiring: Wiring,
        numbers: Sequence[Registration] = (),
        /,
    ) -> bool:
        """Set what `manage` names (something) on a linked assistant, and change nothing else on it. Whether that was
        necessary. `numbers` as in `put_copy`. Raises as `check_link` does.
        """


def lost_of_link(manage: Sequence[str]) -> tuple[str, ...]:
    """What we cannot do on calls of a linked assistant on which we set `manage`: "events", "transfer"."""
    needs = {"events": "webhook", "transfer": "transfer"}
    return tuple(lost for lost, need in needs.items() if need not in manage)


class RegistrationsFacet(Protocol[Client_contra]):
    """Needs a registration of a carrier's number before it takes calls to it."""

    async def find(self, client: Client_contra, e164: str, /) -> Registration | None: ...

    async def register(
        self, client: Client_contra, e164: str, credentials: Credentials, copy: Copy | None, fallback: str | None, /
    ) -> Registration:
        """Create the registration, with assistant and fallback number (E.164), so that calls are also answered while
        the provider has pointed the number at itself.
        """

    async def assign(
        self, client: Client_contra, registration: Registration, copy: Copy | None, fallback: str | None, /
    ) -> None:
        """Change the assistant or fallback number of a registration. If the assistant is kept on the number, `put_copy`
        puts it there, and this sets only the fallback. Raises ProviderError(BAD_REQUEST) if the registration is gone.
        """

    async def unregister(self, client: Client_contra, registration: Registration, /) -> None:
        """Also fine if it is gone already."""


class ImportsFacet(Protocol[Client_contra]):
    """Connects a carrier account to take over its numbers, and writes an address of its own on each."""

    def is_address(self, url: Secret, /) -> bool:
        """Whether an import wrote this on a number: calls can be handed over by redirecting them there."""

    def read_parts(self, url: Secret, /) -> Mapping[str, str]:
        """The parts of a registration, as far as such an address has them: what changes to the number need."""

    async def import_again(self, client: Client_contra, registration: Registration, /) -> bool:
        """Have the address written once more, for a number that it has already. What it had set there is lost. False:
        people have set it up by hand, so nothing was changed.
        """

    async def is_attached(self, client: Client_contra, e164: str, /) -> bool | None:
        """Whether it takes SIP calls to the number. None: it does not say."""

    def is_same_account(self, one: Registration, other: Registration, /) -> bool:
        """Whether both need the same connected account."""

    async def disconnect(self, client: Client_contra, registration: Registration, /) -> None:
        """Forget the account that this registration needed, and no other does. Also fine if it is gone already."""


@dataclass(frozen=True, slots=True)
class NumberOrder:
    """A number to buy, and the assistant that answers it. `label` is our mark on it, if there is a place."""

    country: str  # ISO 3166-1 alpha-2
    area_code: str | None
    label: str
    copy: Copy | None
    wiring: Wiring
    fallback: str | None


class ShopFacet(Protocol[Client_contra]):
    """Sells numbers of its own."""

    @property
    def sells_in(self) -> tuple[str, ...]:
        """Countries (ISO 3166-1 alpha-2)."""

    @property
    def area_codes_in(self) -> tuple[str, ...]:
        """Those of them in which an area code may be chosen."""

    @property
    def rings_fallback(self) -> str:
        """When it rings a number's own fallback number, as the end of a sentence: "during its maintenance"."""

    @property
    def labels_purchases(self) -> bool:
        """Whether a bought number has our label from the start."""

    @property
    def sets_fallback_later(self) -> bool:
        """Whether a bought number has no fallback number until `assign` sets it."""

    async def list_numbers(self, client: Client_contra, /) -> list[NativeNumber]:
        """All numbers that this key owns there: checked before a purchase is tried again."""

    async def buy(self, client: Client_contra, order: NumberOrder, /) -> NativeNumber:
        """One request that costs money: never repeated here."""

    async def assign(
        self,
        client: Client_contra,
        number: NativeNumber,
        copy: Copy | None,
        wiring: Wiring,
        fallback: str | None,
        /,
    ) -> None:
        """Set which assistant answers a native number."""

    async def release(self, client: Client_contra, number: NativeNumber, /) -> None:
        """Give it back. Also fine if it is gone already."""
