"""Recordings at Vapi. Its API reference: Get Call (artifact), Delete Call; docs: Call recording.

Its store is storage.vapi.ai. Presigned addresses are tried first, because the plain ones may be closed to the public; at
which host they are is not documented. Recordings in an agency's own bucket are not fetched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from adapters.facets import ServedByApi, StoredAt
from adapters.replies import find, text
from adapters.vapi.api import Client
from crypto.secret import Secret

_PLACES: Final = (
    ("artifact", "presignedMonoUrl"),
    ("artifact", "recording", "mono", "combinedUrl"),
    ("artifact", "recordingUrl"),
    ("recordingUrl",),
    ("artifact", "presignedStereoUrl"),
    ("artifact", "recording", "stereoUrl"),
)


class Recordings:
    hosts: Final = ("storage.vapi.ai",)

    async def find(self, client: Client, provider_call_id: str) -> Sequence[StoredAt | ServedByApi]:
        call = await client.look("GET", f"/call/{provider_call_id}")
        return [StoredAt(Secret(url)) for place in _PLACES if (url := text(find(call, *place)))]

    async def delete_call(self, client: Client, provider_call_id: str) -> None:
        await client.remove(f"/call/{provider_call_id}")
