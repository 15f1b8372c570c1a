"""Bland: calls redirected to its import's address, or dialled; signed webhooks; numbers that hold their assistant, uploaded or bought.

An assistant is a setting of numbers, and not a thing of its own: `settings`, `tools` and `parts` say what a portable one
becomes there, `inbound` is about one number's settings.
"""

from __future__ import annotations

from typing import Final

from adapters.bland.api import Client
from adapters.bland.assistants import Assistants
from adapters.bland.calls import Calls
from adapters.bland.imports import Imports
from adapters.bland.recordings import Recordings
from adapters.bland.registrations import Registrations
from adapters.bland.shop import Shop
from adapters.bland.voices import list_voices
from adapters.bland.webhooks import CALL_ENDS, Webhooks
from adapters.features import offer_of
from adapters.provider import Declaration, RegistrationForm, Setting, WebhookSecret
from adapters.replies import sip_server_mistake

__all__ = ["BLAND"]

BLAND: Final = Declaration(
    name="bland",
    offer=offer_of(__name__),
    settings=(
        Setting("url", "Base address of the Bland API.", "https://api.bland.ai", is_url=True),
        Setting(
            "sip",
            "Host, port and parameters of Bland's SIP server.",
            "us2.sip.bland.ai:5061;transport=tls;secure=true",
            find_mistake=sip_server_mistake,
        ),
    ),
    client=Client,
    calls=Calls(),
    webhooks=Webhooks(),
    call_ends=CALL_ENDS,
    assistants=Assistants(),
    list_voices=list_voices,
    recordings=Recordings(),
    registrations=Registrations(),
    imports=Imports(),
    shop=Shop(),
    webhook_secret=WebhookSecret(
        "signing_secret",
        "Webhook signing secret",
        "Under Account settings, Keys at Bland. With it we can tell that events really come from Bland. Left empty, it"
        " stays as it was.",
    ),
    registration_form=RegistrationForm(
        "The number at Bland that holds the assistant: this number itself if it is imported there, else one bought there",
        is_number=True,
        modes=(
            ("redirect", "Redirect, for the number itself as imported at Bland"),
            ("sip", "SIP, for a number that is attached to a trunk at Bland"),
            ("number", "Dialling, for a number bought at Bland"),
        ),
    ),
)
