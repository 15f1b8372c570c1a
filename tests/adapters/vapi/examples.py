"""Definitions, addresses and credentials that the tests of Vapi's adapter share."""

from __future__ import annotations

from adapters.portable import Assistant, Credentials, Function, Knowledge, Wiring
from crypto.secret import Secret
from tests.adapters.refusals import KEY

__all__ = ["ACME", "CREDENTIALS", "FUNCTION", "KEY", "LIMIT", "PLAIN", "PRICES", "WEBHOOK_SECRET", "WIRING"]

LIMIT = 5.0
WEBHOOK_SECRET = "wh00k-canary-5f1d7c29ab40e6"
WIRING = Wiring(
    webhook_url=f"https://calls.example.com/webhooks/vapi/agency_1?token={WEBHOOK_SECRET}",
    transfer_url=f"https://calls.example.com/webhooks/vapi/agency_1/transfer?token={WEBHOOK_SECRET}",
    secret=Secret(WEBHOOK_SECRET),
)
PLAIN = Assistant(marker="client_1", name="Acme Plumbing", prompt="You answer the phone for Acme.")
FUNCTION = Function(
    name="book_visit",
    description="Books a visit",
    parameters={"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]},
    url="https://acme.example/book",
)
PRICES = Knowledge("Prices", "A visit is $80.")
ACME = Assistant(
    marker="client_1",
    name="Acme Plumbing",
    prompt="You answer the phone for Acme.",
    greeting="Acme Plumbing, how can I help?",
    languages=("en-US", "es-ES"),
    timezone="America/Chicago",
    voice={"provider": "11labs", "voiceId": "burt", "speed": 1.1},
    transfer_to="+14155550100",
    functions=(FUNCTION,),
    knowledge=(PRICES,),
    voicemail_detection=True,
    max_seconds=900,
)
CREDENTIALS = Credentials(
    account_sid="AC" + "12" * 16,
    auth_token=Secret("t0ken-canary-93ab17c4de52f8"),
    api_key="SK" + "34" * 16,
    api_secret=Secret("s3cret-canary-7d20e95bc81f46"),
)
