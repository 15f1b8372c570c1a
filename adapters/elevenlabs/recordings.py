"""Recordings at ElevenLabs. Its API reference: Get conversation audio, Delete conversation. The API serves the audio itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from adapters.elevenlabs.api import Client
from adapters.facets import ServedByApi, StoredAt

_PATH: Final = "/v1/convai/conversations"
_AUDIO: Final = "audio/mpeg"


class Recordings:
    hosts: Final[tuple[str, ...]] = ()

    async def find(self, client: Client, provider_call_id: str) -> Sequence[StoredAt | ServedByApi]:  # noqa: ARG002
        return [ServedByApi(f"{_PATH}/{provider_call_id}/audio", _AUDIO)]

    async def delete_call(self, client: Client, provider_call_id: str) -> None:
        await client.remove(f"{_PATH}/{provider_call_id}")
