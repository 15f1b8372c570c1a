"""An agency that has one of everything, each with a name that would show if a page did not escape it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from adapters.sandbox.server import RunningSandbox
from adapters.sandbox.world import ACCOUNT_SID, NUMBERS, RETELL_KEY, VAPI_KEY
from tests.router.api.client import Agency, Api
from tests.router.api.test_calls import BEGAN, file_call, file_voicemail
from tests.support.api_service import Services

MARKUP = """<img src=x onerror=alert(1)>"'&{{7*7}}"""
RECORDING = "RE" + "5" * 32


@dataclass(frozen=True)
class FullAgency:
    """Ids of what it has."""

    agency: Agency
    client: dict[str, Any]
    number: str
    call: str
    voicemail: str
    endpoint: str

    @property
    def pages(self) -> tuple[str, ...]:
        """Every page that is only looked at."""
        client = f"clients/{self.client['id']}"
        return (
            "keys",
            "providers",
            "keys/retell/plan",
            "keys/vapi/sync",
            "clients",
            "clients/new",
            client,
            f"{client}/assistant",
            f"{client}/assistant/voices/retell",
            f"{client}/copy",
            f"{client}/providers",
            "numbers",
            "numbers/new",
            "numbers/new?country=US&area_code=415",
            f"numbers/{self.number}",
            "calls",
            f"calls/{self.call}",
            "voicemails",
            "figures?from=2026-03-01&to=2026-03-03",
            "explain",
            f"explain?to={self.number}",
            "webhooks",
            f"webhooks/{self.endpoint}",
            "health",
            "activity",
            "alerts",
            "tokens",
            "settings",
        )


async def fill(api: Api, services: Services, sandbox: RunningSandbox) -> FullAgency:
    agency = await api.new_agency(f"Agency {MARKUP}")
    await api.put(f"{agency.path}/keys/vapi", {"key": VAPI_KEY})
    await api.put(f"{agency.path}/keys/retell", {"key": RETELL_KEY, "activate": False})
    client = await api.new_client(
        agency,
        name=f"Client {MARKUP}",
        personal_phone="+14155550199",
        routing={
            "mode": "owner_first",
            "voicemail_greeting": f"Hello {MARKUP}",
            "hours": {
                "timezone": "Europe/London",
                "open": [
                    {"days": ["mon", "tue"], "from": "09:00", "to": "12:30"},
                    {"days": ["mon"], "from": "13:30", "to": "24:00"},
                ],
                "closed_mode": "voicemail",
            },
        },
        assistant={
            "prompt": f"</textarea>{MARKUP}",
            "greeting": f"Hi {MARKUP}",
            "languages": ["en-US", "es-ES"],
            "functions": [
                {"name": "book", "description": MARKUP, "parameters": {"type": "object"}, "url": "https://example.com/"}
            ],
            "knowledge": [{"title": f"T {MARKUP}", "text": f"</textarea>{MARKUP}"}],
            "voice": {"vapi": {"voiceId": MARKUP}},
        },
    )
    linked = sandbox.state.vapi.add_assistant(sandbox.state.vapi.orgs.of(VAPI_KEY))
    await api.put(f"{agency.path}/clients/{client['id']}/assistants/vapi", {"remote_id": linked})
    await services.database.settings.execute(
        "UPDATE assistants SET error = $2 WHERE client_id = $1", client["id"], f"It said {MARKUP}"
    )
    number = NUMBERS[0]
    await api.post(f"{agency.path}/numbers", {"e164": number, "client_id": client["id"], "account": "platform"})
    await api.post(f"{agency.path}/tokens", {"name": f"Token {MARKUP}"})
    await api.post(f"{agency.path}/invitations", {"name": f"Person {MARKUP}"})
    await file_call(
        services,
        agency,
        "call_1",
        client_id=client["id"],
        from_number=MARKUP,
        to_number=number,
        provider="vapi",
        outcome="voicemail",
        ended_at=BEGAN,
        seconds=62,
        cost=0.125,
    )
    for place, (event, reason) in enumerate((("handoff.failed", "timeout"), ("call.ended", MARKUP))):
        await services.database.settings.execute(
            "INSERT INTO call_events (id, call_id, at, event, step, provider, reason, duration_ms) "
            "VALUES ($1, 'call_1', $2, $3, 'ai', 'vapi', $4, 12)",
            f"event_{place}",
            BEGAN,
            event,
            reason,
        )
    sandbox.state.twilio.add_recording(ACCOUNT_SID, "CAcall_1", RECORDING, 2.0)
    await file_voicemail(
        services,
        agency,
        "voicemail_1",
        RECORDING,
        client_id=client["id"],
        from_number=MARKUP,
        transcript=f"Say {MARKUP}",
    )
    address = {"url": f"http://127.0.0.1:9/?{quote(MARKUP)}"}
    endpoint = await api.post(f"{agency.path}/endpoints", address)
    return FullAgency(agency, client, number, "call_1", "voicemail_1", endpoint["id"])
