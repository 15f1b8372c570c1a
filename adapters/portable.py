"""What agencies keep at providers and carriers: assistants, numbers, lines. Data that all adapters share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final

from crypto.secret import Secret

MOST_LINES: Final = 1_000_000
"""More than any agency has, and within a database's integer."""
MOST_VOICES: Final = 500
_LONGEST_NAME: Final = 100
_LONGEST_ABOUT: Final = 300
_LONGEST_SETTING: Final = 200
_LONGEST_ADDRESS: Final = 2000


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the agency's own software that the assistant may call during a call."""

    name: str
    description: str
    parameters: Mapping[str, Any]  # JSON Schema of type object
    url: str


@dataclass(frozen=True, slots=True)
class Knowledge:
    """A text that the assistant may use."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Assistant:
    """The portable definition of a client's assistant. By `marker` we find our copy at a provider."""

    marker: str  # [a-z0-9_], at most 40 characters; unique per client
    name: str  # the client's
    prompt: str
    greeting: str | None = None
    languages: tuple[str, ...] = ("en-US",)  # BCP 47, the first is the main one
    timezone: str | None = None  # the client's, as in "Europe/London"
    voice: Mapping[str, Any] = field(default_factory=dict)  # the provider's own voice settings
    transfer_to: str | None = None  # E.164; we transfer callers there who ask for a person
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
    deleted. `version` is the provider's name for the published version, if it has versions. `left_out`: where it is kept
    on numbers, those that could not get it, and why.
    """

    remote_id: str | None  # None where the provider keeps assistants on numbers only
    parts: Mapping[str, str] = field(default_factory=dict)
    version: str | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What opens a carrier account for a provider: never the platform's main account. `api_key` is revocable.

    `connection` is the `Registration.parts` of another number on the same account, so that a provider that connects whole
    accounts does so only once.
    """

    account_sid: str
    auth_token: Secret
    api_key: str | None = None  # its SID
    api_secret: Secret | None = None
    connection: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Registration:
    """A carrier's number at a provider. `imported`: the provider has taken it over just now.

    `label` is our mark on it ("callrouter …"), if the provider has a place for one: one without it may not be ours.
    """

    remote_id: str
    mode: str | None = None  # how it is reached, where there are several ways
    parts: Mapping[str, str] = field(default_factory=dict, repr=False)  # what belongs to it, secrets too: seal it
    label: str | None = None
    imported: bool = False


@dataclass(frozen=True, slots=True)
class NativeNumber:
    """A number bought from a voice provider itself. `label` is our mark on it, if the provider has a place."""

    e164: str
    remote_id: str
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice that a provider offers. `settings` choose it, as `Assistant.voice` takes them."""

    name: str
    settings: Mapping[str, Any]
    about: str = ""  # for people
    preview: str | None = None  # the https address of a sample


def read_voices(items: Sequence[Mapping[str, Any]], read: Callable[[Mapping[str, Any]], Voice | None]) -> list[Voice]:
    """The first MOST_VOICES that `read` can make out, with texts of a bounded length. Settings cannot be cut: a voice with
    longer ones is left out.
    """
    found = (voice for item in items if (voice := read(item)) is not None and voice.name and _fits(voice.settings))
    return [
        replace(one, name=one.name[:_LONGEST_NAME], about=one.about[:_LONGEST_ABOUT], preview=_web_page(one.preview))
        for one in islice(found, MOST_VOICES)
    ]


def _fits(settings: Mapping[str, Any]) -> bool:
    return all(len(str(value)) <= _LONGEST_SETTING for value in settings.values())


def _web_page(address: str | None) -> str | None:
    is_one = address is not None and address.startswith("https://") and len(address) <= _LONGEST_ADDRESS
    return address if is_one else None


@dataclass(frozen=True, slots=True)
class Lines:
    """How many calls a provider lets an agency have at once. `used` is None if it does not say.

    Both are kept between 0 and MOST_LINES, whatever the provider says.
    """

    limit: int
    used: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "limit", _within_lines(self.limit))
        if self.used is not None:
            object.__setattr__(self, "used", _within_lines(self.used))


def _within_lines(count: int) -> int:
    return min(max(count, 0), MOST_LINES)
