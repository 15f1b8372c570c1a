"""Recordings at Retell. Its API references: Get Call, Delete Call.

The first host is in the reference's examples, the second is what it gives today; neither is promised.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from adapters.facets import ServedByApi, StoredAt
from adapters.replies import find, text
from adapters.retell.api import Client
from crypto.secret import Secret

_FIELDS: Final = ("recording_url", "scrubbed_recording_url")  # the second alone where personal data is taken out


class Recordings:
    hosts: Final = ("retellai.s3.us-west-2.amazonaws.com", "dxc03zgurdly9.cloudfront.net", ".retellai.com")

    async def find(self, client: Client, provider_call_id: str) -> Sequence[StoredAt | ServedByApi]:
        call = await client.look("GET", f"/v2/get-call/{provider_call_id}")
        return [StoredAt(Secret(url)) for name in _FIELDS if (url := text(find(call, name)))]

    async def delete_call(self, client: Client, provider_call_id: str) -> None:
        await client.remove(f"/v2/delete-call/{provider_call_id}")
