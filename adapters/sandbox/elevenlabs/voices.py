"""The part of the stand-in for ElevenLabs that lists voices, always the same ones. Source: ElevenLabs' OpenAPI (List voices, v2)."""

from __future__ import annotations

from adapters.sandbox.api import Asked, Json, Part, endpoint
from adapters.sandbox.elevenlabs.org import ElevenLabsOrg

_VOICES: list[Json] = [
    {
        "voice_id": "cjVigY5qzO86Huf0OWal",
        "name": "Eric",
        "category": "premade",
        "labels": {"accent": "american", "age": "middle_aged", "gender": "male", "use_case": "conversational"},
        "preview_url": "https://samples.invalid/eric.mp3",
    },
]


class Voices(Part[ElevenLabsOrg]):
    prefix = "/v2/voices"

    @endpoint("GET")
    def _list(self, _org: ElevenLabsOrg, _asked: Asked) -> Json:
        return {"voices": _VOICES, "has_more": False, "total_count": len(_VOICES), "next_page_token": None}
