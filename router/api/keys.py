"""Keys of an agency: /v1/agencies/{agency}/keys. A saved key is never shown again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter
from pydantic import AfterValidator, Field, create_model

from adapters.provider import Declaration
from adapters.registry import Declarations
from adapters.twilio import ABOUT
from crypto import Secret
from router.accounts import CARRIER
from router.api.asking import By, OwnAgency, Use
from router.api.route import problems, resource
from router.fields import AccountSid, HiddenAddress, Input, Matching, Output, SecretText, distinct
from router.keys.saving import Keys, NewKey
from router.keys.shown import KeyViews, ShownKey
from router.keys.webhook_tokens import WebhookTokens
from router.settings import MOST_SHARED_KEYS, SHARED_KEY_ID

_PATH: Final = "/v1/agencies/{agency}/keys"
_REFUSED: Final = (
    "Possible even while numbers are on that account. Their calls can then not be verified and are refused, so the "
    "carrier uses their fallback address, until a token of the same account is saved."
)
_TRIED: Final = (
    "The key is tested with a real request first. If that fails, nothing is saved, and the previous key stays in use."
)

Work = Annotated[Keys, Use(Keys)]
Tokens = Annotated[WebhookTokens, Use(WebhookTokens)]
Views = Annotated[KeyViews, Use(KeyViews)]


class SyncReply(Output):
    """How many of the agency's clients have their assistant at the provider."""

    state: Annotated[
        Literal["idle", "running", "done", "failed"],
        Field(description="idle: nothing to do; failed: done, except for some clients"),
    ]
    done: Annotated[int, Field(description="Clients whose assistant is synced")]
    total: Annotated[int, Field(description="Clients whose assistant should be synced")]
    failed: Annotated[int, Field(description="Clients whose sync failed")]


class LinesReply(Output):
    """Simultaneous calls, as the provider counts them."""

    limit: Annotated[int, Field(description="The limit")]
    used: Annotated[int | None, Field(description="Calls in progress; null: not reported")]


class SharedKeyReply(Output):
    """A shared key, without its secret."""

    id: Annotated[
        str, Field(description="As Twilio shows it", examples=["webhooks_sharedkey_01h2xcejqtf2nbrexx3vqjhp41"])
    ]


class KeyReply(Output):
    """What may be shown of a key."""

    kind: Annotated[str, Field(description="A voice provider's name, or twilio", examples=["vapi"])]
    last4: Annotated[str, Field(description="Its last four characters, or fewer of a short one", examples=["x7Qa"])]
    status: Annotated[
        Literal["valid", "out_of_credit", "failing"], Field(description="failing: refused since it was saved")
    ]
    problem: Annotated[str | None, Field(description="What is wrong, as the provider reports it")]
    failing_since: Annotated[datetime | None, Field(description="Since when it has been refused")]
    checked_at: Annotated[datetime, Field(description="When it was last tested")]
    balance: Annotated[float | None, Field(description="In US dollars, if the provider reports it")]
    lines: Annotated[LinesReply | None, Field(description="Simultaneous calls, if the provider reports them")]
    version: Annotated[int, Field(description="Increases each time a key of this kind is saved")]
    active: Annotated[bool, Field(description="Whether its provider is the agency's active one")]
    sync: Annotated[SyncReply, Field(description="The progress of the sync to this provider")]
    webhook_url: Annotated[
        HiddenAddress,
        Field(
            description="Where the provider reports calls, to be set on assistants that were linked by hand. null: the "
            "provider reports none, the token may only read, or the address can no longer be read: save the key again"
        ),
    ]
    webhooks_signed: Annotated[
        bool | None,
        Field(
            description="true: the provider's signature has verified with this key, and is required since then. false: "
            "it has not yet, and the token in the address is enough; if webhooks arrive, save the key that signs them "
            "as webhook_key. null: this provider does not sign every webhook"
        ),
    ]
    shared_keys: Annotated[
        list[SharedKeyReply] | None,
        Field(
            default=None,
            exclude_if=lambda shared_keys: shared_keys is None,
            description="The shared keys that verify Twilio's requests. Other kinds do not have this field",
        ),
    ]


class KeyList(Output):
    """All keys of an agency."""

    items: Annotated[list[KeyReply], Field(description="One of each kind at most")]
    next_cursor: Annotated[str | None, Field(description="Always null: there is one page")] = None


class VoiceKey(Input):
    """A key for a voice provider."""

    key: Annotated[SecretText, Field(description="The key, as the provider's dashboard shows it")]
    activate: Annotated[bool, Field(description="Make this provider the agency's active one")] = True
    compromised: Annotated[bool, Field(description="Erase all earlier versions and the webhook address at once")] = (
        False
    )


def _distinct_ids(shared_keys: list[SharedKey]) -> list[SharedKey]:
    distinct([one.id for one in shared_keys])
    return shared_keys


class SharedKey(Input):
    """What signs webhooks instead of the account's token, if a webhook rule of the account names it."""

    id: Annotated[
        Annotated[
            str, Matching(SHARED_KEY_ID, "must be the ID as Twilio shows it: up to 100 letters, digits and _ . -")
        ],
        Field(description="As Twilio shows it", examples=["webhooks_sharedkey_01h2xcejqtf2nbrexx3vqjhp41"]),
    ]
    secret: Annotated[SecretText, Field(description="Its secret, which Twilio shows once")]


