"""Recordings at Bland. Its docs: Get Call Recording, Delete Call.

Its API serves the audio itself, so the address in its JSON, which may be at a carrier that asks for a login, is not needed.
Deleting needs an entitlement (REDACT_CALLS) that not every organisation has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from adapters.base import ErrorKind, ProviderError, bad_request
from adapters.bland.api import Client
from adapters.facets import ServedByApi, StoredAt

_AUDIO: Final = "audio/mpeg"
_FORBIDDEN: Final = 403


class Recordings:
    hosts: Final[tuple[str, ...]] = ()

    async def find(self, client: Client, provider_call_id: str) -> Sequence[StoredAt | ServedByApi]:  # noqa: ARG002
        return [ServedByApi(f"/v1/calls/{provider_call_id}/recording", _AUDIO)]

    async def delete_call(self, client: Client, provider_call_id: str) -> None:
        try:
            await client.tell("DELETE", f"/v1/calls/{provider_call_id}", json={"delete_recording": True})
        except ProviderError as error:
            if error.status == _FORBIDDEN and error.kind is ErrorKind.KEY_REJECTED:
                raise bad_request(error.said or "the organisation may not delete calls", _FORBIDDEN) from None
            if not client.is_gone(error):
                raise
