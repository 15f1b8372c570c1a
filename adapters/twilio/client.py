"""Twilio as a Carrier: all its resources in one."""

from __future__ import annotations

from adapters.http import Http
from adapters.twilio.accounts import Accounts
from adapters.twilio.calls import Calls
from adapters.twilio.numbers import Numbers
from adapters.twilio.recordings import Recordings
from adapters.twilio.rest import Rest


class Twilio(Accounts, Numbers, Calls, Recordings):
    """A Carrier. Keeps neither accounts nor tokens."""

    def __init__(self, http: Http, base_url: str) -> None:
        super().__init__(Rest(http, base_url))
