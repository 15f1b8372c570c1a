"""A ready-made world for the demo and for end-to-end tests: a carrier account, and a customer at each provider."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.sandbox.state import Sandbox

ACCOUNT_SID = "AC" + "5a4db0c5" * 4
AUTH_TOKEN = "fake" + "0123456789ab" * 2 + "beef"
NUMBERS = ("+15005550101", "+15005550102", "+15005550103")
BLAND_NUMBER = "+15005550199"
VAPI_KEY = "11111111-fake-4444-8888-000000000001"
RETELL_KEY = "key_fake00000000000000000002"
BLAND_KEY = "org_fake0000000000000000000000000000000003"
BROKE_KEYS = {
    "vapi": "11111111-fake-4444-8888-00000000000b",
    "retell": "key_fake0000000000000000000b",
    "bland": "org_fake000000000000000000000000000000000b",
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
    numbers: tuple[str, str, str]
    vapi: Customer
    retell: Customer
    bland: Customer
    broke: tuple[Customer, Customer, Customer]


def demo_world(state: Sandbox) -> DemoWorld:
    """Fills an empty sandbox."""
    account = state.twilio.add_account(ACCOUNT_SID, AUTH_TOKEN)
    account.friendly_name = "Demo platform"
    for e164 in NUMBERS:
        state.twilio.add_number(account, e164)
    keys = (VAPI_KEY, RETELL_KEY, BLAND_KEY)
    rich = _customers(state, keys, BLAND_NUMBER, "Demo agency", balance=25.0)
    broke_keys = (BROKE_KEYS["vapi"], BROKE_KEYS["retell"], BROKE_KEYS["bland"])
    broke = _customers(state, broke_keys, "+15005550198", "Agency without credit", balance=0.0)
    return DemoWorld(ACCOUNT_SID, AUTH_TOKEN, NUMBERS, *rich, broke)


def _customers(
    state: Sandbox, keys: tuple[str, str, str], bland_number: str, name: str, *, balance: float
) -> tuple[Customer, Customer, Customer]:
    at_vapi = state.vapi.add_org(keys[0], name, balance=balance)
    at_retell = state.retell.add_org(keys[1], name, balance=balance)
    at_bland = state.bland.add_org(keys[2], name, balance=balance)
    assistant_id = state.vapi.add_assistant(at_vapi)
    phone_number_id = state.vapi.add_phone_number(at_vapi, NUMBERS[0])
    agent_id = state.retell.add_agent(at_retell)
    state.bland.add_number(at_bland, bland_number)
    return (
        Customer("vapi", keys[0], assistant_id, phone_number_id, NUMBERS[0]),
        Customer("retell", keys[1], agent_id, None, NUMBERS[1]),
        Customer("bland", keys[2], None, bland_number, NUMBERS[2], "number"),
    )