class TwilioKey(Input):
    """The agency's own Twilio account."""

    account_sid: Annotated[AccountSid, Field(description="The account's SID")]
    auth_token: Annotated[SecretText, Field(description="The account's auth token, not an API key")]
    shared_keys: Annotated[
        Annotated[list[SharedKey], Field(max_length=MOST_SHARED_KEYS), AfterValidator(_distinct_ids)] | None,
        Field(
            description="The shared keys that sign webhooks, if webhook rules of the account name such keys. They replace "
            "those saved. Left out: unchanged. Empty or null: none"
        ),
    ] = None
    compromised: Annotated[bool, Field(description="Erase all earlier versions at once")] = False


class WebhookToken(Input):
    """A new token in the webhook address."""

    compromised: Annotated[
        bool, Field(description="The former address was leaked: it ends at once, and not in an hour")
    ] = False


def voice_key_model(provider: Declaration[Any]) -> type[VoiceKey]:
    """The body for a provider's key, with its webhook secret if it has one."""
    if provider.webhook_secret is None:
        return VoiceKey
    secret = Annotated[
        SecretText | None,
        Field(description="The secret that signs webhooks, if it is not the key. Left out: unchanged. null: none"),
    ]
    fields: Any = {provider.webhook_secret.name: (secret, None)}
    model: type[VoiceKey] = create_model(f"{provider.label}Key", __base__=VoiceKey, **fields)
    return model


def key_router(voice: Declarations) -> APIRouter:
    """With addresses for each of these voice providers, and for Twilio."""
    router = resource("keys")

    @router.get(_PATH, summary="List keys, without the keys", response_model=KeyList)
    async def list_keys(agency: OwnAgency, views: Views) -> dict[str, Sequence[ShownKey]]:
        return {"items": await views.show_all(agency)}

    for provider in voice:
        _add_kind(router, provider.name, provider.label)
        _add_voice_key(router, provider)
        _add_webhook_token(router, provider)
    _add_kind(router, CARRIER, ABOUT.label)
    _add_carrier_key(router)
    return router


def _add_kind(router: APIRouter, kind: str, label: str) -> None:
    path = f"{_PATH}/{kind}"

    @router.get(path, summary=f"Show the {label} key, without the key", response_model=KeyReply)
    async def show_key(agency: OwnAgency, views: Views) -> ShownKey:
        return await views.show_one(agency, kind)

    @router.delete(
        path,
        summary=f"Erase the {label} key, all versions at once",
        description=_REFUSED if kind == CARRIER else None,
        status_code=204,
    )
    async def erase_key(agency: OwnAgency, author: By, keys: Work) -> None:
        await keys.erase(agency, kind, author)


def _add_voice_key(router: APIRouter, provider: Declaration[Any]) -> None:
    name = provider.webhook_secret.name if provider.webhook_secret else None

    async def save_key(agency: OwnAgency, body: VoiceKey, author: By, keys: Work) -> ShownKey:
        given = getattr(body, name) if name else None
        key = NewKey(
            provider.name,
            Secret(body.key.get_secret_value()),
            activate=body.activate,
            compromised=body.compromised,
            webhook_secret=Secret(given.get_secret_value()) if given else None,
            webhook_secret_given=name in body.model_fields_set,
        )
        return await keys.save(agency, key, author)

    save_key.__annotations__["body"] = voice_key_model(provider)
    router.put(f"{_PATH}/{provider.name}", **_save(provider.label))(save_key)


_NOT_COMPROMISED: Final = WebhookToken()  # what a request without a body says


def _add_webhook_token(router: APIRouter, provider: Declaration[Any]) -> None:
    kind = provider.name

    @router.post(
        f"{_PATH}/{kind}/webhook-token",
        summary=f"Make a new webhook address for {provider.label}",
        description="Our assistants and numbers at the provider get the new address with a sync. The former one works for "
        "an hour, unless it was compromised. Enter the new one at assistants that you set up by hand.",
        response_model=KeyReply,
    )
    async def renew_webhook_token(
        agency: OwnAgency, author: By, tokens: Tokens, body: WebhookToken = _NOT_COMPROMISED
    ) -> ShownKey:
        return await tokens.renew(agency, kind, author, compromised=body.compromised)


def _add_carrier_key(router: APIRouter) -> None:
    @router.put(f"{_PATH}/{CARRIER}", **_save(ABOUT.label))
    async def save_key(agency: OwnAgency, body: TwilioKey, author: By, keys: Work) -> ShownKey:
        token = Secret(body.auth_token.get_secret_value())
        key = NewKey(
            CARRIER,
            token,
            account_sid=body.account_sid,
            compromised=body.compromised,
            webhook_secret_given="shared_keys" in body.model_fields_set,
            shared_keys={one.id: Secret(one.secret.get_secret_value()) for one in body.shared_keys or ()},
        )
        return await keys.save(agency, key, author)


def _save(label: str) -> dict[str, Any]:
    return {
        "summary": f"Save the {label} key",
        "description": _TRIED,
        "response_model": KeyReply,
        "responses": problems("key-rejected", "provider-unreachable"),
    }
