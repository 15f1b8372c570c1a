"""What agencies keep at providers and carriers, in our own words: assistants, numbers, lines.

Protocols and data only, as in `adapters.base`, which has the words of calls. Every method is one step that may be
repeated: a process may die between a request and its answer, so whoever creates something looks for it first, by the
marker that we left on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from crypto.secret import Secret


@dataclass(frozen=True, slots=True)
class Function:
    """Something that the assistant may ask of the agency's own software during a call."""

    name: str
    description: str
    parameters: Mapping[str, Any]  # JSON Schema of type object
    url: str


@dataclass(frozen=True, slots=True)
class Knowledge:
    """A text that the assistant may draw on."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Assistant:
    """The portable definition of a client's assistant. `marker` is how we find our copy of it again at a provider."""

    marker: str  # [a-z0-9_], at most 40 characters; unique per client
    name: str  # the client's
    prompt: str
    greeting: str | None = None
    languages: tuple[str, ...] = ("en-US",)  # BCP 47, the first is the main one
    timezone: str | None = None  # the client's, as in "Europe/London"
    voice: Mapping[str, Any] = field(default_factory=dict)  # the provider's own voice settings
    transfer_to: str | None = None  # E.164; whoever asks for a person is put through there, by us
    functions: tuple[Function, ...] = ()
    knowledge: tuple[Knowledge, ...] = ()
    voicemail_detection: bool = False
    max_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Wiring:
    """Where a provider reaches us about an assistant's calls. The addresses may carry a token: not for a log."""

    webhook_url: str = field(repr=False)
    transfer_url: str = field(repr=False)
    secret: Secret  # sent along by providers that prove themselves with a header of our choice


@dataclass(frozen=True, slots=True)
class Copy:
    """An assistant as it stands at a provider.

    `parts` are ids of what belongs to it (a Retell LLM, knowledge bases, tools), so that all of it can be updated and
    deleted. `version` is what a provider calls what was published, where it does. `lost`: see `lost_features`.
    """

    remote_id: str | None  # None where the provider keeps assistants on numbers only
    parts: Mapping[str, str] = field(default_factory=dict)
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Credentials:
    """What opens a carrier account for a provider: never the platform's main account. `api_key` is revocable.

    `connection`: the `Counterpart.parts` of another number of the same account there, so that a provider that connects
    whole accounts does so once.
    """

    account_sid: str
    auth_token: Secret
    api_key: str | None = None  # its SID
    api_secret: Secret | None = None
    connection: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Counterpart:
    """A carrier's number as a provider knows it: a registration.

    `label` is our own mark on it ("callrouter …"), where the provider has a place for one: without it, what is found
    may be somebody else's.
    """

    remote_id: str
    mode: str | None = None  # how it is reached, where there are several ways
    parts: Mapping[str, str] = field(default_factory=dict, repr=False)  # what belongs to it, secrets too: seal it
    label: str | None = None


@dataclass(frozen=True, slots=True)
class NativeNumber:
    """A number bought from a voice provider itself. `label` is our own mark on it, where the provider has a place."""

    e164: str
    remote_id: str
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Lines:
    """How many calls a provider lets an agency have at once. `used` None: it does not tell."""

    limit: int
    used: int | None = None


