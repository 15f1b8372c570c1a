"""Webhooks before everything else: found by their address without a regular expression, outside of Starlette's
middleware. A caller waits for them, and they need nothing of it: each answers its own failures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from router.app.tracing import answer_traced
from router.telemetry import traces

_Pattern: TypeAlias = tuple[Route, tuple[str, ...]]
"""A route, and the segments of its path."""

_PROBES: Final = frozenset({"/livez", "/healthz", "/readyz", "/metrics"})  # asked all the time: they are not traced
_FAMILY: Final = 2  # the segment after the first slash's: "twilio" in /webhooks/twilio/voice


class Webhooks:
    """Routes by path. Those with placeholders are grouped by the number of segments and by the segment that tells families
    apart.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self._fixed: dict[str, Route] = {}
        self._open: defaultdict[tuple[int, str], list[_Pattern]] = defaultdict(list)
        for route in routes:
            if "{" in route.path:
                segments = tuple(route.path.split("/"))
                self._open[len(segments), segments[_FAMILY]].append((route, segments))
            else:
                self._fixed[route.path] = route

    def find(self, path: str, method: str) -> tuple[Route, dict[str, str]] | None:
        """The route and its path's parameters; None if Starlette has to look, also for another method."""
        found = self._find(path)
        return found if found is not None and method in (found[0].methods or ()) else None

    def _find(self, path: str) -> tuple[Route, dict[str, str]] | None:
        fixed = self._fixed.get(path)
        if fixed is not None:
            return fixed, {}
        given = path.split("/")
        if len(given) <= _FAMILY:
            return None
        for route, segments in self._open.get((len(given), given[_FAMILY]), ()):
            params = _match(segments, given)
            if params is not None:
                return route, params
        return None


class Application(Starlette):
    """Starlette, with webhooks in front of it. It knows their routes, too, for all but their exact addresses."""

    def __init__(self, webhooks: Sequence[Route], routes: Sequence[BaseRoute], **options: Any) -> None:
        super().__init__(routes=[*routes, *webhooks], **options)
        self._webhooks = Webhooks(webhooks)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        traces.begin_request()
        if traces.is_on() and scope["path"] not in _PROBES:
            await answer_traced(self._answer, scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._webhooks.find(scope["path"], scope["method"])
        if found is None:
            await super().__call__(scope, receive, send)
            return
        route, scope["path_params"] = found
        response = await route.endpoint(Request(scope, receive, send))
        await response(scope, receive, send)


def _match(segments: Sequence[str], given: Sequence[str]) -> dict[str, str] | None:
    """The values of the placeholders; None if another segment differs or a value is empty."""
    params = {}
    for segment, value in zip(segments, given, strict=True):
        if segment.startswith("{"):
            params[segment[1:-1]] = value
            if not value:
                return None
        elif segment != value:
            return None
    return params
