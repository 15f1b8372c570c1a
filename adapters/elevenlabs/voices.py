"""The voices in an agency's ElevenLabs workspace. ElevenLabs docs: List voices (v2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from adapters.client import LISTS
from adapters.elevenlabs.api import Client
from adapters.portable import MOST_VOICES, Voice, read_voices
from adapters.replies import find, read_objects, text

_PAGE: Final = 100  # the most that one page may have


async def list_voices(client: Client) -> list[Voice]:
    items: list[dict[str, Any]] = []
    query: dict[str, str | int] = {"page_size": _PAGE}
    for _ in range(MOST_VOICES // _PAGE):
        reply = await client.send("GET", "/v2/voices", query=query, max_bytes=LISTS)
        answer = client.read(reply)
        items += read_objects(reply, find(answer, "voices"), ())
        following = text(find(answer, "next_page_token"))
        if find(answer, "has_more") is not True or following in (None, query.get("next_page_token")):
            break
        query["next_page_token"] = str(following)
    return read_voices(items, _read)


def _read(item: Mapping[str, Any]) -> Voice | None:
    voice_id = text(item.get("voice_id"))
    if voice_id is None:
        return None
    about = [said for name in ("gender", "accent", "age", "use_case") if (said := text(find(item, "labels", name)))]
    name = text(item.get("name")) or voice_id
    return Voice(name, {"voice_id": voice_id}, ", ".join(about), text(item.get("preview_url")))
