"""Vapi: bypass calls, whose TwiML we put into ours; webhooks proven by a shared secret; assistants and numbers.

Vapi docs: Calls / Handling with Vapi and Twilio, Server URL / Events, Call ended reasons, and its API's schema.
"""

from __future__ import annotations

from typing import Final

from adapters.features import offer_of
from adapters.provider import Declaration, RegistrationForm, Setting
from adapters.vapi.api import Client
from adapters.vapi.assistants import Assistants
from adapters.vapi.calls import Calls, end_call
from adapters.vapi.reasons import CALL_ENDS
from adapters.vapi.recordings import Recordings
from adapters.vapi.registrations import Registrations
from adapters.vapi.webhooks import Webhooks, answer_question

__all__ = ["VAPI"]

VAPI: Final = Declaration(
    name="vapi",
    offer=offer_of(__name__),
    settings=(Setting("url", "Base address of the Vapi API.", "https://api.vapi.ai", is_url=True),),
    client=Client,
    calls=Calls(),
    end_call=end_call,
    webhooks=Webhooks(),
    answer_question=answer_question,
    assistants=Assistants(),
    recordings=Recordings(),
    registrations=Registrations(),
    key_label="Private key",
    registration_form=RegistrationForm("The number's phoneNumberId at Vapi"),
    takes_carrier_key=True,
    call_ends=CALL_ENDS,
)
