"""A provider's declaration: its name, its settings, what belongs to its key, and its facets.

A declaration is in the provider's package and listed in `adapters.registry`. Settings, API, console, doctor, metrics and
documentation learn all they need about a provider from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Generic, TypeVar

from adapters.facets import (
    AnswerQuestion,
    AssistantsFacet,
    CallsFacet,
    CountLines,
    EndCall,
    ImportsFacet,
    ListVoices,
    RecordingsFacet,
    RegistrationsFacet,
    ShopFacet,
    WebhooksFacet,
)
from adapters.features import About, Offer
from adapters.http import Http
from crypto.secret import Secret

Client = TypeVar("Client")


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of a provider. "url" of vapi is CALLROUTER_VAPI_URL in the environment.

    `find_mistake` describes what is wrong with a value, or returns None. If `is_url`, the value must be a URL, too.
    """

    name: str
    help: str
    default: str
    is_url: bool = False
    find_mistake: Callable[[str], str | None] | None = None


@dataclass(frozen=True, slots=True)
class WebhookSecret:
    """The field for the secret that a provider signs webhooks with, if that is not the key itself."""

    name: str
    label: str
    help: str


@dataclass(frozen=True, slots=True)
class RegistrationForm:
    """The form for a registration that an agency made at the provider itself. The first of the `modes` is the default;
    without modes there is one way to reach it.
    """

    help: str
    is_number: bool = False  # its id is a phone number
    modes: tuple[tuple[str, str], ...] = ()  # name and label


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Declaration(Generic[Client]):
    """A provider. `client` opens its API, given the connections, the settings by name, a key and a time limit.

    `takes_carrier_key`: a registration needs only a revocable API key of the carrier's account, not the account's token.
    `report_status`: what it takes for "received" when it has reported something about a call.
    """

    name: str  # in addresses, bodies, settings and the database
    offer: Offer
    settings: tuple[Setting, ...]
    client: Callable[[Http, Mapping[str, str], Secret, float], Client]
    calls: CallsFacet[Client]
    end_call: EndCall[Client] | None = None
    count_lines: CountLines[Client] | None = None
    webhooks: WebhooksFacet | None = None
    answer_question: AnswerQuestion | None = None
    assistants: AssistantsFacet[Client] | None = None
    list_voices: ListVoices[Client] | None = None
    registrations: RegistrationsFacet[Client] | None = None
    imports: ImportsFacet[Client] | None = None
    shop: ShopFacet[Client] | None = None
    recordings: RecordingsFacet[Client] | None = None
    key_label: str = "API key"
    webhook_secret: WebhookSecret | None = None
    registration_form: RegistrationForm | None = None
    takes_carrier_key: bool = False
    report_status: int = 204
    call_ends: Mapping[str, str] = field(default_factory=dict)  # its words for why calls end, and what they mean

    @property
    def about(self) -> About:
        return self.offer.about

    @property
    def label(self) -> str:
        return self.about.label

    @property
    def takes_redirects(self) -> bool:
        """Whether it may be handed a call by a redirect, of whose course the carrier tells us nothing."""
        return self.registration_form is not None and "redirect" in dict(self.registration_form.modes)

    def connect(self, http: Http, values: Mapping[str, str]) -> Provider[Client]:
        """`values` of its settings, by their short names."""
        return Provider(**{one.name: getattr(self, one.name) for one in fields(self)}, http=http, values=values)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Provider(Declaration[Client]):
    """A provider with connections to its API."""

    http: Http = field(repr=False)
    values: Mapping[str, str]

    def open(self, key: Secret, limit: float) -> Client:
        """Its client for one piece of work, with `limit` seconds for each request. Drop it with the key."""
        return self.client(self.http, self.values, key, limit)
