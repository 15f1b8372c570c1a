"""An org at a served stand-in of Retell's, and the adapter that speaks to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from adapters.http import Http
from adapters.portable import Assistant, Function, Knowledge, Wiring
from adapters.provider import Provider
from adapters.sandbox.retell.org import RetellOrg
from adapters.sandbox.server import RunningSandbox
from crypto.secret import Secret
from tests.adapters.canary import CANARY
from tests.support.adapters import retell_at

TOKEN = "webhook-token-8c1f0a55e2d94b7f"
WEBHOOK = f"https://calls.example.com/webhooks/retell/agency_1?token={TOKEN}"
TRANSFER = f"https://calls.example.com/webhooks/retell/agency_1/transfer?token={TOKEN}"
WIRING = Wiring(WEBHOOK, TRANSFER, Secret(TOKEN))
SCHEMA = {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"], "title": "Visit"}
ACME = Assistant(
    marker="client_7x3k9",
    name="Acme Plumbing",
    prompt="You answer the phone for {{client_name}}.",
    greeting="Acme, how can I help?",
    languages=("en-GB", "es-MX"),
    timezone="Europe/London",
    voice={"voice_id": "11labs-Adrian", "voice_speed": 1.1},
    transfer_to="+14155550100",
    functions=(Function("book", "Books a visit", SCHEMA, "https://acme.example/book"),),
    knowledge=(Knowledge("Prices", "A visit is $80."), Knowledge("Hours", "Nine to five.")),
    voicemail_detection=True,
    max_seconds=900,
)


@dataclass(slots=True)
class Account:
    """What an agency has at Retell, and the adapter with the key to it."""

    url: str
    org: RetellOrg = field(repr=False)  # the key is in it, and tests print frames
    key: Secret
    retell: Provider[Any]
    pauses: list[float] = field(default_factory=list)

    @property
    def agents(self) -> list[list[dict[str, Any]]]:
        """The versions of each."""
        return list(self.org.agents.values())

    @property
    def llms(self) -> list[list[dict[str, Any]]]:
        return list(self.org.llms.values())

    @property
    def knowledge(self) -> list[list[dict[str, Any]]]:
        """The texts of each knowledge base."""
        return [one.texts for one in self.org.knowledge_bases.values()]

    @property
    def published(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What callers get: the one agent's newest published version, and its LLM's."""
        (versions,) = self.agents
        agent = next(one for one in reversed(versions) if one["is_published"])
        engine = agent["response_engine"]
        return agent, self.org.llms[engine["llm_id"]][engine["version"]]


def open_account(box: RunningSandbox, http: Http, key: str) -> Account:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    url = f"{box.url}/retell"
    retell = retell_at(http, url, "sip.retellai.com;transport=tcp", pause)
    return Account(url, box.state.retell.add_org(key), Secret(key), retell, pauses)


@pytest.fixture
def account(box: RunningSandbox, http: Http) -> Account:
    return open_account(box, http, CANARY)
