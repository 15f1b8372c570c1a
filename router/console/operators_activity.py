"""The operator's audit log: what was changed in all agencies, deleted agencies, sign-ins and refused tokens."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from router.console.api import api_path
from router.console.gate import Gate
from router.console.services import ConsoleServices
from router.console.words import say_actor

_AT_A_TIME = 50


class OperatorsActivity:
    """Read-only. Who is not the operator gets what the API says to them."""

    def __init__(self, services: ConsoleServices, gate: Gate) -> None:
        self._services = services
        self._gate = gate

    async def show(self, request: Request) -> Response:
        session, api = await self._gate.enter(request)
        cursor = request.query_params.get("cursor", "").strip()
        page = await api.get(api_path("audit"), limit=_AT_A_TIME, cursor=cursor)
        names = {one["id"]: one["name"] for one in await api.list_all(api_path("agencies"))}
        older = page["next_cursor"]
        return self._gate.drawing.respond(
            "operators_activity.html",
            session=session,
            entries=[self._tell(one) for one in page["items"]],
            names=names,
            older=older and f"{self._services.home}/activity?{urlencode({'cursor': older})}",
        )

    def _tell(self, entry: dict[str, Any]) -> dict[str, Any]:
        target, kind = entry["target"], self._services.kinds.get(entry["target"])
        about = "" if target == entry["agency_id"] else kind.label if kind else target
        return entry | {"who": say_actor(entry["actor"], {}), "about": about}
