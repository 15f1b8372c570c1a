"""Keys of an agency: /v1/agencies/{agency}/keys.

A key is tried with a real request before it is saved; if the other system refuses it or cannot be asked, nothing is
saved and what was there stays in use. A saved key is never shown again.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from crypto import Secret
from router.accounts import CARRIER
from router.api.models import KeyList, KeyReply
from router.api.operations import Answer, ApiRequest, Endpoint
from router.keys.saving import NewKey
from router.particulars import TwilioKey, VoiceKey, particulars_of, voice_key_model

_REFUSED: Final = (
    "Always possible, also while numbers live on that account: calls to them are then refused as unproven, and the "
    "carrier goes to their fallback address, until a token of the same account is saved."
)
_TRIED: Final = (
    "It is tried with a real request first. If that fails nothing is saved, and what was there stays in use."
)


def key_endpoints(voice: Iterable[str]) -> list[Endpoint]:
    path = "/v1/agencies/{agency}/keys"
    endpoints = [Endpoint("GET", path, "List keys, without the keys", show_keys, reply=KeyList)]
    forms: dict[str, tuple[type[VoiceKey | TwilioKey], Any]] = {
        kind: (voice_key_model(kind), partial(save_voice_key, kind)) for kind in voice
    }
    forms[CARRIER] = (TwilioKey, save_carrier_key)
    for kind, (form, save) in forms.items():
        label, one = particulars_of(kind).label, f"{path}/{kind}"
        endpoints += [
            Endpoint("GET", one, f"Show the {label} key, without the key", partial(show_key, kind), reply=KeyReply),
            Endpoint(
                "PUT",
                one,
                f"Save the {label} key",
                save,
                body=form,
                reply=KeyReply,
                problems=("key-rejected", "provider-unreachable"),
                description=_TRIED,
            ),
            Endpoint(
                "DELETE",
                one,
                f"Erase the {label} key, all versions at once",
                partial(remove_key, kind),
                status=204,
                description=_REFUSED if kind == CARRIER else "",
            ),
        ]
    return endpoints


async def show_keys(request: ApiRequest[None]) -> Answer:
    keys = await request.services.areas.key_views.show_all(request.agency_id)
    return Answer.of(200, KeyList(items=[KeyReply.model_validate(key) for key in keys]))


async def show_key(kind: str, request: ApiRequest[None]) -> Answer:
    shown = await request.services.areas.key_views.show_one(request.agency_id, kind)
    return Answer.of(200, KeyReply.model_validate(shown))


async def save_voice_key(kind: str, request: ApiRequest[VoiceKey]) -> Answer:
    body, name = request.body, particulars_of(kind).webhook_secret
    given = getattr(body, name) if name else None
    key = NewKey(
        kind,
        Secret(body.key.get_secret_value()),
        activate=body.activate,
        compromised=body.compromised,
        webhook_secret=Secret(given.get_secret_value()) if given else None,
        webhook_secret_given=name in body.model_fields_set,
    )
    return await _save(request, key)


async def save_carrier_key(request: ApiRequest[TwilioKey]) -> Answer:
    body = request.body
    token = Secret(body.auth_token.get_secret_value())
    return await _save(request, NewKey(CARRIER, token, account_sid=body.account_sid, compromised=body.compromised))


async def remove_key(kind: str, request: ApiRequest[None]) -> Answer:
    await request.services.areas.keys.erase(request.agency_id, kind, request.author())
    return Answer.of(204)


async def _save(request: ApiRequest[Any], key: NewKey) -> Answer:
    shown = await request.services.areas.keys.save(request.agency_id, key, request.author(200, KeyReply))
    return Answer.of(200, KeyReply.model_validate(shown))
