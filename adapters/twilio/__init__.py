"""All that is particular to Twilio: the REST API behind `Carrier`, and the signatures of its webhooks."""

from __future__ import annotations

from adapters.http import Http
from adapters.twilio.accounts import Accounts
from adapters.twilio.calls import Calls
from adapters.twilio.numbers import Numbers
from adapters.twilio.recordings import Recordings
from adapters.twilio.rest import Rest
from adapters.twilio.signature import Form, FormError, read_form, read_text, request_url, sign, verify

__all__ = ["Form", "FormError", "Twilio", "read_form", "read_text", "request_url", "sign", "verify"]


class Twilio(Accounts, Numbers, Calls, Recordings):
    """A Carrier. Keeps neither accounts nor tokens."""

    def __init__(self, http: Http, base_url: str) -> None:
        super().__init__(Rest(http, base_url))
