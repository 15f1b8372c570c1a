"""Measures how long webhooks take, by route and status."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from router.telemetry import metrics, traces


def timed(route: str, endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """The same endpoint, with each request measured. `route` is its path with placeholders."""

    async def answer(request: Request) -> Response:
        began, status = time.monotonic(), 500
        traces.name_request(request.scope, request.method, route)
        try:
            response = await endpoint(request)
            status = response.status_code
        finally:
            metrics.request_finished(route, status, time.monotonic() - began)
        return response

    return answer
