"""From a client's row to the portable assistant."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from adapters.portable import Assistant, Function, Knowledge
from router.definitions import AssistantDefinition
from router.store.tenants.clients import Client

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
