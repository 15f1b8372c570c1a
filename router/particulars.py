"""What differs between providers as people meet it: names, where to find a key, what else belongs to it.

A provider without an entry works too: its key has nothing beside it, and its numbers need no registration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import Field, create_model

from adapters.features import all_offers
from router.fields import E164, AccountSid, Input, RemoteId, SecretText


class Registration(Input):
    """A number's registration at a provider."""

    remote_id: Annotated[RemoteId, Field(description="Its id there")]

    @property
    def reached_by(self) -> str | None:
        """How it is reached, where there are several ways."""
        return None


class BlandRegistration(Registration):
    """The number at Bland that holds the assistant."""

    remote_id: Annotated[E164, Field(description="The number at Bland")]
    mode: Annotated[Literal["sip", "number"], Field(description="By a session over SIP, or dialled as any number")] = (
        "sip"
    )

    @property
    def reached_by(self) -> str | None:
        return self.mode


@dataclass(frozen=True, slots=True)
class Particulars:
    """`webhook_secret` is the field for what it signs webhooks with, where that is not the key. `takes_carrier_key`:
    a revocable API key of a carrier account is enough for it; others are given the account's token. `labels_purchases`:
    a number that is bought there bears our label from the first moment.
    """

    label: str
    find_key: str
    webhook_secret: str | None = None
    registration: type[Registration] | None = None
    takes_carrier_key: bool = False
    labels_purchases: bool = False


def _offered(name: str, **rest: Any) -> Particulars:
    offer = all_offers()[name]
    return Particulars(offer.label, offer.find_key, **rest)


_KNOWN: Final[Mapping[str, Particulars]] = {
    "vapi": _offered("vapi", registration=Registration, takes_carrier_key=True),
    "retell": _offered("retell", webhook_secret="webhook_key", labels_purchases=True),  # noqa: S106 - a field's name
    "bland": _offered("bland", webhook_secret="signing_secret", registration=BlandRegistration),  # noqa: S106 - as above
    "twilio": Particulars(
        label="Twilio",
        find_key="Account SID and auth token stand on the first page of the Twilio console; an API key will not do.",
    ),
}


def particulars_of(kind: str) -> Particulars:
    return _KNOWN.get(kind) or Particulars(kind.title(), "It is in the provider's dashboard.")


class VoiceKey(Input):
    """A key for a voice provider."""

    key: Annotated[SecretText, Field(description="The key, as the provider's dashboard shows it")]
    activate: Annotated[bool, Field(description="Make this provider the agency's active one")] = True
    compromised: Annotated[bool, Field(description="Erase all earlier versions at once")] = False


class TwilioKey(Input):
    """The agency's own Twilio account."""

    account_sid: Annotated[AccountSid, Field(description="The account's SID")]
    auth_token: Annotated[SecretText, Field(description="The account's auth token; an API key will not do")]
    compromised: Annotated[bool, Field(description="Erase all earlier versions at once")] = False


def voice_key_model(kind: str) -> type[VoiceKey]:
    """The form of a provider's key, with its webhook secret if it has one."""
    particulars = particulars_of(kind)
    if particulars.webhook_secret is None:
        return VoiceKey
    secret = Annotated[
        SecretText | None,
        Field(description="What webhooks are signed with, if not the key. Left out: as before. null: none"),
    ]
    name, fields = f"{particulars.label}Key", {particulars.webhook_secret: (secret, None)}
    model: type[VoiceKey] = create_model(name, __base__=VoiceKey, **fields)  # type: ignore[call-overload]
    return model
