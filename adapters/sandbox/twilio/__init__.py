"""Stand-in for Twilio's REST API, version 2010-04-01.

Source: Twilio docs (the resources' pages, error dictionary) and its OpenAPI. What Twilio does with callers and TwiML
is the simulated carrier's business.
"""

from __future__ import annotations

from adapters.sandbox.twilio.api import Twilio
from adapters.sandbox.twilio.records import Account, Call, Recording

__all__ = ["Account", "Call", "Recording", "Twilio"]
