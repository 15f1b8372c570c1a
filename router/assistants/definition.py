"""From a client's row to the portable assistant."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from adapters.portable import Assistant, Function, Knowledge
from router.definitions import AssistantDefinition
from router.store.tenants.clients import Client

_FIT: Final = re.compile(r"[a-z0-9_]{1,40}")


def marker_of(client_id: str) -> str:
    """By which copies of a client's assistant are found again: its id, or a hash of one that does not fit."""
    if _FIT.fullmatch(client_id):
        return client_id
    return f"client_{hashlib.sha256(client_id.encode()).hexdigest()[:32]}"


def read_assistant(client: Client, provider: str) -> Assistant | None:
    """The client's assistant for a provider. None: the client has no definition."""
    if client.assistant is None:
        return None
    definition = AssistantDefinition.model_validate(client.assistant)
    hours = client.routing.get("hours") or {}
    return Assistant(
        marker=marker_of(client.marker or client.id),
        name=client.name,
        prompt=definition.prompt,
        greeting=definition.greeting,
        languages=tuple(definition.languages or ("en-US",)),
        timezone=hours.get("timezone"),
        voice=(definition.voice or {}).get(provider, {}),
        transfer_to=definition.transfer_to,
        functions=tuple(
            Function(function.name, function.description, function.parameters, str(function.url))
            for function in definition.functions or ()
        ),
        knowledge=tuple(Knowledge(text.title, text.text) for text in definition.knowledge or ()),
        voicemail_detection=bool(definition.voicemail_detection),
        max_seconds=definition.max_seconds,
    )
