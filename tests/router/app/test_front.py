"""Webhooks are found as Starlette would find them, only sooner."""

from __future__ import annotations

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Match, Route

from router.app.front import Webhooks


async def answer(_: Request) -> Response:
    return PlainTextResponse("taken")


ROUTES = [
    Route("/webhooks/twilio/voice", answer, methods=["POST"]),
    Route("/webhooks/twilio/calls/{call_id}/{step}", answer, methods=["POST"]),
    Route("/webhooks/vapi/{agency_id}", answer, methods=["POST"]),
    Route("/webhooks/vapi/{agency_id}/transfer", answer, methods=["POST"]),
    Route("/webhooks/twilio/{agency_id}", answer, methods=["POST"]),
    Route("/fallback/voice", answer, methods=["GET", "POST"]),
]
PATHS = [
    "/webhooks/twilio/voice", "/webhooks/twilio/voice/", "/webhooks/twilio/status", "/webhooks/twilio/calls",
    "/webhooks/twilio/calls/call_1/ai-1", "/webhooks/twilio/calls/call_1/", "/webhooks/twilio/calls//ai-1",
    "/webhooks/twilio/calls/a/b/c", "/webhooks/vapi/agency_1", "/webhooks/vapi/", "/webhooks/vapi/a/transfer",
    "/webhooks/vapi/a/transfers", "/webhooks/vapi/ä b", "/webhooks/bland/a", "/fallback/voice", "/", "", "//", "no slash",
]  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("path", PATHS)
def test_an_address_leads_where_it_leads_in_starlette(path: str, method: str):
    scope = {"type": "http", "path": path, "method": method, "root_path": ""}
    theirs = None
    for route in ROUTES:
        match, found = route.matches(scope)
        if match is Match.FULL and theirs is None:
            theirs = route, found["path_params"]
    assert Webhooks(ROUTES).find(path, method) == theirs