class AssistantHost(Protocol):
    """Assistants at a provider. Every method raises ProviderError; `limit` is in seconds for each request."""

    def lost_features(self, assistant: Assistant) -> tuple[str, ...]:
        """What of the definition this provider cannot do: names of features (see `features.toml`)."""
        ...

    async def find_copy(self, marker: str, key: Secret, limit: float) -> Copy | None:
        """Our own copy, by its marker: made earlier, perhaps by a process that died before it could say so."""
        ...

    @property
    def lives_on_numbers(self) -> bool:
        """Whether an assistant there is a setting of each number: then `put_copy` comes again whenever a client gets
        another number there, registered or native.
        """
        ...

    async def put_copy(
        self,
        assistant: Assistant,
        wiring: Wiring,
        copy: Copy | None,
        numbers: Sequence[Counterpart],
        key: Secret,
        limit: float,
    ) -> Copy:
        """Create it, or bring `copy` up to date. `numbers`: all of the client's there, registrations with their opened
        parts and native ones, for providers that keep the assistant on numbers. Where a provider has versions the
        result is published. A copy that was deleted there is created anew.
        """
        ...

    async def delete_copy(self, copy: Copy, numbers: Sequence[Counterpart], key: Secret, limit: float) -> None:
        """With all its parts. `numbers` as for `put_copy`: where the assistant was kept on them they forget it. Also
        fine if it is gone already.
        """
        ...

    async def check_link(self, remote_id: str, key: Secret, limit: float) -> None:
        """Whether an assistant that somebody made there can take calls. Raises ProviderError(BAD_REQUEST) that says
        what is missing: it does not exist, or was never published.
        """
        ...

    async def manage_link(
        self,
        remote_id: str,
        manage: Sequence[Literal["webhook", "transfer"]],
        wiring: Wiring,
        key: Secret,
        limit: float,
    ) -> None:
        """Set these of our things on a linked assistant, and touch nothing else of it."""
        ...

    def lost_of_link(self, manage: Sequence[str]) -> tuple[str, ...]:
        """What we cannot do on calls of such a linked assistant: "events", "transfer"."""
        ...


class NumberHost(Protocol):
    """Numbers at a provider: counterparts of a carrier's numbers, and numbers of its own. Raises ProviderError."""

    @property
    def registers_numbers(self) -> bool:
        """Whether calls to a carrier's number need a counterpart there."""
        ...

    async def find_counterpart(self, e164: str, key: Secret, limit: float) -> Counterpart | None:
        """Without parts that the provider shows only once: where those are needed and lost, `register_number` again
        brings new ones.
        """
        ...

    async def register_number(
        self, e164: str, credentials: Credentials, copy: Copy | None, fallback: str | None, key: Secret, limit: float
    ) -> Counterpart:
        """Make the counterpart, with assistant and fallback number (E.164), so that calls are answered also while
        the provider has pointed the number at itself.
        """
        ...

    async def assign_counterpart(
        self, counterpart: Counterpart, copy: Copy | None, fallback: str | None, key: Secret, limit: float
    ) -> None:
        """Other assistant or fallback number on a counterpart that is there. Where the assistant itself is kept on the
        number, `put_copy` has put it there, and this sets the fallback. Raises ProviderError(BAD_REQUEST) if it is gone.
        """
        ...

    async def unregister_number(self, counterpart: Counterpart, key: Secret, limit: float) -> None:
        """Also fine if it is gone already."""
        ...

    @property
    def sells_in(self) -> tuple[str, ...]:
        """Countries (ISO 3166-1 alpha-2) in which numbers can be bought from this provider itself; may be empty."""
        ...

    async def list_native(self, key: Secret, limit: float) -> list[NativeNumber]:
        """All numbers that this key owns there: looked at before a purchase is tried a second time."""
        ...

    async def buy_native(
        self,
        country: str,
        area_code: str | None,
        label: str,
        copy: Copy | None,
        wiring: Wiring,
        fallback: str | None,
        key: Secret,
        limit: float,
    ) -> NativeNumber:
        """One request that costs money: never repeated here. `label` is our own mark on it, where there is a place."""
        ...

    async def assign_native(
        self, number: NativeNumber, copy: Copy | None, wiring: Wiring, fallback: str | None, key: Secret, limit: float
    ) -> None:
        """Who answers a native number from now on."""
        ...

    async def release_native(self, number: NativeNumber, key: Secret, limit: float) -> None:
        """Give it back. Also fine if it is gone already."""
        ...


class LineTeller(Protocol):
    """How many lines are free, where a provider tells."""

    async def count_lines(self, key: Secret, limit: float) -> Lines | None:
        """None: it does not tell on request."""
        ...
