"""Turns traces on for as long as a process runs, and puts a span around each request that it answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from router.settings import Settings, reveal
from router.telemetry import traces

_SEND_SECONDS: Final = 3.0  # for what waits at the end
_OUR_FAULT: Final = 500


@asynccontextmanager
async def tracing(settings: Settings) -> AsyncIterator[None]:
    """Export traces while the block runs, if the settings say where to."""
    endpoint = settings.traces_endpoint
    if endpoint is None:
        yield
        return
    from router.telemetry.exporting import OtlpTracing  # noqa: PLC0415  the SDK costs memory and time

    exported = OtlpTracing(
        endpoint,
        reveal(settings.otel_exporter_otlp_headers),
        settings.otel_service_name,
        version("callrouter"),
        settings.otel_traces_sampler,
        settings.otel_traces_sampler_arg,
    )
    traces.use(exported)
    try:
        yield
    finally:
        traces.use(None)
        await asyncio.to_thread(exported.shut_down, _SEND_SECONDS)


async def answer_traced(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """The application's answer, within a span; sending the end of it is one, too."""
    with traces.serving(scope["method"]) as span:
        scope[traces.SCOPE_KEY] = span

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                span.set(status=message["status"])
                if message["status"] >= _OUR_FAULT:
                    span.fail(str(message["status"]))
            if message["type"] != "http.response.body" or message.get("more_body"):
                await send(message)
                return
            with traces.span("reply"):
                await send(message)

        await app(scope, receive, send_on)
