"""Stylesheet, script and icon. Their addresses carry a fingerprint, so that browsers keep them until they change."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_FOLDER: Final = Path(__file__).parent / "static"
_MEDIA: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def static_route() -> Route:
    files = {path.name: (path.read_bytes(), _MEDIA[path.suffix]) for path in _FOLDER.iterdir() if path.suffix in _MEDIA}

    async def show(request: Request) -> Response:
        found = files.get(request.path_params["name"])
        if found is None:
            return Response("There is no such file.\n", 404, media_type="text/plain")
        headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
        return Response(found[0], headers=headers, media_type=found[1])

    return Route("/console/static/{name}", show, methods=["GET"])
