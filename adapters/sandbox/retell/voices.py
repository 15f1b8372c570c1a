"""The part of the stand-in for Retell that lists voices, always the same ones. Source: Retell docs (List voices)."""

from __future__ import annotations

from adapters.sandbox.api import Asked, Json, Part, endpoint
from adapters.sandbox.retell.org import RetellOrg

_SAMPLES = "https://samples.invalid"
_VOICES: list[Json] = [
    {"voice_id": "11labs-Adrian", "voice_name": "Adrian", "provider": "elevenlabs", "gender": "male"}
    | {"accent": "American", "age": "Young", "preview_audio_url": f"{_SAMPLES}/adrian.mp3"},
    {"voice_id": "openai-Alloy", "voice_name": "Alloy", "provider": "openai", "gender": "female"}
    | {"accent": "American", "age": "Middle Aged", "preview_audio_url": f"{_SAMPLES}/alloy.mp3"},
]


class Voices(Part[RetellOrg]):
    prefix = "/list-voices"

    @endpoint("GET")
    def _list(self, _org: RetellOrg, _asked: Asked) -> list[Json]:
        return _VOICES
