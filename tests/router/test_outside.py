"""Connections out of the process: what is slow does not keep live calls waiting."""

from __future__ import annotations

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from adapters.carrier import Account
from adapters.registry import PROVIDERS, settings_of
from crypto import Secret, new_key_entry
from router.app.outside import make_outside
from router.clock import utc_now
from router.settings import load_settings
from tests.support.serving import serve_app
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

ACCOUNT = Account("AC" + "0" * 32, Secret("token"))
CALL, RECORDING = "CA" + "0" * 32, "RE" + "0" * 32


@pytest.mark.parametrize("slow", ["listening_carrier", "carrier"])
async def test_a_live_call_is_changed_while_all_other_connections_are_taken(tmp_path, database_dsn, slow):
    """Nor do slow listeners take those of mails and of work on numbers."""
    asked, ends = [], asyncio.Event()

    async def hang(request):
        asked.append(request)
        await ends.wait()
        return JSONResponse({}, 404)

    async def change(_request):
        return JSONResponse({"sid": CALL})

    twilio = Starlette(
        routes=[
            Route("/{version}/Accounts/{account}/Recordings/{recording}", hang),
            Route("/{version}/Accounts/{account}/Calls/{call}", change, methods=["POST"]),
        ]
    )
    async with serve_app(twilio) as url:
        settings = load_settings(
            {
                "DATABASE_URL": database_dsn,
                "CALLROUTER_PLATFORM_KEYS": new_key_entry(),
                "CALLROUTER_FALLBACK_KEYS": new_key_entry(),
                "CALLROUTER_ADMIN_TOKEN": "a-token-of-the-operator",
                "CALLROUTER_DATA_DIR": str(tmp_path),
                "CALLROUTER_TWILIO_URL": url,
            },
            declared=settings_of(PROVIDERS),
        )
        outside = make_outside(settings, PROVIDERS, utc_now, lambda: False)
        async with outside.opened(settings.dsn):
            carrier = getattr(outside, slow)
            listeners = [carrier.stream_recording(ACCOUNT, RECORDING, None, 60) for _ in range(400)]
            downloads = [asyncio.ensure_future(anext(listener, None)) for listener in listeners]
            await wait_until(lambda: len(asked) == {"listening_carrier": 120, "carrier": 300}[slow])
            await outside.live_carrier.limit_call(ACCOUNT, CALL, 60, 30)
            if slow == "listening_carrier":
                await outside.carrier.limit_call(ACCOUNT, CALL, 60, 30)
            ends.set()
            await asyncio.gather(*downloads, return_exceptions=True)
