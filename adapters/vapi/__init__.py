"""Vapi: bypass calls, whose TwiML we put into ours; webhooks proven by a shared secret; assistants and numbers.

Vapi docs: Calls / Handling with Vapi and Twilio, Server URL / Events, Call ended reasons, and its API's schema.
"""

from __future__ import annotations

from adapters.http import Http
from adapters.vapi.api import Api
from adapters.vapi.assistants import Assistants
from adapters.vapi.calls import Calls
from adapters.vapi.numbers import Numbers
from adapters.vapi.twiml import read_twiml
from adapters.vapi.webhooks import Webhooks

__all__ = ["Vapi", "read_twiml"]


class Vapi(Calls, Webhooks, Assistants, Numbers):
    """All of Vapi: VoiceProvider, AssistantHost, NumberHost and LineTeller."""

    def __init__(self, http: Http, base_url: str) -> None:
        self._api = Api(http, base_url)
