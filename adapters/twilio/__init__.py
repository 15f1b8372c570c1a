"""Twilio: the REST API behind `Carrier`, and the signatures of its webhooks."""

from __future__ import annotations

from typing import Final

from adapters.features import About
from adapters.http import Http
from adapters.twilio.accounts import Accounts
from adapters.twilio.calls import Calls
from adapters.twilio.numbers import Numbers
from adapters.twilio.recordings import Recordings
from adapters.twilio.rest import NAME, Rest
from adapters.twilio.signature import (
    Form,
    FormError,
    Scheme,
    read_form,
    read_scheme,
    read_text,
    request_url,
    sign,
    verify,
)

__all__ = [
    "ABOUT",
    "NAME",
    "Form",
    "FormError",
    "Scheme",
    "Twilio",
    "read_form",
    "read_scheme",
    "read_text",
    "request_url",
    "sign",
    "verify",
]

ABOUT: Final = About(
    label="Twilio",
    find_key="Account SID and auth token are on the first page of the Twilio console; an API key will not do.",
    costs="Twilio bills you for numbers and minutes by its own price list.",
    good_for="Your own numbers, caller ID and billing. Without it, numbers come from the platform's account and go back "
    "to it when you leave; those on your own account stay yours.",
    top_up="https://console.twilio.com/us1/billing/manage-billing/billing-overview",
    key_page="https://console.twilio.com/",
)


class Twilio(Accounts, Numbers, Calls, Recordings):
    """A Carrier. Keeps neither accounts nor tokens."""

    def __init__(self, http: Http, base_url: str) -> None:
        super().__init__(Rest(http, base_url))
