"""ElevenLabs Agents: registered calls, whose TwiML we put into ours; signed webhooks; assistants.

An assistant is an agent with tools and documents of the workspace: `definition` and `tools` write them, `assistants`
keeps our copies, `links` looks after agents of others, `hooks` keeps the webhook to which all of them report. Carriers'
numbers need no registration: each call is registered. Numbers are not sold, and nothing ends a call from outside.
"""

from __future__ import annotations

from typing import Final

from adapters.elevenlabs.api import Client
from adapters.elevenlabs.assistants import Assistants
from adapters.elevenlabs.calls import Calls
from adapters.elevenlabs.recordings import Recordings
from adapters.elevenlabs.voices import list_voices
from adapters.elevenlabs.webhooks import CALL_ENDS, Webhooks
from adapters.features import offer_of
from adapters.provider import Declaration, Setting, WebhookSecret

__all__ = ["ELEVENLABS"]

ELEVENLABS: Final = Declaration(
    name="elevenlabs",
    offer=offer_of(__name__),
    settings=(Setting("url", "Base address of the ElevenLabs API.", "https://api.elevenlabs.io", is_url=True),),
    client=Client,
    calls=Calls(),
    webhooks=Webhooks(),
    assistants=Assistants(),
    list_voices=list_voices,
    recordings=Recordings(),
    webhook_secret=WebhookSecret(
        "webhook_secret",
        "Webhook secret",
        "Only for a webhook that you created at ElevenLabs yourself: the secret that was shown with it. Left empty, it"
        " stays as it was.",
    ),
    call_ends=CALL_ENDS,
    report_status=200,  # anything else counts as a failure, and after ten in a row the webhook is disabled
)
