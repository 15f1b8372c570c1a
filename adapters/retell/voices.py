"""The voices that Retell offers an agency. Retell docs: List voices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.portable import Voice, read_voices
from adapters.replies import text
from adapters.retell.api import Client


async def list_voices(client: Client) -> list[Voice]:
    return read_voices(await client.list_whole("/list-voices"), _read)


def _read(item: Mapping[str, Any]) -> Voice | None:
    voice_id = text(item.get("voice_id"))
    if voice_id is None:
        return None
    about = [said for name in ("gender", "accent", "age", "provider") if (said := text(item.get(name)))]
    name = text(item.get("voice_name")) or voice_id
    return Voice(name, {"voice_id": voice_id}, ", ".join(about), text(item.get("preview_audio_url")))
