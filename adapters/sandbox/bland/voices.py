"""The part of the stand-in for Bland that lists voices, always the same ones. Source: Bland docs (List voices)."""

from __future__ import annotations

from adapters.sandbox.api import Asked, Json, Part, endpoint
from adapters.sandbox.bland.org import BlandOrg

_VOICES: list[Json] = [
    {"id": "6432cdc3-7a2b-4f1b-9d9e-1f8d2f0e2a11", "name": "maya", "description": "Young American female"}
    | {"public": True, "tags": ["english", "Bland Curated"], "total_ratings": 0, "average_rating": 0},
    {"id": "2f9fdbc7-4bf2-4792-8a18-21ce3c93978f", "name": "mason", "description": "American male"}
    | {"public": True, "tags": ["english"], "total_ratings": 0, "average_rating": 0},
]


class Voices(Part[BlandOrg]):
    prefix = "/v1/voices"

    @endpoint("GET")
    def _list(self, _org: BlandOrg, _asked: Asked) -> Json:
        return {"voices": _VOICES}
