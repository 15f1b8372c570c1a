"""The voices that Bland offers an agency, without samples. Bland docs: List voices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.bland.api import Client, listed
from adapters.client import LISTS
from adapters.portable import Voice, read_voices
from adapters.replies import text


async def list_voices(client: Client) -> list[Voice]:
    return read_voices(listed(await client.ask("GET", "/v1/voices", max_bytes=LISTS), "voices"), _read)


def _read(item: Mapping[str, Any]) -> Voice | None:
    """A voice's name is an id, too, and one that people can read."""
    name = text(item.get("name"))
    if name is None:
        return None
    tags = item.get("tags")
    said = [text(item.get("description")), *(map(text, tags) if isinstance(tags, list) else ())]
    return Voice(name, {"voice": name}, ", ".join(filter(None, said)))
