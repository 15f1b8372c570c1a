"""The voices in an agency's ElevenLabs workspace. ElevenLabs docs: List voices (v2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from adapters.client import LISTS
from adapters.elevenlabs.api import Client
from adapters.portable import Voice, read_voices
from adapters.replies import find, read_objects, text

_PAGE: Final = 100  # the most that one page may have; a workspace that uses more voices is not expected


async def list_voices(client: Client) -> list[Voice]:
    reply = await client.send("GET", "/v2/voices", query={"page_size": _PAGE}, max_bytes=LISTS)
    return read_voices(read_objects(reply, find(client.read(reply), "voices"), ()), _read)


def _read(item: Mapping[str, Any]) -> Voice | None:
    voice_id = text(item.get("voice_id"))
    if voice_id is None:
        return None
    about = [said for name in ("gender", "accent", "age", "use_case") if (said := text(find(item, "labels", name)))]
    name = text(item.get("name")) or voice_id
    return Voice(name, {"voice_id": voice_id}, ", ".join(about), text(item.get("preview_url")))
