"""Retell: registered calls, dialled by SIP; webhooks signed with an API key; assistants, and numbers of its own.

An assistant is an agent with an LLM and perhaps a knowledge base: `definition` writes them, `assistants` keeps our
copies, `links` looks after agents of others. Carriers' numbers need no registration: each call is registered.
"""

from __future__ import annotations

from typing import Final

from adapters.features import offer_of
from adapters.provider import Declaration, Setting, WebhookSecret
from adapters.replies import sip_server_mistake
from adapters.retell.api import Client
from adapters.retell.assistants import Assistants
from adapters.retell.calls import Calls, count_lines, end_call
from adapters.retell.recordings import Recordings
from adapters.retell.shop import Shop
from adapters.retell.voices import list_voices
from adapters.retell.webhooks import CALL_ENDS, Webhooks, answer_question

__all__ = ["RETELL"]

RETELL: Final = Declaration(
    name="retell",
    offer=offer_of(__name__),
    settings=(
        Setting("url", "Base address of the Retell API.", "https://api.retellai.com", is_url=True),
        Setting(
            "sip",
            "Host, port and parameters of Retell's SIP server.",
            "sip.retellai.com;transport=tcp",
            find_mistake=sip_server_mistake,
        ),
    ),
    client=Client,
    calls=Calls(),
    end_call=end_call,
    count_lines=count_lines,
    webhooks=Webhooks(),
    call_ends=CALL_ENDS,
    answer_question=answer_question,
    assistants=Assistants(),
    list_voices=list_voices,
    recordings=Recordings(),
    shop=Shop(),
    webhook_secret=WebhookSecret(
        "webhook_key",
        "Webhook key",
        "Retell signs what it tells us with the API key that has the webhook badge. Only needed if that is another one"
        " than above. Left empty, it stays as it was.",
    ),
)
