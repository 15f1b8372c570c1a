"""A ready-made world for the demo and for end-to-end tests: a carrier account, and a customer at each provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adapters.sandbox.state import Sandbox

ACCOUNT_SID = "AC" + "5a4db0c5" * 4
AUTH_TOKEN = "fake" + "0123456789ab" * 2 + "beef"
NUMBERS = ("+15005550101", "+15005550102", "+15005550103", "+15005550104")
BLAND_NUMBER = "+15005550199"
VAPI_KEY = "11111111-fake-4444-8888-000000000001"
RETELL_KEY = "key_fake00000000000000000002"
BLAND_KEY = "org_fake0000000000000000000000000000000003"
ELEVENLABS_KEY = "sk_fake00000000000000000000000000000000000000000004"
BROKE_KEYS = {
    "vapi": "11111111-fake-4444-8888-00000000000b",
    "retell": "key_fake0000000000000000000b",
    "bland": "org_fake000000000000000000000000000000000b",
    "elevenlabs": "sk_fake0000000000000000000000000000000000000000000b",
}


@dataclass(frozen=True, slots=True)
class Customer:
    """What an agency has at a provider, in the words of the router's own API."""

    provider: str
    key: str
    assistant_id: str | None  # what its assistant is linked by
    registration: str | None  # its number's registration there
    number: str  # the client's number at the carrier
    mode: str | None = None


@dataclass(frozen=True, slots=True)
class DemoWorld:
    """All ids and keys of the demo. `broke` are customers whose keys work but who have no credit."""

    account_sid: str
    auth_token: str
    numbers: tuple[str, ...]
    vapi: Customer
    retell: Customer
    bland: Customer
    elevenlabs: Customer
    broke: tuple[Customer, ...]

    @property
    def customers(self) -> tuple[Customer, ...]:
        """Those with credit, one at each provider."""
        return (self.vapi, self.retell, self.bland, self.elevenlabs)


def demo_world(state: Sandbox) -> DemoWorld:
    """Fills an empty sandbox."""
    account = state.twilio.add_account(ACCOUNT_SID, AUTH_TOKEN)
    account.friendly_name = "Demo platform"
    for e164 in NUMBERS:
        state.twilio.add_number(account, e164)
    keys = {"vapi": VAPI_KEY, "retell": RETELL_KEY, "bland": BLAND_KEY, "elevenlabs": ELEVENLABS_KEY}
    rich = _customers(state, keys, BLAND_NUMBER, "Demo agency", balance=25.0)
    broke = _customers(state, BROKE_KEYS, "+15005550198", "Agency without credit", balance=0.0)
    return DemoWorld(ACCOUNT_SID, AUTH_TOKEN, NUMBERS, *rich, broke)


def _customers(
    state: Sandbox, keys: Mapping[str, str], bland_number: str, name: str, *, balance: float
) -> tuple[Customer, Customer, Customer, Customer]:
    at_vapi = state.vapi.add_org(keys["vapi"], name, balance=balance)
    at_retell = state.retell.add_org(keys["retell"], name, balance=balance)
    at_bland = state.bland.add_org(keys["bland"], name, balance=balance)
    at_elevenlabs = state.elevenlabs.add_org(keys["elevenlabs"], name, balance=balance)
    assistant_id = state.vapi.add_assistant(at_vapi)
    phone_number_id = state.vapi.add_phone_number(at_vapi, NUMBERS[0])
    agent_id = state.retell.add_assistant(at_retell)
    state.bland.add_number(at_bland, bland_number)
    return (
        Customer("vapi", at_vapi.key, assistant_id, phone_number_id, NUMBERS[0]),
        Customer("retell", at_retell.key, agent_id, None, NUMBERS[1]),
        Customer("bland", at_bland.key, None, bland_number, NUMBERS[2], "number"),
        Customer("elevenlabs", at_elevenlabs.key, state.elevenlabs.add_assistant(at_elevenlabs), None, NUMBERS[3]),
    )
