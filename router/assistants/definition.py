"""From a client's row to the portable assistant, and where a provider reaches us about it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from adapters.portable import Assistant, Function, Knowledge, Wiring
from crypto import OpenError, Secret
from router.definitions import AssistantDefinition
from router.services import ApiServices
from router.store.assistants.places import Place
from router.store.keys.versions import StoredKey
from router.store.sealed import open_webhook_token
from router.store.tenants.clients import Client

MAPPING: Final = 1
"""Counted up when definitions are written to providers in another way: then every copy is outdated."""

_FIT: Final = re.compile(r"[a-z0-9_]{1,40}")


def marker_of(client_id: str) -> str:
    """By which our copies of a client's assistant are found again: the client's id, or what stands for one that is unfit."""
    if _FIT.fullmatch(client_id):
        return client_id
    return f"client_{hashlib.sha256(client_id.encode()).hexdigest()[:32]}"


def read_assistant(client: Client, provider: str) -> Assistant | None:
    """What the client's assistant is to be at a provider. None: the client has no definition."""
    if client.assistant is None:
        return None
    definition = AssistantDefinition.model_validate(client.assistant)
    hours = client.routing.get("hours") or {}
    return Assistant(
        marker=marker_of(client.id),
        name=client.name,
        prompt=definition.prompt,
        greeting=definition.greeting,
        languages=tuple(definition.languages or ("en-US",)),
        timezone=hours.get("timezone"),
        voice=_voice_at(definition.voice, provider),
        transfer_to=definition.transfer_to,
        functions=tuple(
            Function(function.name, function.description, function.parameters, str(function.url))
            for function in definition.functions or ()
        ),
        knowledge=tuple(Knowledge(text.title, text.text) for text in definition.knowledge or ()),
        voicemail_detection=bool(definition.voicemail_detection),
        max_seconds=definition.max_seconds,
    )


def _voice_at(voices: Mapping[str, Mapping[str, Any]] | None, provider: str) -> Mapping[str, Any]:
    return (voices or {}).get(provider, {})


def make_wiring(services: ApiServices, key: StoredKey) -> Wiring:
    """Raises crypto.OpenError: the address cannot be read any more, and a new key brings a new one."""
    token = open_webhook_token(services.keyring, key.webhook_token_sealed or "", key.agency_id, key.kind)
    base, query = f"{services.public_url}/webhooks/{key.kind}/{key.agency_id}", _query(token)
    return Wiring(webhook_url=f"{base}?{query}", transfer_url=f"{base}/transfer?{query}", secret=token)


def _query(token: Secret) -> str:
    return urlencode({"token": token.reveal()})


def make_place(services: ApiServices, key: StoredKey) -> Place:
    """The key's provider as the agency's assistants are kept there."""
    host, numbers = services.assistant_hosts.get(key.kind), services.number_hosts.get(key.kind)
    try:
        address = make_wiring(services, key).webhook_url
    except OpenError:  # whoever is to write it somewhere says so
        address = "unreadable"
    written = f"{MAPPING} {address}"
    return Place(
        agency_id=key.agency_id,
        provider=key.kind,
        form=hashlib.sha256(written.encode()).hexdigest(),
        numbered=bool((host and host.lives_on_numbers) or (numbers and numbers.registers_numbers)),
    )
