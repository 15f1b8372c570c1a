"""Our adapter for ElevenLabs before the stand-in, with an org of its own and an assistant to put there."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.elevenlabs.api import Client
from adapters.http import Http
from adapters.portable import Assistant, Function, Knowledge, Wiring
from adapters.provider import Provider
from adapters.sandbox.elevenlabs.org import ElevenLabsOrg
from adapters.sandbox.server import RunningSandbox
from crypto.secret import Secret
from tests.adapters.canary import CANARY
from tests.adapters.refusals import KEY
from tests.support.adapters import elevenlabs_at

TOKEN = "webhook-token-8c1f0a55e2d94b7f"
WEBHOOK = "https://calls.example.com/webhooks/elevenlabs/agency_1"
ACME = Assistant(
    marker="client_7x3k9",
    name="Acme Plumbing",
    prompt="You answer the phone for {{client_name}}, also to {{ visitor }}.",
    greeting="Acme, how can I help?",
    languages=("en-GB", "es-MX", "pt-BR"),
    timezone="Europe/London",
    voice={"voice_id": "JBFqnCBsd6RMkjVDRZzb", "speed": 1.1},
    transfer_to="+14155550100",
    functions=(
        Function(
            "book",
            "Books a visit",
            {"type": "object", "properties": {"day": {"type": "string"}}},
            "https://acme.example/b",
        ),
    ),
    knowledge=(Knowledge("Prices", "A visit is $80."), Knowledge("Hours", "Nine to five.")),
    voicemail_detection=True,
    max_seconds=900,
)


def wiring(token: str = TOKEN) -> Wiring:
    return Wiring(f"{WEBHOOK}?token={token}", f"{WEBHOOK}/transfer?token={token}", Secret(token))


@pytest.fixture
def org(box: RunningSandbox) -> ElevenLabsOrg:
    return box.state.elevenlabs.add_org(CANARY)


@pytest.fixture
def elevenlabs(box: RunningSandbox, http: Http) -> Provider[Any]:
    return elevenlabs_at(http, f"{box.url}/elevenlabs")


@pytest.fixture
def client(elevenlabs: Provider[Any], org: ElevenLabsOrg) -> Client:  # noqa: ARG001 - the key is that org's
    return elevenlabs.open(KEY, 5)
